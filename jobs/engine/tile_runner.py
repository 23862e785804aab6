"""Planes computed tile by tile, with smaller tiles when memory is short and tiles redone in fp32 when they overflow."""

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from jobs.engine.backends.base import Block, Network, Window
from jobs.engine.backends.device import ComputeDevice
from jobs.engine.backends.network_cache import NetworkPool
from jobs.engine.errors import OutOfMemory, WeightsRejected
from jobs.engine.tiling.canvas import Canvas
from jobs.engine.tiling.cost import BORDER, SMALLEST_TILE, overlap_of, padding
from jobs.engine.tiling.tiles import Tile, TilePlan, pieces, split
from jobs.engine.types import OnTile, UpscaleOptions, Weights

Array = NDArray[Any]
Rows = Sequence[Sequence[Tile]]

#: After so many tiles that all overflowed in half precision, the rest is computed in fp32: trying both costs twice.
GIVE_UP_AFTER = 4


@dataclass
class Progress:
    """The tiles of one picture in the order in which they are computed, each with the network that computes it."""

    on_tile: OnTile | None
    #: Tiles still to do.
    ahead: "deque[tuple[Run, Tile]]" = field(default_factory=deque)
    done: int = 0
    total: int = 0

    def finished(self) -> None:
        """Count one tile as done and tell the caller. :raises Exception: whatever the caller's callback raises."""
        self.ahead.popleft()
        self.done += 1
        if self.on_tile is not None:
            self.on_tile(self.done, self.total)

    def count_again(self) -> None:
        """Find the total anew, after tiles became smaller for one of the networks."""
        self.total = self.done + sum(run.pieces_of(tile) for run, tile in self.ahead)


