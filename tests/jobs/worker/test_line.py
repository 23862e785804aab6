"""A worker's line with real clusters: what is done beside the device's work, and what that must not cost anybody."""

from collections.abc import Callable
from pathlib import Path

import pytest

from jobs.models import Job
from jobs.states import Priority, Status
from tests.eventually import eventually
from tests.jobs.clusters import RunningCluster
from tests.jobs.conftest import StartCluster
from tests.jobs.rig.apps import DEVICE_WAITS, HANGS, POISON
from tests.jobs.worker.test_cluster import ended

Submit = Callable[..., Job]

#: A picture for whose computing it is worth while to ask whether a more urgent one has come.
LARGE = 320


class Rig:
    """A cluster of one worker that has computed once, so that it knows how long its device takes."""

    def __init__(self, start_cluster: StartCluster, submit: Submit, tmp_path: Path) -> None:
        self.events, self.gate = tmp_path / "events", tmp_path / "gate"
        self._start, self._submit = start_cluster, submit

    def start(self, *, supervised: bool = False, **more: str) -> RunningCluster:
        """Start it."""
        files = {"RIG_EVENTS": str(self.events), "RIG_DEVICE_WAITS_FOR": str(self.gate)}
        cluster = self._start(supervised=supervised, **files, **more)
        assert ended(self._submit(width=25, seed=9)).status == Status.COMPLETED
        return cluster

    def waits_for(self, what: str, width: int) -> None:
        """Wait until the worker has done that with a picture of that width."""
        eventually(lambda: f"{what} {width}" in self.events.read_text().splitlines(), say=f"{what} {width}")

    def order(self, *events: str) -> list[str]:
        """Return the events among these, in the order in which they happened."""
        return [line for line in self.events.read_text().splitlines() if line in events]


@pytest.fixture
def rig(start_cluster: StartCluster, submit: Submit, tmp_path: Path) -> Rig:
    return Rig(start_cluster, submit, tmp_path)


def now(job: Job) -> Job:
    return Job.objects.get(pk=job.pk)


def test_the_next_picture_is_decoded_while_the_device_computes(rig: Rig, submit: Submit) -> None:
    rig.start()
    first = submit(DEVICE_WAITS, 16)
    rig.waits_for("begun", DEVICE_WAITS)
    second = submit(seed=2)
    rig.waits_for("decoded", 24)
    assert (now(first).status, now(second).status) == (Status.PROCESSING, Status.PROCESSING)
    rig.gate.touch()
    assert [ended(job).status for job in (first, second)] == [Status.COMPLETED] * 2
    assert (now(second).attempts, now(second).error) == (1, "")


def test_the_device_takes_up_the_next_while_the_last_one_is_finished(rig: Rig, submit: Submit, tmp_path: Path) -> None:
    """Its preview is held; a worker that did one thing after the other would not begin with the next."""
    held = tmp_path / "held"
    held.touch()
    rig.start(RIG_PREVIEWS_WAIT_FOR=str(held))
    eventually(lambda: Job.objects.exclude(preview_file="").exists(), say="the first preview")
    held.unlink()
    first, second = submit(seed=2), submit(DEVICE_WAITS, 16)
    rig.waits_for("begun", DEVICE_WAITS)
    assert (ended(first).status, now(first).preview_file) == (Status.COMPLETED, "")
    held.touch()
    rig.gate.touch()
    assert ended(second).status == Status.COMPLETED
    eventually(lambda: now(first).preview_file, say="the preview")


@pytest.mark.parametrize(("width", "memory"), [(24, "0"), (2000, "1")], ids=["none wanted", "too large"])
def test_without_room_one_comes_after_the_other(rig: Rig, submit: Submit, width: int, memory: str) -> None:
    rig.start(PIPELINE_MEMORY_MB=memory)
    first = submit(DEVICE_WAITS, 16)
    rig.waits_for("begun", DEVICE_WAITS)
    second = submit(width, seed=2)
    rig.gate.touch()
    assert [ended(job).status for job in (first, second)] == [Status.COMPLETED] * 2
    events = f"computed {DEVICE_WAITS}", f"decoded {width}"
    assert rig.order(*events) == list(events)


def test_a_more_urgent_job_goes_before_the_one_that_is_ahead(rig: Rig, submit: Submit) -> None:
    rig.start()
    first = submit(DEVICE_WAITS, 16)
    rig.waits_for("begun", DEVICE_WAITS)
    ahead = submit(LARGE, LARGE, seed=2)
    rig.waits_for("decoded", LARGE)
    urgent = submit(26, 16, seed=3, priority=Priority.SYNC)
    rig.gate.touch()
    assert [ended(job).status for job in (first, urgent, ahead)] == [Status.COMPLETED] * 3
    assert rig.order(f"begun {LARGE}", "begun 26") == ["begun 26", f"begun {LARGE}"]
    assert now(ahead).attempts == 1, "what was handed back keeps its attempts"


def test_a_poisonous_picture_takes_no_other_one_with_it(rig: Rig, submit: Submit) -> None:
    rig.start(supervised=True)
    innocent = submit(DEVICE_WAITS, 16)
    rig.waits_for("begun", DEVICE_WAITS)
    poison = submit(POISON, 16)
    eventually(lambda: now(innocent).attempts == 2, say="the second attempt after the worker's death")
    rig.gate.touch()
    failed = ended(poison)
    assert (failed.status, failed.error_code, failed.attempts) == (Status.FAILED, "worker_lost", 3)
    assert (ended(innocent).status, now(innocent).attempts) == (Status.COMPLETED, 2)


def test_a_picture_that_hangs_costs_its_neighbour_no_attempt(rig: Rig, submit: Submit) -> None:
    """The neighbour may take longer: it is larger, and its limit with it."""
    rig.start(supervised=True, JOB_TIMEOUT_SECONDS="3", JOB_TIMEOUT_SECONDS_PER_MEGAPIXEL="1000000")
    neighbour = submit(DEVICE_WAITS, 320)
    rig.waits_for("begun", DEVICE_WAITS)
    hangs = submit(HANGS, 1)
    assert ended(hangs).error_code == "timeout"
    eventually(lambda: rig.order(f"begun {DEVICE_WAITS}") == [f"begun {DEVICE_WAITS}"] * 2, say="another beginning")
    rig.gate.touch()
    assert (ended(neighbour).status, now(neighbour).attempts) == (Status.COMPLETED, 1)


def test_a_cancelled_job_that_is_ahead_does_not_reach_the_device(rig: Rig, submit: Submit) -> None:
    rig.start()
    first = submit(DEVICE_WAITS, 16)
    rig.waits_for("begun", DEVICE_WAITS)
    ahead = submit(26, 16, seed=2)
    rig.waits_for("decoded", 26)
    Job.objects.cancel(ahead.pk)
    assert ended(ahead).status == Status.CANCELLED, "at the next heartbeat, while the device is at another"
    rig.gate.touch()
    assert ended(first).status == Status.COMPLETED
    assert rig.order("begun 26") == []


def test_a_cluster_that_stops_hands_back_what_is_ahead(rig: Rig, submit: Submit) -> None:
    cluster = rig.start()
    first = submit(DEVICE_WAITS, 16)
    rig.waits_for("begun", DEVICE_WAITS)
    ahead = submit(26, 16, seed=2)
    rig.waits_for("decoded", 26)
    cluster.terminate()
    eventually(lambda: now(ahead).status == Status.QUEUED, say="the hand-back")
    rig.gate.touch()
    assert cluster.wait() == 0
    assert (now(first).status, now(ahead).status, now(ahead).attempts) == (Status.COMPLETED, Status.QUEUED, 0)
