"""Ids of events are read back, and places follow the life of a job."""

from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.models import Job
from jobs.progress.events import Position, events_of, news


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
