"""Estimates of the time at which a job ends, from what this installation measured: nothing measured, no estimate."""

import time
from collections.abc import Iterable
from uuid import UUID

from jobs.models import Job, Worker
from jobs.progress import throughput
from jobs.progress.throughput import Throughput
from jobs.states import Status

#: Seconds for which a measurement is cached: a list of jobs and a progress stream ask many times a second.
_FRESH_SECONDS = 5.0
#: Seconds for which the walk along the queue is cached: one poll needs it for the job and for Retry-After.
_QUEUE_SECONDS = 0.5
_walked: tuple[float, dict[UUID, float | None]] = (0.0, {})
_measured: dict[str, tuple[float, Throughput | None]] = {}


class Forecast:
    """Seconds left of some jobs, by at most two queries for all of them, and one per model in a few seconds."""

    def __init__(self, jobs: Iterable[Job]) -> None:
        queued = [job.id for job in jobs if job.status == Status.QUEUED]
        self._ahead = _ahead(queued) if queued else {}

    def seconds_left(self, job: Job) -> float | None:
        """Return the seconds until the job ends; None when that is not known, or when it has ended."""
        if job.status == Status.QUEUED:
            left = self._ahead.get(job.id)
        elif job.status == Status.PROCESSING:
            left = _running(job)
        else:
            left = None
        return None if left is None else round(left, 1)


def _ahead(queued: Iterable[UUID]) -> dict[UUID, float | None]:
    """Return the seconds until each waiting job ends, computed anew when one of ``queued`` is not known yet."""
    global _walked  # noqa: PLW0603 - one assignment, so that threads see either walk
    at, found = _walked
    if time.monotonic() - at > _QUEUE_SECONDS or not found.keys() >= set(queued):
        found = _walk()
        _walked = (time.monotonic(), found)
    return found


def _walk() -> dict[UUID, float | None]:
    """Walk the queue in the order in which it will be served, adding up what lies before each job."""
    found: dict[UUID, float | None] = {}
    workers = max(1, Worker.objects.computing().count())
    sum_before = _running_seconds()
    columns = ("id", "model", "input_width", "input_height", "input_frames", "options")
    for job_id, model, width, height, frames, options in Job.objects.waiting().values_list(*columns):
        speed = _speed(model)
        own = speed.seconds(width, height, frames, options.get("outscale")) if speed else None
        known = sum_before is not None and own is not None
        found[job_id] = (sum_before or 0.0) / workers + (own or 0.0) if known else None
        sum_before = (sum_before or 0.0) + (own or 0.0) if known else None  # behind the unknown all is unknown
    return found


def seconds_before_a_new_job() -> float | None:
    """Return the seconds until a worker has done all that waits or runs now; None where that is not known."""
    waiting = list(Job.objects.waiting().values_list("id", flat=True))
    if waiting:
        return _ahead(waiting)[waiting[-1]]
    workers = max(1, Worker.objects.computing().count())
    running = _running_seconds()
    return None if running is None else running / workers


def _running_seconds() -> float | None:
    """Return the seconds of work that are left of the running jobs together; None where one is not known."""
    running = Job.objects.filter(status=Status.PROCESSING)
    left = [_running(job) for job in running]
    return None if None in left else sum(seconds or 0.0 for seconds in left)


def _running(job: Job) -> float | None:
    speed = _speed(job.model)
    if speed is None:
        return None
    done = job.tiles_done / job.tiles_total if job.tiles_total else 0.0
    whole = speed.seconds(job.input_width, job.input_height, job.input_frames, job.options.get("outscale"))
    return speed.left(whole, done)


def _speed(model: str) -> Throughput | None:
    now = time.monotonic()
    at, speed = _measured.get(model, (0.0, None))
    if model not in _measured or now - at > _FRESH_SECONDS:
        speed = throughput.measured(model)
        if len(_measured) > 200:  # names of models that are long gone
            _measured.clear()
        _measured[model] = (now, speed)
    return speed
