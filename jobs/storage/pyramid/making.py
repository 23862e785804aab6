"""Making pyramids on demand, outside of requests: one child process at a time for each web process, the rest wait.

Nothing is written down about what is wanted: whoever wants a pyramid asks again until it is there, so a restart loses
nothing. Two web processes may make the same one; the files are equal, and the later one replaces the earlier.
"""

import json
import logging
import subprocess
import sys
import threading
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from django.conf import settings

from jobs.engine.backends.memory import free_host_bytes
from jobs.engine.types import Limits
from jobs.errors import PyramidNotFound, PyramidsBusy
from jobs.storage import files
from modelstore.errors import StorageUnavailable

logger = logging.getLogger(__name__)

#: Pyramids that wait in one web process, the one in work included.
MOST_WAITING = 8
_SECONDS = 300
#: Bytes of address space: the interpreter with its libraries, and per pixel what a decoder of 16 bit with alpha takes.
_BASE_BYTES = 3 << 29
_BYTES_PER_PIXEL = 24
#: Seconds for which a failure is remembered: the same file fails alike, but memory and disk may be free again.
_FAILED_SECONDS = 600.0
_MOST_FAILED = 1000
_CODE_ROOT = Path(__file__).resolve().parents[3]


@dataclass(frozen=True)
class Wanted:
    """A pyramid to make, by storage names. ``pixels`` of all frames."""

    name: str
    source: str
    pixels: int

    @property
    def most_bytes(self) -> int:
        """The size beyond which its making is broken off: a tile is hardly larger than its pixels."""
        return 2 * 4 * self.pixels + (1 << 20)

    @property
    def usual_bytes(self) -> int:
        """The size that most have, within a factor of two."""
        return self.pixels // 2


class _Maker:
    """What this process makes and has failed to make. Its thread lives while there is something to do."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: dict[str, Wanted] = {}  # the first one is in work
        self._failed: dict[str, tuple[float, str]] = {}

    def ask(self, wanted: Wanted) -> None:
        """Have it made soon.

        :raises PyramidNotFound: it could not be made a short while ago.
        :raises PyramidsBusy: too many wait already.
        """
        with self._lock:
            when, why = self._failed.get(wanted.name, (0.0, ""))
            if why and time.monotonic() - when < _FAILED_SECONDS:
                raise PyramidNotFound(why)
            self._failed.pop(wanted.name, None)
            if wanted.name in self._waiting:
                return
            if len(self._waiting) >= MOST_WAITING:
                raise PyramidsBusy(f"{MOST_WAITING} pictures are being prepared for viewing already; try again soon")
            self._waiting[wanted.name] = wanted
            if len(self._waiting) == 1:
                threading.Thread(target=self._work, name="pyramids", daemon=True).start()

    def _work(self) -> None:
        while True:
            with self._lock:
                wanted = next(iter(self._waiting.values()), None)
            if wanted is None:
                return
            why = ""
            try:
                why = make(wanted)
            except StorageUnavailable as error:  # not remembered: who asks again has it tried again
                logger.warning("pyramid not made, the storage is away name=%s reason=%s", wanted.name, error.cause)
            except Exception:  # the thread's edge: those who wait behind it must have their turn
                logger.exception("pyramid failed name=%s", wanted.name)
                why = "The picture could not be prepared for viewing"
            with self._lock:
                del self._waiting[wanted.name]
                if why:
                    self._failed[wanted.name] = (time.monotonic(), why)
                    while len(self._failed) > _MOST_FAILED:
                        del self._failed[next(iter(self._failed))]
                if not self._waiting:
                    return


def make(wanted: Wanted) -> str:
    """Make a pyramid now, in a child process; return why it could not be made, for the caller, or ""."""
    begun = time.monotonic()
    draft = files.draft_of_pyramid(wanted.name)
    try:
        with files.local(wanted.source) as source:
            why = _run(wanted, source, draft)
        if why:
            return why
        files.keep(draft, wanted.name)
    finally:
        files.drop(draft)
    if not files.exists(wanted.source):  # the job was deleted before its pyramid had a name
        files.remove([wanted.name])
    logger.info("pyramid made name=%s seconds=%.2f", wanted.name, time.monotonic() - begun)
    return ""


def _run(wanted: Wanted, source: Path, draft: Path) -> str:
    memory = _BASE_BYTES + _BYTES_PER_PIXEL * wanted.pixels
    free = free_host_bytes()
    limits = Limits(
        max_input_pixels=wanted.pixels, max_side=1 << 20, max_frames=settings.MAX_FRAMES, max_output_pixels=1 << 40
    )
    order = {
        "source": str(source),
        "target": str(draft),
        "memory_bytes": min(memory, _BASE_BYTES + free) if free else memory,
        "file_bytes": wanted.most_bytes,
        "limits": asdict(limits),
    }
    try:
        process = subprocess.run(
            [sys.executable, "-m", "jobs.storage.pyramid.cut", json.dumps(order)],
            check=False, cwd=_CODE_ROOT, capture_output=True, text=True, timeout=_SECONDS,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        logger.warning("pyramid took too long name=%s seconds=%d", wanted.name, _SECONDS)
        return f"The picture could not be prepared for viewing within {_SECONDS} seconds"
    lines = process.stdout.splitlines()
    outcome = json.loads(lines[-1]) if lines else {}
    if process.returncode:
        logger.error(
            "pyramid crashed name=%s code=%d stderr=%s", wanted.name, process.returncode, process.stderr[-2000:]
        )
        return "The picture could not be prepared for viewing"
    return f"The picture could not be prepared for viewing: {outcome['refused']}" if "refused" in outcome else ""


ask = _Maker().ask
