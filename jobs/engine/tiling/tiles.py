"""Tiles: even windows over a plane, and the place of each in the result. Pure arithmetic over integers."""

from dataclasses import dataclass
from itertools import pairwise


@dataclass(frozen=True)
class Tile:
    """A rectangle of the plane to be produced (``x, y, width, height``) and the window that the network sees for it.

    All in input pixels. The window contains the rectangle with its padding; at the plane's borders it is moved inwards
    rather than made smaller, so that all windows of a plan have one shape.
    """

    x: int
    y: int
    width: int
    height: int
    window_x: int
    window_y: int
    window_width: int
    window_height: int
    #: Pixels by which the result reaches over its left, top, right and bottom neighbour, to fade into it.
    overlap: tuple[int, int, int, int] = (0, 0, 0, 0)

    @property
    def inset_x(self) -> int:
        """Columns of the window left of the rectangle, in input pixels."""
        return self.x - self.window_x

    @property
    def inset_y(self) -> int:
        """Rows of the window above the rectangle, in input pixels."""
        return self.y - self.window_y


@dataclass(frozen=True)
class TilePlan:
    """The tiles of one plane, row by row, and their cost."""

    width: int
    height: int
    tile: int  # longest side of a rectangle, in input pixels; 0 when there is one tile for all
    pad: int
    rows: tuple[tuple[Tile, ...], ...]

    @property
    def tiles(self) -> int:
        """Number of tiles."""
        return sum(len(row) for row in self.rows)

    @property
    def window_pixels(self) -> int:
        """Input pixels of the largest window: the size that one call of the network has to hold."""
        return max(tile.window_width * tile.window_height for row in self.rows for tile in row)


def plan(
    width: int,
    height: int,
    *,
    tile: int,
    pad: int,
    align: int = 1,
    full_width: int | None = None,
    full_height: int | None = None,
    overlap: int = 0,
    step: int = 1,
) -> TilePlan:
    """Cut a plane into even tiles of at most ``tile`` pixels a side, each seen with ``pad`` pixels around it.

    Even: 260 pixels at tile 128 become 3 tiles of 87, 87, 86, never 128, 128, 4. ``tile`` 0, or not smaller than the
    plane, gives one tile without padding.

    :param align: width, height and all windows are multiples of this (the network's unshuffle factor).
    :param overlap: how far neighbours reach into each other to hide the seam; at most half the padding is used.
    :param step: where an axis is cut, windows are multiples of this, so that pictures of many sizes share few shapes.
    :param full_width: pixels that exist for windows to see, where the plane was padded on its right; default: width.
    """
    full_width = full_width or width
    full_height = full_height or height
    if width < 1 or height < 1 or full_width % align or full_height % align:
        raise ValueError(f"a plane of {full_width}x{full_height} is no multiple of {align}")
    if tile < 0 or pad < 0:
        raise ValueError("tile and pad are not negative")
    columns = _cuts(width, tile, align)
    lines = _cuts(height, tile, align)
    pad = -(-pad // align) * align
    overlap = min(overlap, pad // 2, min(right - left for left, right in columns + lines) // 2)
    # One window size per axis: the longest piece and its padding, or the whole axis.
    window_width = _window_size(columns, pad, align, step, full_width)
    window_height = _window_size(lines, pad, align, step, full_height)
    rows = tuple(
        tuple(
            Tile(
                x=left,
                y=top,
                width=right - left,
                height=bottom - top,
                window_x=_window(left, pad, window_width, full_width),
                window_y=_window(top, pad, window_height, full_height),
                window_width=window_width,
                window_height=window_height,
                overlap=(
                    overlap if left > 0 else 0,
                    overlap if top > 0 else 0,
                    overlap if right < width else 0,
                    overlap if bottom < height else 0,
                ),
            )
            for left, right in columns
        )
        for top, bottom in lines
    )
    single = len(columns) == 1 and len(lines) == 1
    return TilePlan(width=width, height=height, tile=0 if single else tile, pad=0 if single else pad, rows=rows)


def pieces(tile: Tile, side: int, *, align: int = 1) -> int:
    """Return how many tiles `split` makes of one; 1 for a tile that is small enough."""
    return len(_cuts(tile.width, side, align)) * len(_cuts(tile.height, side, align))


def split(
    tile: Tile, side: int, *, full_width: int, full_height: int, pad: int, align: int = 1, overlap: int = 0
) -> tuple[tuple[Tile, ...], ...]:
    """Return the same rectangle as rows of even tiles of at most ``side`` px: for a device that ran out of memory.

    The outer ones reach as far over the rectangle's borders as the tile did, the inner ones over each other as those of
    a plan: put together they are the tile's block. All windows have one shape.
    """
    columns = _cuts(tile.width, side, align)
    lines = _cuts(tile.height, side, align)
    pad = -(-pad // align) * align
    overlap = min(overlap, pad // 2, min(end - start for start, end in columns + lines) // 2)
    # Not the whole axis where there is one piece, as in a plan: memory is short.
    window_width = min(full_width, _longest(columns, align) + 2 * pad)
    window_height = min(full_height, _longest(lines, align) + 2 * pad)
    outer_left, outer_top, outer_right, outer_bottom = tile.overlap
    return tuple(
        tuple(
            Tile(
                x=tile.x + left,
                y=tile.y + top,
                width=right - left,
                height=bottom - top,
                window_x=_window(tile.x + left, pad, window_width, full_width),
                window_y=_window(tile.y + top, pad, window_height, full_height),
                window_width=window_width,
                window_height=window_height,
                overlap=(
                    overlap if left > 0 else outer_left,
                    overlap if top > 0 else outer_top,
                    overlap if right < tile.width else outer_right,
                    overlap if bottom < tile.height else outer_bottom,
                ),
            )
            for left, right in columns
        )
        for top, bottom in lines
    )


def _cuts(length: int, tile: int, align: int) -> list[tuple[int, int]]:
    """Return even pieces of an axis, as (start, end); every start is a multiple of ``align``."""
    if tile == 0 or tile >= length:
        return [(0, length)]
    units = -(-length // align)
    count = -(-units // max(1, tile // align))
    edges = [min(length, align * (units * index // count)) for index in range(count + 1)]
    return list(pairwise(edges))


def _window_size(pieces: list[tuple[int, int]], pad: int, align: int, step: int, full: int) -> int:
    """Return one window size for all pieces of an axis: the longest piece and its padding, or the whole axis."""
    if len(pieces) == 1:
        return full
    return min(full, -(-(_longest(pieces, align) + 2 * pad) // step) * step)


def _longest(pieces: list[tuple[int, int]], align: int) -> int:
    return -(-max(end - start for start, end in pieces) // align) * align


def _window(start: int, pad: int, window: int, length: int) -> int:
    """Return where a window begins: ``pad`` before its piece, moved to lie inside the plane."""
    return max(0, min(start - pad, length - window))
