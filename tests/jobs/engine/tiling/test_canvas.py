"""The canvas: joined tiles equal the whole, and strips resample like the whole."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from jobs.engine.tiling.canvas import Canvas
from jobs.engine.tiling.tiles import plan
from tests.jobs.engine.conftest import difference, photo


def through(canvas: Canvas, source: np.ndarray, tile: int, scale: int = 1) -> np.ndarray:
    """As the upscaler does it, with an identity network; blocks come in the type that the canvas wants."""
    height, width = source.shape[:2]
    full = {"uint8": 255.0, "uint16": 65535.0, "float32": 1.0}
    ready: Any = source
    if canvas.block_dtype != source.dtype:
        ready = source / full[source.dtype.name] * full[canvas.block_dtype.name]
        ready = ready.astype(np.float32) if canvas.block_dtype == np.float32 else np.rint(ready).astype(np.uint16)
    for row in plan(width, height, tile=tile, pad=0).rows:
        for piece in row:
            canvas.put(piece.x, piece.y, ready[piece.y : piece.y + piece.height, piece.x : piece.x + piece.width])
        canvas.finish_rows(row[0].y + row[0].height)
    return canvas.result


@settings(deadline=None)
@given(width=st.integers(1, 90), height=st.integers(1, 90), tile=st.integers(1, 64), channels=st.sampled_from([1, 3]))
def test_an_identity_network_gives_the_picture_back(width: int, height: int, tile: int, channels: int) -> None:
    source = photo(width, height, channels=channels)
    canvas = Canvas(native=(width, height), target=(width, height), channels=channels, dtype=source.dtype)
    assert np.array_equal(through(canvas, source, tile), source)


@settings(deadline=None, max_examples=60)
@given(
    width=st.integers(2, 120),
    height=st.integers(2, 700),
    target_width=st.integers(1, 200),
    target_height=st.integers(1, 900),
    tile=st.integers(5, 200),
    bits=st.sampled_from([8, 16]),
)
def test_strips_resample_like_the_whole(
    width: int, height: int, target_width: int, target_height: int, tile: int, bits: int
) -> None:
    source = photo(width, height, channels=1, bits=bits)
    full = 65535 if bits == 16 else 255
    canvas = Canvas(native=(width, height), target=(target_width, target_height), channels=1, dtype=source.dtype)
    made = through(canvas, source, tile)
    if (width, height) == (target_width, target_height):
        assert np.array_equal(made, source)
        return
    plane = Image.fromarray(source[:, :, 0].astype(np.float32))
    wanted = np.asarray(plane.resize((target_width, target_height), Image.Resampling.LANCZOS))
    wanted = np.rint(np.clip(wanted, 0, full)).astype(source.dtype)
    assert difference(made[:, :, 0], wanted) <= 1


@pytest.mark.parametrize("ratio", [0.25, 0.5, 1.5, 4.0])
def test_resampling_holds_only_a_band_of_rows(ratio: float) -> None:
    source = photo(32, 4096, channels=3)
    canvas = Canvas(native=(32, 4096), target=(int(32 * ratio), int(4096 * ratio)), channels=3, dtype=source.dtype)
    seen = []
    ready = source.astype(np.uint16) * 257
    for top in range(0, 4096, 64):
        canvas.put(0, top, ready[top : top + 64])
        canvas.finish_rows(top + 64)
        seen.append(canvas._band.shape[0])
    assert max(seen) < 200


@settings(deadline=None, max_examples=60)
@given(
    width=st.integers(2, 150),
    height=st.integers(2, 150),
    tile=st.integers(20, 64),
    overlap=st.integers(0, 12),
    ratio=st.sampled_from([0.5, 1.0, 1.7]),
)
def test_fading_changes_nothing_where_tiles_agree(
    width: int, height: int, tile: int, overlap: int, ratio: float
) -> None:
    source = photo(width, height)
    target = (max(1, int(width * ratio)), max(1, int(height * ratio)))
    plain = Canvas(native=(width, height), target=target, channels=3, dtype=source.dtype)
    faded = Canvas(native=(width, height), target=target, channels=3, dtype=source.dtype)
    ready = source if plain.block_dtype == np.uint8 else source.astype(np.uint16) * 257
    plain.put(0, 0, ready)
    plain.finish_rows(height)
    for row in plan(width, height, tile=tile, pad=24, overlap=overlap).rows:
        for piece in row:
            left, top, right, bottom = piece.overlap
            block = ready[
                piece.y - top : piece.y + piece.height + bottom, piece.x - left : piece.x + piece.width + right
            ]
            faded.put(piece.x - left, piece.y - top, block, fade_left=2 * left, fade_top=2 * top)
        faded.finish_rows(row[0].y + row[0].height - row[0].overlap[3])
    assert difference(plain.result, faded.result) <= (0 if ratio == 1.0 else 1)


def test_fading_turns_a_step_between_tiles_into_a_slope() -> None:
    """Tiles that disagree by 40: without fading a step of 40, with it none above 40 / 16 and rounding."""
    canvas = Canvas(native=(120, 120), target=(120, 120), channels=1, dtype=np.dtype(np.uint8))
    for number, piece in enumerate(piece for row in plan(120, 120, tile=60, pad=24, overlap=8).rows for piece in row):
        left, top, right, bottom = piece.overlap
        block = np.full((top + piece.height + bottom, left + piece.width + right, 1), 100 + 40 * (number % 2), np.uint8)
        canvas.put(piece.x - left, piece.y - top, block, fade_left=2 * left, fade_top=2 * top)
    steps = np.abs(np.diff(canvas.result[:, :, 0].astype(int), axis=1))
    assert steps.max() <= 4
    assert canvas.result[0, 0, 0] == 100
    assert canvas.result[0, 119, 0] == 140
