"""Estimates of the time at which a job ends, from what this installation measured: nothing measured, no estimate."""

import time
from collections.abc import Iterable
from typing import NamedTuple
from uuid import UUID

from django.db.models import Exists

from jobs.models import Job, Pause, Worker
from jobs.models.job_queryset import JobQuerySet
from jobs.progress import throughput
from jobs.progress.throughput import Throughput
from jobs.queue import dispatch
from jobs.states import Status

#: Seconds for which a measurement is cached: a list of jobs and a progress stream ask many times a second.
_FRESH_SECONDS = 5.0
#: Seconds for which the walk along the queue is cached: one poll needs it for the job and for Retry-After.
_QUEUE_SECONDS = 0.5
_walked: tuple[float, dict[UUID, "Place"]] = (0.0, {})
_measured: dict[str, tuple[float, Throughput | None]] = {}


class Place(NamedTuple):
    """A waiting job's place in the queue, from 1, and the seconds until it ends, where they are known."""

    position: int
    seconds: float | None


class Forecast:
    """Places and seconds left of some jobs, by few queries for all of them, and one per model in a few seconds."""

    def __init__(self, jobs: Iterable[Job]) -> None:
        queued = [job.id for job in jobs if job.status == Status.QUEUED]
        self._ahead = _ahead(queued) if queued else {}

    def position(self, job: Job) -> int | None:
        """Return the job's place among those that wait, 1: the next; None when it does not wait."""
        place = self._ahead.get(job.id) if job.status == Status.QUEUED else None
        return place and place.position

    def seconds_left(self, job: Job) -> float | None:
        """Return the seconds until the job ends; None when that is not known, or when it has ended."""
        if job.status == Status.QUEUED:
            place = self._ahead.get(job.id)
            left = place and place.seconds
        elif job.status == Status.PROCESSING:
            left = _running(job)
        else:
            left = None
        return None if left is None else round(left, 1)


def _ahead(queued: Iterable[UUID]) -> dict[UUID, Place]:
    """Return the place of each waiting job, computed anew when one of ``queued`` is not known yet."""
    global _walked  # noqa: PLW0603 - one assignment, so that threads see either walk
    at, found = _walked
    if time.monotonic() - at > _QUEUE_SECONDS or not found.keys() >= set(queued):
        found = _walk()
        _walked = (time.monotonic(), found)
    return found


def _walk() -> dict[UUID, Place]:
    """Walk the queue in the order in which it will be served, adding up what lies before each job."""
    found: dict[UUID, Place] = {}
    columns = ("id", "model", "input_width", "input_height", "input_frames", "options", "paused")
    waiting = Job.objects.waiting().annotate(paused=Exists(Pause.objects.filter(cluster=dispatch.GPU)))
    rows = list(waiting.values_list(*columns))
    workers = max(1, Worker.objects.computing().count())
    # Nobody can say when a pause ends.
    sum_before = None if any(row[-1] for row in rows) else _running_seconds()
    for job_id, model, width, height, frames, options, _ in rows:
        speed = speed_of(model)
        own = speed.seconds(width, height, frames, options.get("outscale")) if speed else None
        known = sum_before is not None and own is not None
        seconds = (sum_before or 0.0) / workers + (own or 0.0) if known else None
        found[job_id] = Place(len(found) + 1, seconds)
        sum_before = (sum_before or 0.0) + (own or 0.0) if known else None  # behind the unknown all is unknown
    return found


def seconds_before(waiting: JobQuerySet) -> float | None:
    """Return the seconds until workers have done what runs now and these waiting jobs; None where that is not known.

    :param waiting: the begin of the queue, in its order.
    """
    last = waiting.reverse().values_list("id", flat=True).first()
    if last is not None:
        place = _ahead([last]).get(last)
        return place and place.seconds
    if Pause.objects.is_on(dispatch.GPU):
        return None
    workers = max(1, Worker.objects.computing().count())
    running = _running_seconds()
    return None if running is None else running / workers


def _running_seconds() -> float | None:
    """Return the seconds of work that are left of the running jobs together; None where one is not known."""
    running = Job.objects.filter(status=Status.PROCESSING)
    left = [_running(job) for job in running]
    return None if None in left else sum(seconds or 0.0 for seconds in left)


def _running(job: Job) -> float | None:
    speed = speed_of(job.model)
    if speed is None:
        return None
    done = job.tiles_done / job.tiles_total if job.tiles_total else 0.0
    whole = speed.seconds(job.input_width, job.input_height, job.input_frames, job.options.get("outscale"))
    return speed.left(whole, done)


def speed_of(model: str) -> Throughput | None:
    """Return a model's measured throughput, up to a few seconds old."""
    now = time.monotonic()
    at, speed = _measured.get(model, (0.0, None))
    if model not in _measured or now - at > _FRESH_SECONDS:
        speed = throughput.measured(model)
        if len(_measured) > 200:  # names of models that are long gone
            _measured.clear()
        _measured[model] = (now, speed)
    return speed
