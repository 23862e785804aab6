"""Examines where pictures and weights are kept: whether all works there, how fast, and the room."""

import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

from django.conf import settings

from jobs.storage.probe import Probe
from monitoring.doctor.finding import Finding, fault, fine, warning
from monitoring.system import existing

AREA = "store"

#: What is written and read again: enough to see the disk behind the memory, and soon done on a slow one.
_PROBE_MB = 32
#: A result of 48 megapixels as PNG has some 60 MB; slower than this, storing it takes longer than a GPU's work.
_SLOW_MB_PER_SECOND = 20.0
#: Share of a disk above which uploads will soon be refused.
_HIGH_PERCENT = 90


def examine() -> Iterator[Finding]:
    """Write, read, list and delete a file of 32 MB in the store of pictures, and look at the room of every disk."""
    yield from _trial()
    yield from _room()


def _trial() -> Iterator[Finding]:
    probe = Probe(_PROBE_MB * 1_000_000)
    try:
        at = time.perf_counter()
        probe.write()
        written = _PROBE_MB / (time.perf_counter() - at)
        at = time.perf_counter()
        whole = probe.is_whole()
        read = _PROBE_MB / (time.perf_counter() - at)
        listed = probe.is_listed()
    finally:
        gone = probe.delete()
    told = f"Pictures: {_PROBE_MB} MB written at {written:.0f} MB/s and read at {read:.0f} MB/s"
    if not whole:
        yield fault(AREA, "Pictures: what was written reads otherwise", "Do not use this disk")
    elif not listed:
        yield fault(
            AREA, "Pictures: a stored file is not listed", "Clean-up would leave files for ever: check the store"
        )
    elif not gone:
        yield fault(AREA, "Pictures: a file could not be deleted", "Let this service's user delete in the store")
    elif min(written, read) < _SLOW_MB_PER_SECOND:
        yield warning(
            AREA, told, "A result takes longer to store than to compute: use a faster disk, or a nearer object storage"
        )
    else:
        yield fine(AREA, told)


def _room() -> Iterator[Finding]:
    seen = set()
    for what, directory in _directories():
        path = existing(directory)
        if (device := path.stat().st_dev) in seen:
            continue
        seen.add(device)
        usage = shutil.disk_usage(path)
        free_mb, percent = usage.free // 1_000_000, round(100 * (1 - usage.free / usage.total))
        told = f"{what}: {free_mb:,} MB of {usage.total // 1_000_000:,} MB are free"
        if not os.access(path, os.W_OK):
            yield fault(AREA, f"{what}: this user may not write there", f"Give {directory} to the service's user")
        elif free_mb < settings.MIN_FREE_DISK_MB:
            advice = f"Make room: uploads are refused below {settings.MIN_FREE_DISK_MB:,} MB (MIN_FREE_DISK_MB)"
            yield fault(AREA, told, advice)
        elif percent >= _HIGH_PERCENT:
            yield warning(AREA, told, "Make room, keep results for less time, or set MAX_STORAGE_GB")
        else:
            yield fine(AREA, told)


def _directories() -> Iterator[tuple[str, Path]]:
    """Yield what this host keeps on its disks: (in words, where)."""
    yield "Uploads", Path(settings.FILE_UPLOAD_TEMP_DIR)
    yield "Data", Path(settings.DATA_DIR)
    yield "Models", Path(settings.MODELS_DIR)
    yield "Copies of models", Path(settings.MODEL_CACHE_DIR)
