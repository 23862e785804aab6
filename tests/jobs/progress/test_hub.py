"""The waiting room: nobody misses the end, nobody holds a connection, nobody leaks a thread."""

import threading
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest
from django.db import connection
from django.db.backends.postgresql.base import DatabaseWrapper
from pytest_django.fixtures import Settings

from jobs.errors import JobNotFound, WaitersExceeded
from jobs.models import Job
from jobs.progress import hub as waiting
from jobs.progress import wait
from jobs.progress.disconnect import HAS_LEFT, has_left
from jobs.progress.hub import READS_AT_ONCE, Hub, Subscription, hub
from jobs.progress.wait import wait_for
from jobs.states import Status
from tests.eventually import eventually
from tests.jobs.conftest import database_url, picture
from tests.service import StartService

Submit = Callable[..., Job]


def test_a_waiter_hears_of_the_end(submit: Submit) -> None:
    job = submit()
    found: list[Job] = []

    def wait() -> None:
        found.append(wait_for(job.pk, 60))
        connection.close()

    thread = threading.Thread(target=wait)
    thread.start()
    eventually(lambda: hub.count == 1, seconds=30)
    Job.objects.cancel(job.pk)
    thread.join(240)
    assert found[0].status == Status.CANCELLED
    assert hub.count == 0


def test_an_end_before_the_wait_is_seen_at_once(submit: Submit) -> None:
    job = submit()
    Job.objects.cancel(job.pk)
    assert wait_for(job.pk, 0).status == Status.CANCELLED


def test_when_time_is_up_the_job_is_returned_as_it_is(submit: Submit) -> None:
    assert wait_for(submit().pk, 0.05).status == Status.QUEUED
    assert hub.count == 0


def test_an_end_that_nobody_told_is_seen_all_the_same(submit: Submit) -> None:
    job = submit()
    raised: list[JobNotFound] = []

    def wait() -> None:
        try:
            wait_for(job.pk, 60)
        except JobNotFound as error:
            raised.append(error)
        finally:
            connection.close()

    thread = threading.Thread(target=wait)
    thread.start()
    eventually(lambda: hub.count == 1, seconds=30)
    Job.objects.filter(pk=job.pk).delete()
    thread.join(240)
    assert len(raised) == 1


def test_a_job_that_never_was_is_not_waited_for(model: object) -> None:
    import uuid

    with pytest.raises(JobNotFound):
        wait_for(uuid.uuid4(), 60)


def test_beyond_the_limit_nobody_waits(submit: Submit, settings: Settings) -> None:
    settings.MAX_WAITING_REQUESTS = 2
    job = submit()
    with hub.subscribe(job.pk), hub.subscribe(job.pk), pytest.raises(WaitersExceeded, match="2 requests wait"):
        wait_for(job.pk, 60)
    assert hub.count == 0


def test_progress_rings_for_those_who_want_it_and_not_for_those_who_wait_for_the_end(submit: Submit) -> None:
    submit()
    job = Job.objects.claim("w")
    assert job is not None
    with hub.subscribe(job.pk) as progress, hub.subscribe(job.pk, only_end=True) as end:
        eventually(lambda: progress.wait(1), seconds=30)  # the first look
        Job.objects.heartbeat(job, tiles_done=1, tiles_total=9)
        assert progress.wait(240)
        assert not end.wait(0)
        Job.objects.fail(job, "broken", "broken")
        assert progress.wait(240)
        assert end.wait(240)


