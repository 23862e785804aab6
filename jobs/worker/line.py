"""A worker's line of jobs: while the device computes one, the next is decoded and the last one is encoded and stored.

One thread uses the device, and it is the one that calls `Line.run`. At most one job is ahead of it: taken shortly
before the device is free, never when another worker might start it sooner, and handed back when a more urgent one has
come.

A job that has lost an attempt is alone in its process. One that kills the process each time would take its neighbours'
attempts with it, and both would fail.
"""

import logging
import os
import sys
import threading
import time
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from datetime import timedelta
from typing import NoReturn

from django.conf import settings
from django.db import DatabaseError, close_old_connections, connections
from django.db.models import F
from django.db.models.functions import Now

from jobs import chains
from jobs.models.job import Job
from jobs.queue import shared_state
from jobs.worker import registration, runtime
from jobs.worker.attempt import Attempt
from jobs.worker.clerk import Clerk
from jobs.worker.db_retry import retried
from modelstore import tracing

logger = logging.getLogger(__name__)

#: Seconds before the device's expected end of a job in which the next one is taken: a large JPEG takes as long to read.
_AHEAD_SECONDS = 2.0
#: Seconds after which a job that is ahead still is handed back: the end was expected too early.
_HOLD_SECONDS = 5.0
#: Seconds of a job's computing below which nobody looks for a more urgent one just before: that would take as long.
_BRIEF_SECONDS = 0.2
_LOOK_SECONDS = 0.2
#: Seconds of the device's work in which it is not worth while to look.
_SOON_SECONDS = 0.005
#: Seconds after a look at the queue in which it would tell the same.
_JUST_NOW_SECONDS = 0.02
#: An idle worker takes a job sooner than that.
_IDLE_WORKERS_NEED = timedelta(milliseconds=100)
#: Encoders that are worth having beside one device, and cores of the machine for each of them.
_MOST_ENCODERS, _CORES_EACH = 4, 4
#: Below the device's thread: what it waits for comes first.
_NICENESS = 5
_JPEG_BYTES, _OTHER_BYTES = 3, 8  # of a pixel: RGB in 8 bit, RGBA in 16
_USUAL_SCALE = 4.0


