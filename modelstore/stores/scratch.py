"""The directory of this host in which files are written before they are stored elsewhere, and lent while they are read.

What a kill leaves in it goes after a day, when a later process first uses it, and from then on once an hour.
"""

import logging
import os
import re
import shutil
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from django.conf import settings

from modelstore.errors import StorageUnavailable

logger = logging.getLogger(__name__)

FETCHED = "fetched"
_BLOCK = 1 << 20
_LEFT_SECONDS = 24 * 3600.0
_TIDY_SECONDS = 3600.0
#: Drafts, fetched files, and uploads as `tempfile` names them; nothing else here is ours.
_OURS = re.compile(r".+\.part|[0-9a-f]{32}\.fetched(\.[a-z0-9]{1,10})?|tmp[a-z0-9_]{8}\.upload")
#: Seconds that a fetch may take: for the first byte, and for each 100 kB.
_FETCH_SECONDS = 60.0
_LEAST_RATE = 100_000.0


class Scratch:
    """Files that nobody misses."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._tidied_at: float | None = None

    def draft(self, name: str) -> Path:
        """Return the path for a draft of that name; its directory is there."""
        self._tidy()
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        return path

    @contextmanager
    def fetched(self, file: IO[bytes], name: str, size: int) -> Iterator[Path]:
        """Write what ``file`` holds to a file of this host; it goes with the block.

        :raises StorageUnavailable: it came too slowly, not whole, or this host's disk has no room for it.
        """
        path = self.draft(f"{FETCHED}/{uuid.uuid4().hex}.fetched{Path(name).suffix}")
        self._require_room(size)
        try:
            if self._write(file, path, size) != size:
                raise StorageUnavailable("The object storage sends less than it promised", name)
            yield path
        finally:
            with suppress(OSError):  # the next tidying finds it
                path.unlink(missing_ok=True)

    def _write(self, file: IO[bytes], path: Path, size: int) -> int:
        until = time.monotonic() + _FETCH_SECONDS + size / _LEAST_RATE
        written = 0
        with path.open("wb") as target:
            while block := file.read(_BLOCK):
                target.write(block)
                written += len(block)
                if time.monotonic() > until:
                    raise StorageUnavailable("The object storage is too slow", f"{written} of {size} bytes came")
        return written

    def _require_room(self, size: int) -> None:
        free = shutil.disk_usage(self.root).free
        if free - size < settings.MIN_FREE_DISK_MB * 1_000_000:
            raise StorageUnavailable(
                "The disk of FILES_DIR on a host is full: make room, or lower MIN_FREE_DISK_MB",
                f"{free} bytes are free",
            )

    def _tidy(self) -> None:
        now = time.monotonic()
        if self._tidied_at is not None and now - self._tidied_at < _TIDY_SECONDS:
            return
        self._tidied_at = now
        before = time.time() - _LEFT_SECONDS
        for directory, _, entries in os.walk(self.root):
            for entry in entries:
                path = Path(directory, entry)
                if not _OURS.fullmatch(entry):
                    continue
                with suppress(FileNotFoundError):
                    if path.lstat().st_ctime < before:
                        path.unlink()
                        logger.info("left over in the scratch directory, deleted path=%s", path)
