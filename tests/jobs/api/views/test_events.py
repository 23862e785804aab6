"""The stream of a waiting job: its place, told whenever it is another one than the reader knows."""

import json
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest

from jobs import actions
from jobs.api.views.events import EventStream
from jobs.models import Job
from jobs.progress import eta
from jobs.progress.events import Position, events_of
from tests.jobs import made

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def _fresh_places(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(eta, "_QUEUE_SECONDS", 0.0)  # else the places of another moment may be kept for a while


def told(stream: EventStream) -> Iterator[tuple[str, dict[str, Any]]]:
    """The events as they come: (name, data)."""
    for piece in stream:
        fields = dict(line.split(": ", 1) for line in piece.decode().splitlines() if ": " in line)
        if "event" in fields:
            yield fields["event"], json.loads(fields["data"])


def place(job: Job, seen: Position | None = None) -> Iterator[tuple[str, int | None]]:
    with closing(EventStream(job.id, seen)) as stream:
        for name, data in told(stream):
            yield name, data["queue_position"]


def test_a_move_just_after_the_first_event_is_told() -> None:
    first, second = made.queued(), made.queued()
    places = place(second)
    assert next(places) == ("queued", 2)
    actions.cancel(Job.objects.all(), first.id)  # before the stream looks again
    assert next(places) == ("queue", 1)
    actions.cancel(Job.objects.all(), second.id)
    assert next(places) == ("cancelled", None)
    assert next(places, None) is None


def test_a_reader_that_comes_back_is_told_where_the_job_is_now() -> None:
    first, second = made.queued(), made.queued()
    (waits,) = events_of(second)
    actions.cancel(Job.objects.all(), first.id)
    places = place(second, waits.place)
    assert next(places) == ("queue", 1)
    places.close()  # type: ignore[attr-defined]