class Line:
    """One per worker process, made after the fork by the thread that uses the device."""

    def __init__(self) -> None:
        self._me = registration.mine()
        self._clerk = Clerk()
        self._encoders = max(1, min(_MOST_ENCODERS, _cores() // _CORES_EACH))
        self._before = ThreadPoolExecutor(1, "before", initializer=_stand_back)
        self._after = ThreadPoolExecutor(self._encoders, "after", initializer=_stand_back)
        self._finishing: set[Future[None]] = set()
        self._held: dict[Attempt, int] = {}  # bytes of the pictures of each job in hand
        self._lock = threading.Lock()
        self._pace: dict[str, float] = {}  # seconds per input megapixel, of the last job of each model

    def run(self) -> None:
        """Work on waiting jobs, the best one first, until none waits or the cluster stops.

        Ends the process where its device is lost: it would take and spoil job after job. Its successor looks for one.

        :raises OperationalError, InterfaceError: the database did not answer.
        """
        connections.close_all()  # of this thread, which asks the clerk from now on
        self._clerk.ask(close_old_connections)
        ahead: Future[Attempt | None] | None = None
        attempt: Attempt | None = None
        try:
            while True:
                coming, ahead = ahead, None
                attempt = (coming.result() if coming else None) or self._take()
                if attempt is not None:
                    if settings.PIPELINE_MEMORY_MB and not _is_alone(attempt.job):
                        ahead = self._before.submit(self._look_ahead, attempt)
                    self._compute(attempt)
                    if attempt.lost_device:
                        break
                elif self._finishing and not _stops():
                    looked = time.monotonic()
                    self._wait_for_one(_LOOK_SECONDS)  # and look again: another job may have come
                    if not self._finishing and time.monotonic() - looked < _JUST_NOW_SECONDS:
                        break  # the broker looks, too, when this worker is idle
                else:
                    break
        finally:
            self._close(ahead)
        if attempt is not None:
            self._end_without_device()
        runtime.give_memory_back()

    def _close(self, ahead: "Future[Attempt | None] | None") -> None:
        """End in good order: what is computed is finished, what is not goes back."""
        try:
            late = ahead.result() if ahead else None
            if late:
                self._hand_back(late)
        finally:
            wait(self._finishing)
            self._finishing.clear()
            self._me.current_job = None
            if _stops():
                tracing.flush()
            connections.close_all()  # this thread reads weights again that were found damaged

    # --- The device's thread
    def _take(self) -> Attempt | None:
        """Take the best waiting job and prepare it; None when none waits, or the cluster stops."""
        while not _stops():
            job = self._clerk.ask(Job.objects.claim, self._me.id)
            if job is None:
                return None
            attempt = self._begin(job)
            while self._finishing and (_is_alone(job) or not self._fits(0)):
                self._wait_for_one()
            if attempt.prepare():
                return attempt
            self._finish(attempt)
        return None

    def _compute(self, attempt: Attempt) -> None:
        while len(self._finishing) > self._encoders:
            self._wait_for_one()
        self._me.current_job = attempt.job.id
        attempt.compute()
        if attempt.infer_seconds is not None:
            self._pace[attempt.job.model] = attempt.infer_seconds / _megapixels(attempt.job)
        if settings.PIPELINE_MEMORY_MB and not _is_alone(attempt.job):
            self._finishing.add(self._after.submit(self._finish, attempt))
        else:
            self._finish(attempt)

    def _wait_for_one(self, seconds: float | None = None) -> None:
        """Wait until one more job is finished, or that long."""
        _, self._finishing = wait(self._finishing, seconds, FIRST_COMPLETED)

    def _end_without_device(self) -> NoReturn:
        logger.critical("worker ends: its device is lost worker=%s pid=%d", self._me.id, os.getpid())
        self._me.leave()
        os._exit(1)  # a normal exit would ask the dead device to free its memory

    # --- The thread before it
    def _look_ahead(self, current: Attempt) -> Attempt | None:
        """Return the next job, prepared, when ``current`` is computed; None: its successor is to be looked for then."""
        look_in = _SOON_SECONDS
        while not current.computed.wait(look_in):
            look_in = _LOOK_SECONDS
            attempt = self._claim_beside(current) if self._remaining(current) <= _AHEAD_SECONDS else None
            if attempt is None:
                continue
            if not attempt.prepare():
                self._finish(attempt)
            elif self._keeps(attempt, current):
                return attempt
            else:
                self._hand_back(attempt)
                break
        return None

    def _remaining(self, current: Attempt) -> float:
        """Return the seconds that the device will still take, as far as its tiles or the last pictures tell."""
        elapsed = time.monotonic() - current.begun
        done, total = current.heartbeat.tiles
        if done and total:
            return elapsed / done * (total - done)
        pace = self._pace.get(current.job.model)
        return float("inf") if pace is None else pace * _megapixels(current.job) - elapsed

    def _claim_beside(self, current: Attempt) -> Attempt | None:
        """Take the best waiting job, if it bears company, its pictures have room, and ``current`` is still computed."""
        head = self._clerk.ask(_head)
        if head is None or head.attempts or not self._fits(_picture_bytes(head)) or current.computed.is_set():
            return None
        job = self._clerk.ask(Job.objects.claim, self._me.id)
        if job is None:
            return None
        attempt = self._begin(job)
        if _is_alone(job) or not self._fits(0):  # it was another one than the head
            self._hand_back(attempt)
            return None
        return attempt

    def _keeps(self, attempt: Attempt, current: Attempt) -> bool:
        """Wait for the device; return False if the job is to be handed back instead."""
        until = time.monotonic() + _HOLD_SECONDS
        while not current.computed.wait(_LOOK_SECONDS):
            if time.monotonic() >= until or _stops() or attempt.heartbeat.reason:
                return False
        pace = self._pace.get(attempt.job.model)
        if pace is not None and pace * _megapixels(attempt.job) < _BRIEF_SECONDS:
            return not _stops()
        try:
            return not _stops() and not self._clerk.ask(_is_outranked, attempt.job)
        except DatabaseError:
            return False

    # --- All of them
    def _begin(self, job: Job) -> Attempt:
        waited = (job.started_at - job.queued_at).total_seconds() if job.started_at else 0.0
        attempt = Attempt(job, self._clerk)
        with attempt.trace.current():
            logger.info(
                "job claimed job=%s worker=%s attempt=%d waited=%.3f", job.id, self._me.id, job.attempts, waited
            )
        with self._lock:
            self._held[attempt] = _picture_bytes(job)
        return attempt

    def _finish(self, attempt: Attempt) -> None:
        attempt.finish()
        with self._lock:
            del self._held[attempt]
            self._me.jobs_done += 1

    def _hand_back(self, attempt: Attempt) -> None:
        attempt.hand_back()
        with self._lock:
            del self._held[attempt]

    def _fits(self, size: int) -> bool:
        with self._lock:
            return sum(self._held.values()) + size <= settings.PIPELINE_MEMORY_MB * 1_000_000


@retried
def _head() -> Job | None:
    """Return the job that would be claimed now, if it has waited for so long that no worker is idle."""
    head = Job.objects.waiting().filter(queued_at__lte=Now()).annotate(waited=Now() - F("queued_at")).first()
    return head if head is not None and vars(head)["waited"] > _IDLE_WORKERS_NEED else None


@retried
def _is_outranked(job: Job) -> bool:
    """Return whether a more urgent job waits."""
    return Job.objects.waiting().filter(queued_at__lte=Now(), priority__gt=job.priority).exists()


def _picture_bytes(job: Job) -> int:
    """Return about how many bytes the job's pictures take, before and after."""
    scale = job.job_options.outscale or min(_USUAL_SCALE ** len(chains.split(job.model)), 16.0)
    pixel = _JPEG_BYTES if job.input_format == "jpeg" else _OTHER_BYTES
    return int(job.input_width * job.input_height * job.input_frames * pixel * (1 + scale * scale))


def _is_alone(job: Job) -> bool:
    """Return whether the job has lost an attempt, and is not to be beside another one."""
    return job.attempts > 1


def _megapixels(job: Job) -> float:
    return job.input_width * job.input_height * job.input_frames / 1e6


def _stops() -> bool:
    return shared_state.must_stop()[0]


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1


def _stand_back() -> None:
    """Let this thread, and those that it starts, come after the device's thread. Only Linux has that by thread."""
    if sys.platform == "linux":
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _NICENESS)


_line: Line | None = None
_owner = 0


def run() -> None:
    """Run this process's line: see `Line.run`."""
    global _line, _owner
    if _line is None or _owner != os.getpid():
        _line, _owner = Line(), os.getpid()
    _line.run()
