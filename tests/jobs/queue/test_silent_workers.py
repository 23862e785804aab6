"""A worker that is alive but silent is killed when its lease is lost, and nobody is killed for another reason."""

import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from jobs.models import Job
from jobs.queue import shared_state
from jobs.queue.shared_state import SharedState
from jobs.queue.silent_workers import SilentWorkers
from jobs.states import Status
from tests.eventually import eventually
from tests.frozen import frozen
from tests.jobs.conftest import StartCluster
from tests.jobs.rig.apps import HANGS_WITH_GIL, SLOW
from tests.jobs.worker.test_cluster import ended
from tests.jobs.worker.test_under_fire import assert_settled
from upscaler_site.postgres.embedded import EmbeddedPostgres

Submit = Callable[..., Job]


@pytest.fixture
def worker() -> Iterator[tuple[SharedState, int]]:
    """A process that has a slot and beats in it."""
    shared = SharedState("gpu", 1)
    ready, tell = os.pipe()
    pid = os.fork()
    if pid == 0:
        slot = shared.take_slot()
        os.write(tell, b"x")
        shared_state._beat(slot)
    os.read(ready, 1)
    yield shared, pid
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)


def next_beat(shared: SharedState, pid: int) -> bool:
    before = shared.beats().get(pid, 0)
    return bool(eventually(lambda: shared.beats().get(pid, 0) > before))


def test_a_worker_that_beats_lives_and_one_that_is_frozen_is_killed_when_its_ticks_are_over(
    worker: tuple[SharedState, int],
) -> None:
    shared, pid = worker
    watchdog = SilentWorkers(shared, seconds=5, tick_seconds=0.5)
    for _ in range(12):
        next_beat(shared, pid)
        assert list(watchdog.kill_silent()) == []
    os.kill(pid, signal.SIGSTOP)
    os.waitid(os.P_PID, pid, os.WSTOPPED)
    looks = [list(watchdog.kill_silent()) for _ in range(12)]
    said = [f"worker {pid} has been silent for 5 s: it is killed"]
    assert looks.index(said) in (9, 10)  # it may have counted once more before it stopped
    eventually(lambda: not shared_state.is_alive(pid))
    assert list(watchdog.kill_silent()) == []


def test_a_main_process_that_slept_does_not_take_its_own_sleep_for_the_workers(worker: tuple[SharedState, int]) -> None:
    """A laptop whose lid was closed: both slept, and the first tick afterwards is one tick."""
    shared, pid = worker
    watchdog = SilentWorkers(shared, seconds=1, tick_seconds=0.5)
    next_beat(shared, pid)
    list(watchdog.kill_silent())
    os.kill(pid, signal.SIGSTOP)
    time.sleep(2)
    assert list(watchdog.kill_silent()) == []
    os.kill(pid, signal.SIGCONT)
    next_beat(shared, pid)
    assert list(watchdog.kill_silent()) == []


def test_a_worker_that_starts_is_not_watched_yet() -> None:
    shared = SharedState("gpu", 1)
    shared.take_slot()
    watchdog = SilentWorkers(shared, seconds=0.5, tick_seconds=0.5)
    assert [list(watchdog.kill_silent()) for _ in range(50)] == [[]] * 50


def test_a_worker_that_cannot_be_killed_is_told_of_once(
    worker: tuple[SharedState, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As one that waits inside the kernel: no signal reaches it."""
    shared, pid = worker
    watchdog = SilentWorkers(shared, seconds=5, tick_seconds=0.5)
    next_beat(shared, pid)
    os.kill(pid, signal.SIGSTOP)
    os.waitid(os.P_PID, pid, os.WSTOPPED)
    monkeypatch.setattr(os, "kill", lambda *_: None)
    said = [line for _ in range(100) for line in watchdog.kill_silent()]
    monkeypatch.undo()
    assert len(said) == 2
    assert "does not end: it waits inside the kernel" in said[1]


def test_a_frozen_worker_in_a_job_is_replaced_and_the_queue_moves_on(
    start_cluster: StartCluster, submit: Submit, data_dir: Path
) -> None:
    running = start_cluster(supervised=True)
    job = submit(SLOW, 16)
    eventually(lambda: Job.objects.get(pk=job.pk).status == Status.PROCESSING, seconds=60)
    pid = running.kill("worker", signal.SIGSTOP)
    assert pid
    other = submit(seed=2)
    assert ended(other).status == Status.COMPLETED
    done = ended(job)
    assert (done.status, done.attempts) == (Status.COMPLETED, 2)
    assert f"worker {pid} has been silent for 5 s: it is killed" in running.output()
    assert not psutil.pid_exists(pid)
    assert_settled(data_dir)


def test_a_frozen_idle_worker_is_replaced_as_well(start_cluster: StartCluster, submit: Submit, data_dir: Path) -> None:
    running = start_cluster(supervised=True)
    assert ended(submit()).status == Status.COMPLETED  # it has ended its start: before that it is not watched
    assert eventually(lambda: running.kill("worker", signal.SIGSTOP), seconds=30)
    assert ended(submit(seed=2)).status == Status.COMPLETED
    assert_settled(data_dir)


def test_a_call_that_keeps_pythons_lock_does_not_keep_the_device(
    start_cluster: StartCluster, submit: Submit, data_dir: Path
) -> None:
    """The job's own limit is far away; each attempt costs a lease, and the others are worked on in between."""
    start_cluster(supervised=True, JOB_MAX_ATTEMPTS="2")
    hung, other = submit(HANGS_WITH_GIL, 16), submit(seed=2)
    assert ended(other, 240).status == Status.COMPLETED
    failed = ended(hung, 240)
    assert (failed.status, failed.error_code, failed.attempts) == (Status.FAILED, "worker_lost", 2)
    assert_settled(data_dir)


def test_a_silent_database_is_not_taken_for_silent_workers(
    start_cluster: StartCluster, submit: Submit, tmp_path: Path
) -> None:
    """The workers go on: not one of them is replaced, nor is the cluster, and all is done once the database answers."""
    from tests import conftest

    if conftest._postgres is None:
        pytest.skip("DATABASE_URL names a Postgres that this test cannot freeze")
    running = start_cluster(supervised=True, DATABASE_TIMEOUT_SECONDS="2")
    assert ended(submit()).status == Status.COMPLETED
    pids = running.pids("worker")
    server: EmbeddedPostgres = conftest._postgres
    from django.db import connection

    connection.close()
    with frozen(server.cluster.places.root.parent):
        eventually(lambda: running.output().count("worker not heard") >= 4, seconds=120)
    assert ended(submit(seed=2)).status == Status.COMPLETED
    assert running.pids("worker") == pids
    assert running.starts == 1
    assert "is killed" not in running.output()
