"""Tiles: arithmetic that must hold for every size."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jobs.engine.tiling.tiles import Tile, pieces, plan, split

SIZES = st.integers(1, 400)


def covered(tiles: list[Tile], width: int, height: int) -> np.ndarray:
    count = np.zeros((height, width), int)
    for tile in tiles:
        count[tile.y : tile.y + tile.height, tile.x : tile.x + tile.width] += 1
    return count


@settings(deadline=None)
@given(
    width=SIZES,
    height=SIZES,
    tile=st.integers(0, 200),
    pad=st.integers(0, 40),
    align=st.sampled_from([1, 2, 4]),
    step=st.sampled_from([1, 32]),
)
def test_tiles_cover_the_plane_once_and_windows_hold_their_padding(
    width: int, height: int, tile: int, pad: int, align: int, step: int
) -> None:
    full_width, full_height = -(-(width + 10) // align) * align, -(-(height + 10) // align) * align
    made = plan(
        width, height, tile=tile, pad=pad, align=align, step=step, full_width=full_width, full_height=full_height
    )
    tiles = [tile for row in made.rows for tile in row]
    assert (covered(tiles, width, height) == 1).all()
    assert made.tiles == len(tiles)
    assert len({(tile.window_width, tile.window_height) for tile in tiles}) == 1
    for window, full in ((tiles[0].window_width, full_width), (tiles[0].window_height, full_height)):
        assert window == full or window % step == 0
    for piece in tiles:
        assert piece.window_x % align == piece.window_y % align == 0
        assert piece.window_width % align == piece.window_height % align == 0
        assert piece.window_x >= 0
        assert piece.window_x + piece.window_width <= full_width
        assert piece.window_y >= 0
        assert piece.window_y + piece.window_height <= full_height
        assert piece.window_x <= max(0, piece.x - made.pad)
        assert piece.window_x + piece.window_width >= min(full_width, piece.x + piece.width + made.pad)
        assert piece.window_y <= max(0, piece.y - made.pad)
        assert piece.window_y + piece.window_height >= min(full_height, piece.y + piece.height + made.pad)


@pytest.mark.slow
@settings(deadline=None)
@given(width=SIZES, height=SIZES, tile=st.integers(1, 200))
def test_tiles_are_even(width: int, height: int, tile: int) -> None:
    row = plan(width, height, tile=tile, pad=0).rows[0]
    assert max(piece.width for piece in row) - min(piece.width for piece in row) <= 1
    assert max(piece.width for piece in row) <= max(tile, 1) or len(row) == 1


@settings(deadline=None)
@given(
    x=st.integers(0, 50),
    y=st.integers(0, 50),
    width=st.integers(1, 300),
    height=st.integers(1, 300),
    side=st.integers(32, 200),
    pad=st.integers(0, 40),
    align=st.sampled_from([1, 2, 4]),
    overlap=st.integers(0, 20),
    outer=st.tuples(*[st.integers(0, 8)] * 4),
)
def test_halves_cover_their_tile_and_stay_inside(
    x: int, y: int, width: int, height: int, side: int, pad: int, align: int, overlap: int, outer: tuple[int, ...]
) -> None:
    x, y = x * align, y * align
    full_width, full_height = -(-(x + width + 10) // align) * align, -(-(y + height + 10) // align) * align
    left, top, right, bottom = (min(reach, pad // 2) for reach in outer)
    reach = (min(left, x), min(top, y), right, bottom)
    whole = Tile(x, y, width, height, 0, 0, full_width, full_height, reach)
    rows = split(whole, side, full_width=full_width, full_height=full_height, pad=pad, align=align, overlap=overlap)
    made = [piece for row in rows for piece in row]
    assert len(made) == pieces(whole, side, align=align)
    assert len({(piece.window_width, piece.window_height) for piece in made}) == 1
    count = covered(made, x + width, y + height)
    assert (count[y:, x:] == 1).all()
    assert count.sum() == width * height
    assert (rows[0][0].overlap[0], rows[0][0].overlap[1]) == reach[:2]
    assert (rows[-1][-1].overlap[2], rows[-1][-1].overlap[3]) == reach[2:]
    for row in rows:
        for one, other in pairwise(row):
            assert one.overlap[2] == other.overlap[0] <= min(overlap, pad // 2 + align)
    for one, other in pairwise(row[0] for row in rows):
        assert one.overlap[3] == other.overlap[1] <= min(overlap, pad // 2 + align)
    for piece in made:
        assert max(piece.width, piece.height) <= max(side, 1)
        assert piece.window_x % align == piece.window_width % align == 0
        assert piece.window_y % align == piece.window_height % align == 0
        # What the piece gives, over its neighbours too, lies in its window, as far as the plane reaches.
        assert 0 <= piece.window_x <= piece.x - piece.overlap[0]
        assert piece.window_x + piece.window_width >= min(full_width, piece.x + piece.width + piece.overlap[2])
        assert piece.window_x + piece.window_width <= full_width
        assert 0 <= piece.window_y <= piece.y - piece.overlap[1]
        assert piece.window_y + piece.window_height >= min(full_height, piece.y + piece.height + piece.overlap[3])
        assert piece.window_y + piece.window_height <= full_height
