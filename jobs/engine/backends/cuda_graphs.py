"""A cache of CUDA graphs: which calls of a network are recorded, and how many recordings are kept. Imports no CUDA."""

from collections import OrderedDict
from collections.abc import Callable
from typing import Generic, Protocol, TypeVar

from jobs.engine.backends.batching import Kind

#: A batch of windows of one kind: what a recording is good for.
Key = tuple[Kind, int]


class Recording(Protocol):
    """A recorded call."""

    #: Device memory that it holds for as long as it lives, in bytes.
    held_bytes: int

    def drop(self) -> None:
        """Give the memory back, once nothing replays the recording any more."""
        ...


R = TypeVar("R", bound=Recording)


class RecordingFailedError(Exception):
    """A call could not be recorded. ``lasting``: no other call could be either."""

    def __init__(self, reason: str, *, lasting: bool) -> None:
        super().__init__(reason)
        self.lasting = lasting


class GraphCache(Generic[R]):
    """The recordings of one network; the least recently used are dropped first.

    Recording costs about one call, and its memory is held: so only calls that come again are recorded, only few are
    kept, and none that would take a large part of the device. The first call of a kind is never recorded: it loads
    kernels and lets cuDNN choose its algorithms, neither of which may happen during a recording.
    """

    def __init__(
        self, record: Callable[[Key], R], *, most_bytes: int, most: int = 4, from_calls: int = 8, enabled: bool = True
    ) -> None:
        """:param most_bytes: device memory that all recordings may hold, in bytes.

        :param from_calls: a call is recorded when it has come, and will come, so often in all.
        """
        self.enabled = enabled
        self.most_bytes = most_bytes
        self.replays = 0
        self._record = record
        self._most = most
        self._from_calls = from_calls
        self._kept: OrderedDict[Key, R] = OrderedDict()
        self._seen: OrderedDict[Key, int] = OrderedDict()
        self._failed: OrderedDict[Key, str] = OrderedDict()
        self._broken: str | None = None

    def __len__(self) -> int:
        return len(self._kept)

    @property
    def held_bytes(self) -> int:
        """Device memory of all recordings, in bytes."""
        return sum(recording.held_bytes for recording in self._kept.values())

    def record_by(self, record: Callable[[Key], R]) -> None:
        """Record in another way; before anything was."""
        self._record = record

    def take(self, key: Key, *, coming: int, expected_bytes: int) -> tuple[R | None, tuple[str, ...]]:
        """Return the recording of a call that is about to be made, recorded now where that pays.

        :param coming: how often this call comes in the present plan, this time included.
        :param expected_bytes: device memory that a recording of it would hold, in bytes.
        :returns: None where the call is to be made without one, and notes for the report: what failed and why.
        """
        seen = self._seen.pop(key, 0)
        self._seen[key] = seen + 1
        if len(self._seen) > 256:
            self._seen.popitem(last=False)
        if not self.enabled:
            return None, ()
        if key in self._kept:
            self._kept.move_to_end(key)
            self.replays += 1
            return self._kept[key], ()
        if seen == 0 or seen + coming < self._from_calls or expected_bytes > self.most_bytes:
            return None, ()
        reason = self._broken or self._failed.get(key)
        if reason is None:
            self._make_room(expected_bytes)
            try:
                recording = self._record(key)
            except RecordingFailedError as error:
                reason = str(error)
                self._failed[key] = reason
                if len(self._failed) > 64:
                    self._failed.popitem(last=False)
                if error.lasting:
                    self._broken = reason
            else:
                self._kept[key] = recording
                self._make_room(0)  # it may have turned out larger than expected
                self.replays += 1
                return recording, ()
        kind, count = key
        return None, (f"no CUDA graph for {count} × {kind.width}×{kind.height} px: {reason}",)

    def clear(self) -> bool:
        """Drop all recordings. Return True if there were any."""
        there = bool(self._kept)
        while self._kept:
            self._drop_oldest()
        return there

    def _drop_oldest(self) -> None:
        _, recording = self._kept.popitem(last=False)
        recording.drop()

    def _make_room(self, expected: int) -> None:
        while self._kept and (
            len(self._kept) + bool(expected) > self._most or self.held_bytes + expected > self.most_bytes
        ):
            if not expected and len(self._kept) == 1:
                return  # keep the one that was just made
            self._drop_oldest()
