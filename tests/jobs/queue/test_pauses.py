"""Pausing the queues: what comes is accepted and waits, what runs is finished, and all goes on afterwards."""

from collections.abc import Callable
from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from django.test import Client

from jobs.models import Job, Pause
from jobs.progress.eta import Forecast
from jobs.queue import dispatch, pauses, work
from jobs.states import Status
from modelstore.models import Model
from modelstore.states import State
from tests.eventually import eventually
from tests.jobs.conftest import StartCluster, picture
from tests.jobs.rig.apps import SLOW
from tests.jobs.worker.test_cluster import ended

Submit = Callable[..., Job]


def test_nothing_is_taken_up_and_what_runs_is_finished(start_cluster: StartCluster, submit: Submit) -> None:
    cluster = start_cluster()
    running = submit(SLOW, 16)
    eventually(lambda: Job.objects.get(pk=running.pk).status == Status.PROCESSING)
    pauses.pause(dispatch.GPU, reason="a new driver")
    waiting = submit(seed=2)
    assert ended(running).status == Status.COMPLETED
    assert Job.objects.claim("another") is None
    cluster.terminate()
    cluster.wait()
    start_cluster()  # which looks at the queue when it starts
    assert Job.objects.get(pk=waiting.pk).status == Status.QUEUED
    assert pauses.resume(dispatch.GPU)
    assert ended(waiting).status == Status.COMPLETED


def test_a_sync_call_does_not_wait_for_the_end_of_a_pause(client: Client, model: Model) -> None:
    """Else this would take SYNC_WAIT_SECONDS; with no worker at all it would be refused."""
    from tests.jobs import made

    made.worker(device="cpu")
    pauses.pause(dispatch.GPU)
    answer = client.post("/api/v1/upscale", {"image": picture(), "model": model.name})
    assert answer.status_code == 202
    job = client.get(answer.json()["status_url"]).json()
    assert (job["status"], job["queue_position"], job["eta_seconds"]) == ("queued", 1, None)


def test_io_workers_take_nothing_up_either(model: Model) -> None:
    Model.objects.filter(pk=model.pk).update(state=State.REQUESTED)
    assert work.waiting_in(dispatch.IO, 5)
    pauses.pause(dispatch.IO)
    assert work.waiting_in(dispatch.IO, 5) == []
    pauses.resume(dispatch.IO)
    assert work.waiting_in(dispatch.IO, 5)


def test_a_pause_keeps_its_beginning_and_takes_the_newest_reason(db: None) -> None:
    first = pauses.pause(dispatch.GPU, reason="a", by="ann")
    second = pauses.pause(dispatch.GPU, reason="b" * 300, by="bob")
    assert (second.since, second.reason, second.by) == (first.since, "b" * 200, "bob")
    assert pauses.pause(dispatch.GPU, by="cyd").reason == "b" * 200, "who gives none takes none away"
    assert (pauses.resume(dispatch.GPU), pauses.resume(dispatch.GPU)) == (True, False)


def test_places_are_told_and_no_time_while_paused(make_job: Callable[..., Job]) -> None:
    first, second = make_job(), make_job()
    pauses.pause(dispatch.GPU)
    forecast = Forecast([first, second])
    assert [forecast.position(job) for job in (first, second)] == [1, 2]
    assert [forecast.seconds_left(job) for job in (first, second)] == [None, None]


def told(*words: str) -> str:
    out = StringIO()
    call_command("queue", *words, stdout=out)
    return out.getvalue()


def test_the_command_pauses_tells_and_goes_on(make_job: Callable[..., Job]) -> None:
    make_job()
    assert "gpu  working; 0 workers, for pictures" in told()
    assert "(a new driver)" in told("pause", "--reason", "a new driver")
    assert (Pause.objects.is_on("gpu"), Pause.objects.is_on("io")) == (True, False)
    assert "io   paused since" in told("pause", "all")
    assert told("status").endswith("1 jobs wait, 0 run\n")
    told("resume", "all")
    assert not Pause.objects.exists()
    with pytest.raises(CommandError, match="--reason has 201 characters; 200 at most"):
        told("pause", "--reason", "x" * 201)
    assert not Pause.objects.exists()
