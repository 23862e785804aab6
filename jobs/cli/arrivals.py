"""Pictures that come into a directory, each taken as soon as it is whole."""

import errno
import logging
import os
import signal
import sys
import time
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from watchfiles import Change, awatch, watch

from jobs.cli.inputs import PICTURE_SUFFIXES, GatheringError, Item, gather

#: Seconds for which size and times must not change; longer where nobody can say whether a program still writes.
REST_SECONDS, UNSURE_SECONDS = 1.0, 3.0
logging.getLogger("watchfiles").setLevel(logging.WARNING)  # it tells every change, of its own files too
_LOOK = 250  # milliseconds between two looks at files that are not whole yet


@dataclass
class _Seen:
    """A file as it was last seen, and since when it has been so."""

    facts: tuple[int, int, int, int]  # size, mtime_ns, ctime_ns, inode
    since: float


class Arrivals:
    """Files that may be pictures to take: those that were there, then those that the system tells of."""

    def __init__(self, directory: Path, output: Path) -> None:
        self.directory = directory
        self._output = output.resolve()
        self._waiting: dict[Path, _Seen | None] = {}
        self._taken: dict[Path, tuple[int, int, int, int]] = {}

    def look(self) -> None:
        """Take note of the pictures that are there."""
        with suppress(GatheringError):  # there is none
            for item in gather([self.directory], self._output):
                self._waiting.setdefault(item.source, None)

    def note(self, changes: Iterable[tuple[Change, str]]) -> None:
        """Take note of what changed."""
        for kind, name in changes:
            path = Path(name)
            if kind != Change.deleted and path.is_dir():
                self.look()  # a folder that came as a whole: of what it holds nothing is told
            elif kind != Change.deleted and self._is_for_us(path):
                self._waiting.setdefault(path, None)

    def whole(self) -> list[Item]:
        """Return the pictures that are whole now, each once for each of its contents."""
        found = []
        for path in sorted(self._waiting):
            facts = _facts(path)
            if facts is None or self._taken.get(path) == facts:
                del self._waiting[path]
                continue
            seen = self._waiting[path]
            if seen is None or seen.facts != facts:
                seen = self._waiting[path] = _Seen(facts, time.monotonic())
            if _is_whole(path, seen):
                del self._waiting[path]
                self._taken[path] = facts
                found.append(Item(path, path.parent.relative_to(self.directory)))
        return found

    def _is_for_us(self, path: Path) -> bool:
        try:
            below = path.relative_to(self.directory)
        except ValueError:
            return False
        hidden = any(part.startswith(".") for part in below.parts)
        return (
            not hidden and path.suffix.lower() in PICTURE_SUFFIXES and not path.resolve().is_relative_to(self._output)
        )


def watched(directory: Path, output: Path) -> Iterator[Item]:
    """Yield the pictures of ``directory`` as they become whole, without end; nothing of ``output`` is among them."""
    arrivals = _begin(directory, output)
    looked = False
    for changes in watch(
        arrivals.directory, watch_filter=None, debounce=_LOOK, rust_timeout=_LOOK, yield_on_timeout=True
    ):
        if not looked:  # only once the system watches: what comes in between is told twice rather than never
            arrivals.look()
            looked = True
        arrivals.note(changes)
        yield from arrivals.whole()


async def awaited(directory: Path, output: Path) -> AsyncIterator[Item]:
    """Yield as `watched`, in an event loop."""
    arrivals = _begin(directory, output)
    looked = False
    async for changes in awatch(
        arrivals.directory, watch_filter=None, debounce=_LOOK, rust_timeout=_LOOK, yield_on_timeout=True
    ):
        if not looked:  # as above
            arrivals.look()
            looked = True
        arrivals.note(changes)
        for item in arrivals.whole():
            yield item


def _begin(directory: Path, output: Path) -> Arrivals:
    signal.signal(signal.SIGIO, signal.SIG_IGN)  # sent to who has a lease when a writer comes (_is_closed)
    return Arrivals(directory.resolve(), output)


def _facts(path: Path) -> tuple[int, int, int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino


def _is_whole(path: Path, seen: _Seen) -> bool:
    """Return whether nobody writes the file any more, as far as the system tells."""
    size, written, changed, _ = seen.facts
    if size == 0:
        return False
    closed = _is_closed(path)
    if closed is False:
        return False
    rested = time.monotonic() - seen.since
    # Renamed after its last byte was written: it came whole, as a program that is careful puts files in place.
    renamed = changed > written
    return rested >= UNSURE_SECONDS if closed is None else renamed or rested >= REST_SECONDS


def _is_closed(path: Path) -> bool | None:
    """Return whether no program has the file open for writing; None where the system does not tell.

    Linux refuses a lease for reading while somebody writes (fcntl(2), F_SETLEASE), to the file's owner and to root.
    """
    if sys.platform != "linux":
        return None
    import fcntl  # noqa: PLC0415 - not everywhere

    try:
        handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    except OSError:
        return False  # it is not ours to read, or gone: the next look tells
    try:
        fcntl.fcntl(handle, fcntl.F_SETLEASE, fcntl.F_RDLCK)
        fcntl.fcntl(handle, fcntl.F_SETLEASE, fcntl.F_UNLCK)
    except OSError as error:
        return False if error.errno == errno.EAGAIN else None
    finally:
        os.close(handle)
    return True