@dataclass
class Run:
    """The state of one network's computation on one picture, with the counters that end up in the report."""

    pool: NetworkPool
    network: Network
    weights: Weights
    options: UpscaleOptions
    progress: Progress
    #: Seconds that loading the network took, and that its passes took.
    load_seconds: float = 0.0
    infer_seconds: float = 0.0
    done: int = 0
    passes: int = 0
    tile: int = 0
    pad: int = 0
    redone: int = 0
    shrinks: int = 0
    notes: list[str] = field(default_factory=list)
    #: The longest side of a tile, in input pixels, that memory has allowed since it was short; 0: it was not.
    limit: int = 0
    #: Tiles that were finite in half precision. While there are none, it may be given up.
    finite: int = 0
    precise: bool = False
    #: Where the network computed at first: the report's device and precision.
    place: ComputeDevice = field(init=False)

    def __post_init__(self) -> None:
        self.place = self.network.place

    def expect(self, tiles: Sequence[Tile]) -> None:
        """Add tiles to the work; to be called, for all networks' work in its order, before the first tile."""
        self.progress.ahead.extend((self, tile) for tile in tiles)
        self.progress.total += len(tiles)

    def finished(self) -> None:
        """Count one tile as done and tell the caller. :raises Exception: whatever the caller's callback raises."""
        self.done += 1
        self.progress.finished()

    def pieces_of(self, tile: Tile) -> int:
        """Return as how many tiles a tile will be computed: 1 where memory was not short for its size."""
        return pieces(tile, self.limit, align=self.network.spec.align) if self.too_large(tile) else 1

    def too_large(self, tile: Tile) -> bool:
        """Return True if memory was short for tiles of that size (longest side, input pixels) before."""
        return 0 < self.limit < max(tile.width, tile.height)

    def shrink(self, tile: Tile, reason: str) -> None:
        """Lower the tile limit after memory was short for this tile: its size is not tried again for this picture.

        :raises OutOfMemory: when tiles cannot be smaller.
        """
        side = max(tile.width, tile.height)
        if side <= SMALLEST_TILE:
            raise OutOfMemory(
                f"{self.network.place.name} has too little free memory for a tile of {tile.width}×{tile.height} px"
                + (f": {reason}" if reason else "")
            )
        self.limit = max(SMALLEST_TILE, -(-side // 2))
        self.shrinks += 1
        self.pad = padding(self.network.spec, self.options.tile_pad)
        self.tile = max(max(piece.width, piece.height) for row in self._split(tile, 1 << 30, 1 << 30) for piece in row)
        self.progress.count_again()

    def halve(self, tile: Tile, padded: Array) -> tuple[tuple[Tile, ...], ...]:
        """Replace the next tile by smaller ones and return these, row by row.

        :param padded: the (H, W, C) plane with its mirrored border.
        """
        rows = self._split(tile, padded.shape[1], padded.shape[0])
        self.progress.ahead.popleft()
        self.progress.ahead.extendleft((self, piece) for row in reversed(rows) for piece in reversed(row))
        return rows

    def _split(self, tile: Tile, full_width: int, full_height: int) -> tuple[tuple[Tile, ...], ...]:
        spec = self.network.spec
        pad = padding(spec, self.options.tile_pad)
        return split(
            tile,
            self.limit,
            full_width=full_width,
            full_height=full_height,
            pad=pad,
            align=spec.align,
            overlap=overlap_of(spec, pad),
        )

    def redo(self, window: Window) -> Block:
        """Return the block (height, width, C) of a window (H, W, C) that overflowed in half precision, from fp32.

        :raises WeightsRejected: when fp32 gives NaN or infinity too.
        """
        block = next(iter(self.pool.get(self.weights, "fp32").run(iter([window]))))
        if not block.finite:
            raise WeightsRejected(f"the network {self.weights.name} gives numbers that are not finite, even in fp32")
        return block

    def count(self, *, finite: bool) -> None:
        """Count a tile: finite in the precision asked for, or redone in fp32 because it overflowed."""
        if finite and not self.precise:
            self.finite += 1
        else:
            self.redone += 1

    def overflows_always(self) -> bool:
        """Return True if half precision was tried often enough and overflowed every time."""
        half = self.network.place.precision != "fp32"
        return half and not self.precise and self.finite == 0 and self.redone >= GIVE_UP_AFTER

    def go_precise(self) -> None:
        """Switch to fp32 for the remaining tiles and later pictures: trying half precision first costs twice."""
        self.notes.append(
            f"{self.network.place.precision} overflowed in each of the first {self.redone} tiles; fp32 from there on"
        )
        self.pool.give_up(self.weights)
        self.network, self.precise = self.pool.get(self.weights, "fp32"), True


def fill(run: Run, planes: Sequence[Array], step: TilePlan, canvases: Sequence[Canvas]) -> None:
    """Compute (H, W, C) planes of one size into their canvases, as one stream of tiles.

    One stream keeps a device busy from plane to plane, and lets it take tiles of several at once.
    """
    padded = [with_border(plane, run.network.spec.align) for plane in planes]
    work = [(plane, tile) for plane in padded for row in step.rows for tile in row]
    blocks = _blocks(run, work, canvases[0].block_dtype)
    for canvas in canvases:
        _assemble(canvas, step.rows, blocks, (0, 0), run.network.spec.scale)


def _assemble(canvas: Canvas, rows: Rows, blocks: Iterator[Array], origin: tuple[int, int], scale: int) -> None:
    """:param origin: where the canvas begins, in input pixels."""
    for row in rows:
        for tile in row:
            left, top, _, _ = tile.overlap
            x, y = tile.x - left - origin[0], tile.y - top - origin[1]
            canvas.put(
                x * scale,
                y * scale,
                next(blocks),
                fade_left=2 * left * scale if x else 0,
                fade_top=2 * top * scale if y else 0,
            )
        # Rows that the next row of tiles fades into are not finished yet.
        canvas.finish_rows((row[0].y + row[0].height - row[0].overlap[3] - origin[1]) * scale)


def _blocks(run: Run, work: Sequence[tuple[Array, Tile]], dtype: np.dtype[Any]) -> Iterator[Array]:
    """Yield the finished block (height, width, C) of every tile, in order; of smaller tiles where memory is short."""
    at = 0
    relieved = -1
    while at < len(work):
        padded, tile = work[at]
        if run.too_large(tile):
            yield _from_pieces(run, padded, tile, dtype)
            at += 1
            continue
        windows = _windows(run, work[at:], dtype)
        first, reason = at, None
        try:
            for block in run.network.run(iter(windows)):
                good = block if block.finite else run.redo(windows[at - first])
                run.count(finite=block.finite)
                run.notes += [note for note in (*block.notes, *good.notes) if note not in run.notes]
                run.finished()
                at += 1
                yield good.pixels
                if run.overflows_always():
                    break
        except MemoryError as error:
            reason = str(error)  # the message only: the traceback's frames hold on to the memory that is short
        if run.overflows_always():
            run.go_precise()
        elif reason is None:
            if at < first + len(windows):
                raise RuntimeError(f"{at - first} blocks came for {len(windows)} windows")
        elif at == relieved or not run.pool.release():
            run.shrink(work[at][1], reason)
        else:
            relieved = at  # other networks gave memory back: try once more at the same size


def _windows(run: Run, work: Sequence[tuple[Array, Tile]], dtype: np.dtype[Any]) -> list[Window]:
    """Return the windows up to the first tile that is too large."""
    windows = []
    for padded, tile in work:
        if run.too_large(tile):
            break
        windows.append(_window(padded, tile, run.network.spec.scale, dtype))
    return windows


def _from_pieces(run: Run, padded: Array, tile: Tile, dtype: np.dtype[Any]) -> Array:
    """Return a tile's block (height, width, C), its overlap included, computed as smaller tiles that fade likewise."""
    rows = run.halve(tile, padded)
    scale = run.network.spec.scale
    left, top, right, bottom = tile.overlap
    size = ((left + tile.width + right) * scale, (top + tile.height + bottom) * scale)
    canvas = Canvas(native=size, target=size, channels=padded.shape[2], dtype=dtype)
    blocks = _blocks(run, [(padded, piece) for row in rows for piece in row], dtype)
    _assemble(canvas, rows, blocks, (tile.x - left, tile.y - top), scale)
    return canvas.result


def with_border(plane: Array, align: int) -> Array:
    """Return an (H, W, C) plane mirrored beyond its right and bottom border: by 10 px, then to a multiple of ``align``.

    The shape is (H', W', C) with H' and W' multiples of ``align``. The two steps are those of the reference's
    ``pre_process`` (realesrgan/utils.py); see `jobs.engine.tiling.cost.BORDER`.
    """
    plane = np.pad(plane, ((0, BORDER), (0, BORDER), (0, 0)), mode="reflect")  # (H + 10, W + 10, C)
    bottom, right = -plane.shape[0] % align, -plane.shape[1] % align
    if bottom or right:
        plane = np.pad(plane, ((0, bottom), (0, right), (0, 0)), mode="reflect")  # both sides multiples of align
    return plane


def _window(padded: Array, tile: Tile, scale: int, dtype: np.dtype[Any]) -> Window:
    left, top, right, bottom = tile.overlap
    return Window(
        pixels=padded[
            tile.window_y : tile.window_y + tile.window_height, tile.window_x : tile.window_x + tile.window_width
        ],
        top=(tile.inset_y - top) * scale,
        left=(tile.inset_x - left) * scale,
        height=(top + tile.height + bottom) * scale,
        width=(left + tile.width + right) * scale,
        dtype=dtype,
    )
