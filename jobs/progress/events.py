"""A job's life as events, read off its row: nothing is logged for it, so nothing can be lost.

Each event has a place in the job's life, its id in the stream. A reader that comes back says which id it saw last, and
is told what came since, as far as the row still knows it: that a job started, how far it is, how it ended.
"""

from dataclasses import dataclass
from datetime import datetime
from functools import total_ordering
from typing import Any

from jobs.models import Job
from jobs.states import TERMINAL, Status

#: The fields that a queued job does not have yet.
_SET_LATER = ("started_at", "completed_at", "processing_time_seconds", "error", "error_code", "eta_seconds")
_STARTED, _PROGRESS, _QUEUED, _ENDED = 1, 2, 3, 4


@total_ordering
@dataclass(frozen=True)
class Position:
    """The point in a job's life at which an event stands.

    ``queued_at`` (microseconds) grows with every retry and ``attempt`` with every claim. Being handed back to the queue
    comes after the attempt that was handed back.
    """

    queued_at: int
    attempt: int
    stage: int
    tiles: int

    def __lt__(self, other: "Position") -> bool:
        mine = (self.queued_at, self.attempt, self.stage, self.tiles)
        return mine < (other.queued_at, other.attempt, other.stage, other.tiles)

    def __str__(self) -> str:
        return f"{self.queued_at:x}-{self.attempt}-{self.stage}-{self.tiles}"

    @classmethod
    def parse(cls, text: str) -> "Position | None":
        """Read an id back; None for what we never gave out."""
        parts = text.strip().split("-")
        if len(text) > 80 or len(parts) != 4 or not all(part.isalnum() and part.isascii() for part in parts):
            return None
        try:
            return cls(int(parts[0], 16), int(parts[1]), int(parts[2]), int(parts[3]))
        except ValueError:
            return None


@dataclass(frozen=True)
class JobEvent:
    """One event: ``name`` is the event's type, ``then`` what was different in the job at that moment."""

    place: Position
    name: str
    then: dict[str, Any]

    @property
    def last(self) -> bool:
        """Nothing follows, unless somebody retries the job."""
        return self.place.stage == _ENDED


def events_of(job: Job) -> list[JobEvent]:
    """Return the events of the job's life since it was last queued, as the row tells them, oldest first."""
    at = int(job.queued_at.timestamp() * 1_000_000)
    now = job.attempts
    blank = dict.fromkeys(_SET_LATER) | {"progress": {"tiles_done": 0, "tiles_total": None, "fraction": None}}
    if job.status == Status.QUEUED:
        return [JobEvent(Position(at, now, _QUEUED, 0), "queued", {})]
    events = [JobEvent(Position(at, 0, _QUEUED, 0), "queued", {**blank, "status": "queued"})]
    if job.started_at is not None and now > 0:
        then = {**blank, "status": "processing", "started_at": _iso(job.started_at)}
        events.append(JobEvent(Position(at, now, _STARTED, 0), "processing", then))
        if job.tiles_total:
            progress = {"tiles_done": job.tiles_done, "tiles_total": job.tiles_total,
                        "fraction": job.tiles_done / job.tiles_total}  # fmt: skip
            ended = {**then, "progress": progress} if job.status in TERMINAL else {}
            events.append(JobEvent(Position(at, now, _PROGRESS, job.tiles_done), "progress", ended))
    if job.status in TERMINAL:
        events.append(JobEvent(Position(at, now, _ENDED, 0), job.status, {}))
    return events


def news(job: Job, seen: Position | None) -> list[JobEvent]:
    """Return the events after ``seen`` (None: all), and at least the present one unless it was seen.

    A job that was handed back to the queue has an earlier position; its present state is returned all the same.
    """
    events = events_of(job)
    if seen is None:
        return events
    fresh = [event for event in events if event.place > seen]
    if not fresh and events[-1].place != seen:
        fresh = events[-1:]
    return fresh


def _iso(moment: datetime) -> str:
    return moment.isoformat().replace("+00:00", "Z")