class Openings:
    """Counts the threads that open a connection at the same time, each of which takes a little longer."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.most = 0
        threads, connect = set[int](), DatabaseWrapper.get_new_connection

        def slow(wrapper: DatabaseWrapper, *arguments: Any) -> Any:
            threads.add(threading.get_ident())
            self.most = max(self.most, len(threads))
            time.sleep(0.01)
            try:
                return connect(wrapper, *arguments)
            finally:
                threads.discard(threading.get_ident())

        monkeypatch.setattr(DatabaseWrapper, "get_new_connection", slow)


def test_two_hundred_waiters_hold_one_connection_and_all_hear(
    submit: Submit, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.MAX_WAITING_REQUESTS = 200
    job = submit()
    ended: list[str] = []
    asleep = set[Subscription]()
    sleep = Subscription.wait

    def noted(waiter: Subscription, seconds: float) -> bool:
        asleep.add(waiter)
        return sleep(waiter, seconds)

    monkeypatch.setattr(Subscription, "wait", noted)

    def wait() -> None:
        try:
            ended.append(wait_for(job.pk, 120).status)
        except Exception as error:  # noqa: BLE001 - told by the assertion below
            ended.append(repr(error))
        connection.close()

    threads = [threading.Thread(target=wait) for _ in range(200)]
    for thread in threads:
        thread.start()
    eventually(lambda: len(asleep) == 200, seconds=60)
    assert hub.count == 200
    with psycopg.connect(database_url(), autocommit=True) as other:

        def connections() -> int:
            row = other.execute(
                "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
            ).fetchone()
            assert row
            return int(row[0])

        # The test's own, the hub's two (one to listen, one to look), and none per waiter.
        eventually(lambda: connections() <= 3, seconds=60)
    Job.objects.cancel(job.pk)
    openings = Openings(monkeypatch)
    for thread in threads:
        thread.join(240)
    assert ended == ["cancelled"] * 200
    assert openings.most <= 1, "who is told the end opens no connection; the room may have lost its own"
    assert hub.count == 0


def test_a_broken_connection_is_replaced(submit: Submit) -> None:
    with psycopg.connect(database_url(), autocommit=True) as other:
        job = submit()
        own = connection.connection.info.backend_pid
        with hub.subscribe(job.pk, only_end=True) as waiter:
            # All but this one and the test's own.
            others = f"FROM pg_stat_activity WHERE query LIKE '%status%' AND pid NOT IN ({own}, pg_backend_pid())"
            eventually(lambda: other.execute(f"SELECT pg_terminate_backend(pid) {others}").fetchone(), seconds=30)
            eventually(lambda: other.execute(f"SELECT pid {others}").fetchone(), seconds=30)
            Job.objects.cancel(job.pk)
            assert waiter.wait(240)


@pytest.mark.django_db(transaction=True)
def test_a_forked_process_starts_with_an_empty_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waiting, "_IDLE_SECONDS", 0.0)
    room = Hub()
    room._count, room._pid = 7, room._pid + 1
    with room.subscribe(uuid.uuid4()):
        assert room.count == 1
        thread = room._thread
        assert thread is not None
    thread.join(240)
    assert not thread.is_alive(), "it would look into the database of the next test"


def test_a_caller_that_left_is_not_waited_for(submit: Submit) -> None:
    left = threading.Event()
    environ = {HAS_LEFT: left.is_set}
    assert not has_left(environ)
    left.set()
    assert has_left(environ)
    assert wait_for(submit().pk, 3600, has_left=lambda: has_left(environ)).status == Status.QUEUED
    assert hub.count == 0
    assert not has_left({})


def test_a_process_that_ends_sends_everybody_away_and_lets_nobody_in(
    submit: Submit, monkeypatch: pytest.MonkeyPatch
) -> None:
    room = Hub()
    monkeypatch.setattr(wait, "hub", room)
    job = submit()
    found: list[str] = []

    def wait_with_others() -> None:
        found.append(wait_for(job.pk, 3600).status)
        connection.close()

    threads = [threading.Thread(target=wait_with_others) for _ in range(40)]
    for thread in threads:
        thread.start()
    eventually(lambda: room.count == 40, seconds=30)
    openings = Openings(monkeypatch)
    listening = room._thread
    assert listening is not None
    room.drain()
    for thread in threads:
        thread.join(240)
    assert found == [Status.QUEUED] * 40
    assert 1 < openings.most <= READS_AT_ONCE + 1  # the others' turn comes; and the room's own thread
    listening.join(240)
    assert not listening.is_alive()
    assert wait_for(job.pk, 3600).status == Status.QUEUED
    assert room.count == 0
    eventually(lambda: room._thread is None, say="the end of the thread that listens")


def test_requests_beyond_the_limit_are_told_where_to_ask_and_the_others_get_their_picture(
    start_service: StartService, tiny_weights: Path
) -> None:
    service = start_service(MAX_WAITING_REQUESTS="20", ENGINE_BACKEND="torch", JOB_LEASE_SECONDS="10")
    service.import_model(tiny_weights, "tiny-x2")
    answers: list[httpx.Response] = []
    with service.client() as client:
        long = client.post(
            "/api/v1/jobs",
            files={"image": picture(4000, 3000)},
            data={"model": "tiny-x2", "tile_size": "32", "tile_pad": "8"},
        )
        url = long.json()["status_url"]
        eventually(lambda: client.get(url).json()["status"] == "processing", seconds=120)

        def ask(seed: int) -> None:
            with service.client() as own:
                answers.append(
                    own.post("/api/v1/upscale", files={"image": picture(seed=seed)}, data={"model": "tiny-x2"})
                )

        threads = [threading.Thread(target=ask, args=(seed,)) for seed in range(30)]
        for thread in threads:
            thread.start()
        eventually(lambda: len(answers) >= 10, seconds=120)
        assert [answer.status_code for answer in answers] == [202] * 10
        assert client.get("/api/v1/health").status_code == 200
        assert client.get(url).json()["status"] == "processing"
        assert client.post(f"{url}/cancel").status_code in (200, 202)
        for thread in threads:
            thread.join(240)
        assert sorted(answer.status_code for answer in answers) == [200] * 20 + [202] * 10
        for answer in answers:
            if answer.status_code == 202:
                eventually(
                    lambda place=answer.headers["Location"]: client.get(place).json()["status"] == "completed",  # type: ignore[misc]
                    seconds=120,
                )
