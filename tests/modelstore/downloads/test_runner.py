"""From a waiting row to a verified file: the road of the io cluster and of the command."""

import threading
from pathlib import Path
from typing import Any

import pytest
from django.db import connection

from modelstore.downloads import requests, runner
from modelstore.models import Model
from modelstore.states import State
from tests.eventually import eventually
from tests.modelstore import liar as lies
from tests.modelstore.conftest import TestOfficial, make_official
from tests.modelstore.liar import Liar
from tests.rings import rings


def in_thread(work: Any) -> threading.Thread:
    def run() -> None:
        try:
            work()
        finally:
            connection.close()

    thread = threading.Thread(target=run)
    thread.start()
    return thread


def test_an_ordered_model_is_downloaded_verified_and_ready(official: TestOfficial, models_dir: Path) -> None:
    with rings() as heard:
        requests.order([official.name])
        assert heard() == ["io"]
    runner.run_waiting()
    row = official.row
    assert (row.state, row.error, row.notes) == (State.READY, "", "")
    assert row.source.endswith(official.github)
    assert (models_dir / row.file_name).read_bytes() == official.content
    assert row.ready_at is not None


def test_the_wanted_provider_is_asked_first(official: TestOfficial, liar: Liar) -> None:
    requests.order([official.name], "huggingface")
    runner.run_waiting()
    assert liar.asked(official.huggingface) == 1
    assert liar.asked(official.github) == 0
    assert official.row.state == State.READY


def test_a_wrong_mirror_falls_to_the_next_source_and_says_so(official: TestOfficial) -> None:
    official.on_huggingface(lies.other_bytes)
    requests.order([official.name], "huggingface")
    runner.run_waiting()
    row = official.row
    assert row.state == State.READY
    assert row.notes.startswith("huggingface someone/models: wrong bytes")
    assert row.source.endswith(official.github)


def test_a_retry_after_that_is_no_time_does_not_keep_from_the_next_source(official: TestOfficial) -> None:
    """Python's parser of dates raises OverflowError for it."""
    official.on_huggingface(lies.status(503, Retry_After="Mon, 01 Jan 2024 00:00:00 +99999999999999999"))
    requests.order([official.name], "huggingface")
    runner.run_waiting()
    assert official.row.state == State.READY
    assert official.row.notes.startswith("huggingface someone/models: HTTP 503")


def test_a_provider_that_does_not_have_the_model_is_named(official: TestOfficial) -> None:
    Model.objects.filter(name=official.name).update(sources=[["github", f"v0/{official.name}.pth"]])
    requests.order([official.name], "huggingface")
    runner.run_waiting()
    assert official.row.notes == "huggingface does not have this model"


def test_when_every_source_fails_the_row_says_why_and_nothing_is_kept(official: TestOfficial, models_dir: Path) -> None:
    official.on_github(lies.status(500))
    official.on_huggingface(lies.login_page)
    requests.order([official.name])
    runner.run_waiting()
    row = official.row
    assert row.state == State.FAILED
    assert row.error.startswith(
        "github: HTTP 500; huggingface someone/models: wrong bytes: the server announces 26 bytes"
    )
    assert list(models_dir.iterdir()) == []


def test_after_a_failure_it_can_be_ordered_again(official: TestOfficial) -> None:
    official.on_github(lies.status(403))
    official.on_huggingface(lies.status(403))
    requests.order([official.name])
    runner.run_waiting()
    official.on_github(lies.good)
    requests.order([official.name])
    runner.run_waiting()
    assert official.row.state == State.READY


def test_a_model_that_is_here_makes_no_traffic(official: TestOfficial, liar: Liar) -> None:
    requests.order([official.name])
    runner.run_waiting()
    seen = len(liar.requests)
    requests.order([official.name])
    runner.run_waiting()
    assert len(liar.requests) == seen
    assert requests.outcome([official.name]).downloaded == [official.name]


def test_a_genuine_file_that_lies_there_makes_no_traffic(official: TestOfficial, models_dir: Path, liar: Liar) -> None:
    models_dir.mkdir()
    (models_dir / f"{official.name}.pth").write_bytes(official.content)
    requests.order([official.name])
    runner.run_waiting()
    assert official.row.state == State.READY
    assert liar.requests == []


def test_many_who_ask_share_one_download(official: TestOfficial, liar: Liar) -> None:
    gate = threading.Event()
    official.on_github(lies.gated(500, gate))
    threads = [in_thread(lambda: requests.order([official.name])) for _ in range(5)]
    for thread in threads:
        thread.join()
    workers = [in_thread(runner.run_waiting) for _ in range(5)]
    eventually(lambda: liar.asked(official.github) >= 1)
    requests.order([official.name])
    gate.set()
    for worker in workers:
        worker.join()
    assert liar.asked(official.github) == 1
    assert official.row.state == State.READY


