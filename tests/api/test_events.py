"""Server-sent events: the job's life, replay, heartbeats, the end."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.models import Job
from jobs.progress.events import Position, events_of, news
from tests.api.conftest import is_error, picture
from tests.tiny_models import TINY_MODEL


def stream(api: httpx.Client, job_id: str, last: str = "") -> Iterator[dict[str, Any]]:
    """The events of a job until the stream ends; comments are dropped."""
    headers = {"Last-Event-ID": last} if last else {}
    with api.stream("GET", f"/jobs/{job_id}/events", headers=headers) as response:
        assert response.status_code == 200
        assert response.headers["Content-Type"].startswith("text/event-stream")
        event: dict[str, Any] = {}
        for line in response.iter_lines():
            if not line and "event" in event:
                yield event
            if not line:
                event = {}
            elif not line.startswith(":"):
                name, _, value = line.partition(": ")
                event[name] = json.loads(value) if name == "data" else value


def test_a_life_from_queue_to_end(api: httpx.Client) -> None:
    job_id = api.post("/jobs", files={"image": picture()}, data={"model": TINY_MODEL}).json()["job_id"]
    events = list(stream(api, job_id))
    names = [event["event"] for event in events]
    assert names[0] == "queued"
    assert names[-1] == "completed"
    assert events[-1]["data"]["result_width"] == 24
    assert all(event["data"]["job_id"] == job_id for event in events)
    assert [event["data"]["status"] for event in events if event["event"] != "progress"] == [
        n for n in names if n != "progress"
    ]


def test_progress_is_told_while_it_happens(api: httpx.Client, slow_job: dict[str, Any]) -> None:
    seen = []
    for event in stream(api, slow_job["job_id"]):
        if event["event"] == "progress":
            seen.append(event["data"]["progress"]["tiles_done"])
        if len(seen) == 3:
            api.post(f"/jobs/{slow_job['job_id']}/cancel")
    assert seen == sorted(set(seen)), "each step once, forwards"
    assert len(seen) >= 3
    assert event["event"] == "cancelled"


def test_a_reader_that_comes_back_gets_what_it_missed(api: httpx.Client) -> None:
    job_id = api.post("/jobs", files={"image": picture()}, data={"model": TINY_MODEL}).json()["job_id"]
    events = list(stream(api, job_id))
    later = list(stream(api, job_id, last=events[0]["id"]))
    assert [event["event"] for event in later if event["event"] != "progress"] == ["processing", "completed"]
    over = api.get(f"/jobs/{job_id}/events", headers={"Last-Event-ID": events[-1]["id"]})
    assert over.status_code == 204, "an EventSource stops reconnecting"
    assert [event["event"] for event in stream(api, job_id, last="nonsense")][-1] == "completed"


def test_there_is_no_stream_of_an_unknown_job(api: httpx.Client) -> None:
    assert is_error(api.get("/jobs/nope/events"), 404, "job_not_found")


@pytest.mark.parametrize("text", ["", "x", "1-2-3", "1-2-3-4-5", "zz-1-1-1", "1--1-1", "9" * 200])
def test_ids_that_we_never_gave_out(text: str) -> None:
    assert Position.parse(text) is None


@given(st.integers(0, 2**60), st.integers(0, 1000), st.integers(1, 4), st.integers(0, 10**6))
def test_ids_are_read_back(queued_at: int, attempt: int, stage: int, tiles: int) -> None:
    place = Position(queued_at, attempt, stage, tiles)
    assert Position.parse(str(place)) == place


def a_job(status: str, attempts: int, tiles: int = 0, minutes: int = 0) -> Job:
    """An unsaved row."""
    moment = datetime(2025, 2, 16, tzinfo=UTC) + timedelta(minutes=minutes)
    total = 10 if tiles else None
    started = moment if attempts else None
    return Job(
        id=uuid4(),
        status=status,
        attempts=attempts,
        tiles_done=tiles,
        tiles_total=total,
        queued_at=moment,
        started_at=started,
    )


def test_places_follow_the_life_of_a_job_that_is_lost_and_retried() -> None:
    life = [
        a_job("queued", 0),
        a_job("processing", 1),
        a_job("processing", 1, 3),
        a_job("queued", 1),  # its worker was lost
        a_job("processing", 2),
        a_job("processing", 2, 1),
        a_job("failed", 2, 1),
        a_job("queued", 0, minutes=5),  # retried
        a_job("processing", 1, minutes=5),
        a_job("completed", 1, 10, minutes=5),
    ]
    places = [events_of(job)[-1].place for job in life]
    assert places == sorted(places)
    assert len(set(places)) == len(places)


def test_a_place_that_was_given_back_is_told_nevertheless() -> None:
    """A worker that is asked to stop hands its job back, and its attempt does not count: the id goes backwards."""
    seen = events_of(a_job("processing", 1, 3))[-1].place
    assert [event.name for event in news(a_job("queued", 0), seen)] == ["queued"]
    assert news(a_job("processing", 1, 3), seen) == []
