"""Batches: windows put together for one call of a network, several calls under way, fewer when memory is short."""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from jobs.engine.backends.base import Block, Window


@dataclass(frozen=True)
class Kind:
    """Traits that windows of one call share: sizes in input pixels, channels, and the dtypes of input and output."""

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
    """Return the kind of a window of (H, W, C) pixels."""
    height, width, channels = window.pixels.shape
    return Kind(height, width, channels, window.pixels.dtype.name, window.dtype.name)


class Call(Protocol):
    """A batch that was handed to a device."""

    def blocks(self) -> Sequence[Block]:
        """Wait for the call and return its blocks, (height, width, C) each, one per window of the batch.

        :raises MemoryError: when the device had too little memory; there are no blocks then.
        """
        ...

    def abandon(self) -> None:
        """Drop a call whose result nobody wants: wait until the device lets go of its memory. Raise nothing."""
        ...


#: Hands a batch of one kind to the device, or raises MemoryError: it does not fit, and nothing of it was kept.
Launch = Callable[[Sequence[Window]], Call]


def batch_length(windows: Sequence[Window], start: int, most: int) -> int:
    """Return how many windows (H, W, C) from ``start`` on go into one call: one kind, and ``most`` or a power of two.

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
    """Yield the blocks (height, width, C) of all windows, in the order of the windows.

    A batch for which memory is too short is halved, down to single windows; the note of its blocks says so.

    :param most: windows per call, by kind.
    :param under_way: calls handed over before the oldest is waited for.
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
            # Keep the message, not the error: its traceback's frames hold on to the very memory that is short.
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
        # Here after an error too, or when the caller closes the generator early.
        for call in calls:
            call.abandon()


def _noted(blocks: Sequence[Block], note: tuple[str, ...]) -> Sequence[Block]:
    if not note:
        return blocks
    return [Block(pixels=block.pixels, finite=block.finite, notes=block.notes + note) for block in blocks]