def test_several_models_are_downloaded_side_by_side(official: TestOfficial, liar: Liar) -> None:
    """Two gated downloads: each waits until the other has begun, so one after the other would never end."""
    other = make_official("test-official-two", official.content[:-1] + b"!", liar)
    begun: dict[str, threading.Event] = {official.name: threading.Event(), other.name: threading.Event()}

    def wait_for_the_other(mine: str, theirs: str) -> lies.Behaviour:
        def behave(handler: lies.Handler, content: bytes) -> None:
            begun[mine].set()
            assert begun[theirs].wait(240)
            lies.good(handler, content)

        return behave

    official.on_github(wait_for_the_other(official.name, other.name))
    other.on_github(wait_for_the_other(other.name, official.name))
    requests.order([official.name, other.name])
    workers = [in_thread(runner.run_waiting) for _ in range(2)]
    for worker in workers:
        worker.join()
    assert official.row.state == other.row.state == State.READY


def test_progress_is_in_the_row_while_it_runs(official: TestOfficial) -> None:
    gate = threading.Event()
    half = len(official.content) // 2
    official.on_github(lies.gated(half, gate))
    requests.order([official.name])
    worker = in_thread(runner.run_waiting)
    try:
        eventually(lambda: official.row.received_bytes == half)
        row = official.row
        assert row.state == State.DOWNLOADING
        assert 48 <= row.percent <= 50
    finally:
        gate.set()
        worker.join()
    assert official.row.state == State.READY


def test_a_cancelled_download_stops_and_stays_cancelled(official: TestOfficial, models_dir: Path) -> None:
    gate = threading.Event()
    official.on_github(lies.gated(500, gate))
    requests.order([official.name])
    worker = in_thread(runner.run_waiting)
    eventually(lambda: official.row.received_bytes == 500)
    assert Model.objects.cancel(official.name)
    eventually(lambda: official.row.state == State.MISSING)
    gate.set()
    worker.join()
    assert official.row.state == State.MISSING
    assert not (models_dir / f"{official.name}.pth").exists()


def test_a_full_disk_is_said(official: TestOfficial) -> None:
    Model.objects.filter(name=official.name).update(size_bytes=10**17)
    requests.order([official.name])
    runner.run_waiting()
    assert "the disk is full" in official.row.error


def test_a_directory_that_cannot_be_made_is_said(official: TestOfficial, models_dir: Path) -> None:
    models_dir.write_text("a file where the directory should be")
    requests.order([official.name])
    runner.run_waiting()
    assert official.row.state == State.FAILED
    assert "cannot be written" in official.row.error


def test_a_stop_gives_the_row_back_and_rings(official: TestOfficial, models_dir: Path) -> None:
    class Stop(BaseException):
        """As django-q's TimeoutException and SystemExit: not an Exception."""

    def stop(here: int) -> None:
        if here:
            raise Stop

    claim = Model.objects.claim("worker", name=official.name)
    assert claim is not None
    with rings() as heard:
        with pytest.raises(Stop):
            runner.work_on(claim, on_progress=stop)
        assert heard() == ["io"]
    assert (official.row.state, official.row.attempts) == (State.REQUESTED, 0)
    runner.run_waiting()
    assert official.row.state == State.READY
    assert [path.name for path in models_dir.iterdir()] == [f"{official.name}.pth"]


def test_the_sweep_rings_for_a_lost_download(official: TestOfficial) -> None:
    claim = Model.objects.claim("worker that dies", name=official.name)
    assert claim is not None
    with rings() as heard:
        assert runner.sweep() == 0
        assert heard() == []
        Model.objects.filter(pk=claim.pk).update(lease_until="2020-01-01T00:00Z")
        assert runner.sweep() == 1
        assert heard() == ["io"]
        assert runner.sweep() == 0
        assert heard() == []  # it does not ring again and again
    runner.run_waiting()
    assert official.row.state == State.READY


def test_only_so_many_calls_wait_for_a_download_and_none_holds_a_connection(official: TestOfficial) -> None:
    """Each holds a thread of the web server: the others are told at once that it goes on."""
    gate = threading.Event()
    official.on_github(lies.gated(500, gate))
    requests.order([official.name])
    worker = in_thread(runner.run_waiting)
    answers: list[requests.DownloadsState] = []
    calls: list[threading.Thread] = []
    try:
        eventually(lambda: official.row.state == State.DOWNLOADING)
        open_before = connections_of_the_database()
        wait = lambda: answers.append(requests.wait_for([official.name], 120))  # noqa: E731
        calls += [in_thread(wait) for _ in range(requests.MOST_WAITING + 3)]
        eventually(lambda: len(answers) == 3, say="the answers to those beyond the limit")
        assert all(answer.downloading == [official.name] for answer in answers)
        eventually(lambda: connections_of_the_database() <= open_before, say="a look at which all waiters sleep")
    finally:
        gate.set()
        for thread in [worker, *calls]:
            thread.join()
    assert len(answers) == requests.MOST_WAITING + 3
    assert sum(answer.downloaded == [official.name] for answer in answers) == requests.MOST_WAITING


def connections_of_the_database() -> int:
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()")
        return int(cursor.fetchone()[0])
