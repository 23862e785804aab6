"""Windows put together for one call of a network, several calls under way, and what memory has to say about it."""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from jobs.engine.backends.base import Block, Window


@dataclass(frozen=True)
class Kind:
    """What windows of one call have in common: sizes, channels, and the types that go in and come out."""

    height: int
    width: int
    channels: int
    source: str  # "uint8" or "uint16"
    output: str  # "uint8", "uint16" or "float32"

    @property
    def pixels(self) -> int:
        """Input pixels of one window."""
        return self.height * self.width


def kind_of(window: Window) -> Kind:
    """The kind of one window."""
    height, width, channels = window.pixels.shape
    return Kind(height, width, channels, window.pixels.dtype.name, window.dtype.name)


class Call(Protocol):
    """A batch that was handed to a device."""

    def blocks(self) -> Sequence[Block]:
        """Wait for the call and return its blocks, one per window. :raises MemoryError: there are none."""
        ...

    def abandon(self) -> None:
        """Nobody wants the result: wait until the device lets go of the call's memory. Raises nothing."""
        ...


#: Hands a batch of one kind to the device. :raises MemoryError: the batch does not fit; nothing of it was kept.
Launch = Callable[[Sequence[Window]], Call]


def batch_length(windows: Sequence[Window], start: int, most: int) -> int:
    """How many windows from ``start`` on go into one call: of one kind, ``most`` of them, or else a power of two.

    Every length is a shape for which a device searches algorithms and records graphs, so there are few of them: ten
    windows at most four make calls of 4, 4, 2, and never of 3, 5, 6 or 7.
    """
    kind = kind_of(windows[start])
    end = start + 1
    while end < len(windows) and end - start < most and kind_of(windows[end]) == kind:
        end += 1
    there = end - start
    return there if there >= most else 1 << (there.bit_length() - 1)


def blocks_of(
    windows: Sequence[Window], launch: Launch, *, most: Callable[[Kind], int], under_way: int
) -> Iterator[Block]:
    """The blocks of all windows, in their order.

    A batch for which memory is too short is halved, down to single windows; the note of its blocks says so.

    :param most: windows per call, by kind. :param under_way: calls handed over before the oldest is waited for.
    :raises MemoryError: for a single window; all windows before it have been yielded.
    """
    calls: deque[Call] = deque()
    fits: int | None = None  # what memory has allowed since it was short
    note: tuple[str, ...] = ()
    start = 0
    try:
        while start < len(windows):
            wanted = most(kind_of(windows[start]))
            count = batch_length(windows, start, wanted if fits is None else min(wanted, fits))
            # Only the words are kept: the error itself holds, by its frames, the memory that is short.
            shortage: str | None = None
            try:
                calls.append(launch(windows[start : start + count]))
                start += count
            except MemoryError as error:
                shortage = str(error)
            while calls and (shortage is not None or len(calls) >= under_way):
                yield from _noted(calls.popleft().blocks(), note)
            if shortage is not None:
                if count == 1:
                    raise MemoryError(shortage)
                fits = count // 2
                note += (f"memory was short for {count} tiles at once; {fits} at once from there on",)
        while calls:
            yield from _noted(calls.popleft().blocks(), note)
    finally:
        # Left early, by an error or by a caller who has had enough.
        for call in calls:
            call.abandon()


def _noted(blocks: Sequence[Block], note: tuple[str, ...]) -> Sequence[Block]:
    if not note:
        return blocks
    return [Block(pixels=block.pixels, finite=block.finite, notes=block.notes + note) for block in blocks]
