"""Whether the service can take another picture: queue depth and disk. Asked before a row or a file exists."""

import shutil
import threading
import time

from django.conf import settings
from django.db.models import F, Sum
from django.db.models.functions import Coalesce

from jobs.errors import QueueFull, StorageFull
from jobs.models.job import Job
from jobs.states import Status
from jobs.storage.files import path_of

_RETRY_AFTER_SECONDS = 10
_SUM_SECONDS = 5.0


def require_queue_room(pictures: int) -> None:
    """:raises QueueFull: ``pictures`` more would be beyond MAX_QUEUED_JOBS. None more always have room."""
    if not pictures:
        return
    waiting = Job.objects.filter(status=Status.QUEUED).count()
    if waiting + pictures > settings.MAX_QUEUED_JOBS:
        raise QueueFull(
            f"the queue is full: {waiting} jobs wait, the limit is {settings.MAX_QUEUED_JOBS}",
            retry_after=_RETRY_AFTER_SECONDS,
        )


def require_disk_room(size: int) -> None:
    """:raises StorageFull: ``size`` more bytes would break the quota or leave too little free disk."""
    root = path_of("")
    root.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(root).free
    if free - size < settings.MIN_FREE_DISK_MB * 1_000_000:
        raise StorageFull(
            f"the disk is full: {free // 1_000_000} MB are free, {settings.MIN_FREE_DISK_MB} MB must stay free"
        )
    if settings.MAX_STORAGE_GB and _stored.bytes() + size > settings.MAX_STORAGE_GB * 1e9:
        raise StorageFull(f"the space for pictures is used up: the limit is {settings.MAX_STORAGE_GB:g} GB")


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
        """Inputs and results together."""
        if not self._lock.acquire(blocking=self._at is None):
            return self._bytes
        try:
            begun = time.monotonic()
            if self._at is None or begun - self._at > self._good_for:
                total = Job.objects.aggregate(total=Sum(F("input_bytes") + Coalesce(F("result_bytes"), 0)))["total"]
                self._bytes, self._at = int(total or 0), time.monotonic()
                self._good_for = max(_SUM_SECONDS, 20 * (self._at - begun))
            return self._bytes
        finally:
            self._lock.release()


_stored = _Stored()
