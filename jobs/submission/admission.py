"""Admission: whether the service takes another picture, by queue depth, disk, workers and their precisions.

Asked before a row or a file exists.
"""

import os
import threading
import time
from collections.abc import Callable

import psutil
from django.conf import settings
from django.db import connection
from django.db.models import F, Sum
from django.db.models.functions import Coalesce

from jobs.errors import NoWorker, PrecisionUnavailable, QueueFull, StorageFull
from jobs.models.job import Job
from jobs.models.worker import Worker
from jobs.progress.hub import hub
from jobs.states import Status
from jobs.storage.files import free_bytes, pyramid_bytes

_SUM_SECONDS = 5.0
#: Seconds within which a restarted cluster is back.
GRACE_SECONDS = 5.0
#: Web server and workers start together, and the workers take longer: they load torch and warm a model.
START_SECONDS = 120.0
_LOOK_SECONDS = 0.5


def require_queue_room(pictures: int) -> None:
    """Check the length of the queue.

    :raises QueueFull: when ``pictures`` more would be beyond MAX_QUEUED_JOBS. 0 more always have room.
    """
    if not pictures:
        return
    waiting = Job.objects.filter(status=Status.QUEUED).count()
    if waiting + pictures > settings.MAX_QUEUED_JOBS:
        raise QueueFull(f"the queue is full: {waiting} jobs wait, the limit is {settings.MAX_QUEUED_JOBS}")


def require_disk_room(size: int) -> None:
    """Check the storage quota and the free disk.

    :raises StorageFull: when ``size`` more bytes would break the quota or leave too little free disk.
    """
    free = free_bytes()
    if free is not None and free - size < settings.MIN_FREE_DISK_MB * 1_000_000:
        raise StorageFull(
            f"the disk is full: {free // 1_000_000} MB are free, {settings.MIN_FREE_DISK_MB} MB must stay free"
        )
    if settings.MAX_STORAGE_GB and _stored.bytes() + size > settings.MAX_STORAGE_GB * 1e9:
        raise StorageFull(f"the space for pictures is used up: the limit is {settings.MAX_STORAGE_GB:g} GB")


def require_worker(has_left: Callable[[], bool] = lambda: False) -> None:
    """Return as soon as an inference worker with a device is alive; outside of any transaction.

    A worker that was killed counts for one more lease: its supervisor is starting another.

    :raises NoWorker: there is none, after the grace of a service that runs or that has just been started.
    """
    until = time.monotonic() + max(GRACE_SECONDS, START_SECONDS - _age_seconds())
    while not Worker.objects.computing().exists():
        if hub.draining:  # this process is ending and no request will wait in it: the row is enough
            return
        if time.monotonic() >= until or has_left():
            raise NoWorker("no inference worker is running, so this picture would wait for one; POST /jobs accepts it")
        if not connection.in_atomic_block:
            connection.close()  # a waiting request holds no connection
        time.sleep(_LOOK_SECONDS)


def require_precision(precision: str | None) -> None:
    """Return where a living worker computes in that precision, or where none lives that could say so.

    :raises PrecisionUnavailable: no living worker does.
    """
    offers = list(Worker.objects.computing().values_list("precisions", flat=True)) if precision else []
    known = sorted({each for offer in offers for each in offer or ()})
    if not offers or None in offers or precision in known:
        return
    if len(known) == 1:
        raise PrecisionUnavailable(f"precision: no worker computes in {precision} here; there is {known[0]}")
    raise PrecisionUnavailable(f"precision: no worker computes in {precision} here; there are {', '.join(known)}")


class _Stored:
    """Bytes of all pictures by their rows, a few seconds old: the sum reads every row.

    One thread sums, the others go on with what is known; and summing takes a twentieth of the time at most.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._bytes = 0
        self._at: float | None = None
        self._good_for = _SUM_SECONDS

    def bytes(self) -> int:
        """Inputs and results together, and the tiles made of them."""
        if not self._lock.acquire(blocking=self._at is None):
            return self._bytes
        try:
            begun = time.monotonic()
            if self._at is None or begun - self._at > self._good_for:
                total = Job.objects.aggregate(total=Sum(F("input_bytes") + Coalesce(F("result_bytes"), 0)))["total"]
                self._bytes, self._at = int(total or 0) + pyramid_bytes(), time.monotonic()
                self._good_for = max(_SUM_SECONDS, 20 * (self._at - begun))
            return self._bytes
        finally:
            self._lock.release()


_stored = _Stored()


def _age_seconds() -> float:
    return max(0.0, time.time() - psutil.Process(os.getpid()).create_time())
