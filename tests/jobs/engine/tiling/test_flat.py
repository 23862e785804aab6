"""Areas of one colour keep it, edges keep what the network drew, and nothing in between has an edge."""

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from jobs.engine.tiling import flat
from jobs.engine.types import UpscaleOptions, Weights
from tests.jobs.engine.conftest import photo, picture, upscaler


def half(dtype: type, channels: int = 3) -> NDArray[Any]:
    """A picture (64, 96, C) of two colours, an edge between them."""
    full = np.iinfo(dtype).max
    made: NDArray[Any] = np.zeros((64, 96, channels), dtype)
    made[:, :48] = [full // (2 + channel) for channel in range(channels)]
    made[:, 48:] = [full - channel for channel in range(channels)]
    return made


@pytest.mark.parametrize("scale", [1, 2, 4, 3.5])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_flat_areas_get_their_colour_and_edges_stay(dtype: type, channels: int, scale: float) -> None:
    source = half(dtype, channels)
    height, width = int(64 * scale), int(96 * scale)
    wrong = 7 if dtype == np.uint8 else 1800
    result: NDArray[Any] = np.full((height, width, channels), wrong, dtype)
    assert flat.hold(result, source)
    edge = int(48 * scale)
    far = int(np.ceil(14 * scale))  # radius, fade, and the pixel over which interpolation reaches
    assert (result[:, : edge - far] == source[0, 0]).all()
    assert (result[:, edge + far :] == source[0, -1]).all()
    near = int(2 * scale)
    assert (result[:, edge - near : edge + near] == wrong).all()
    steps = np.abs(np.diff(result.astype(np.int64), axis=1)).max() / np.iinfo(dtype).max
    assert steps < 0.15 / min(scale, 1)  # the correction fades in; 1 is the whole range at once


@pytest.mark.parametrize("height", [200, 256, 257, 700])
def test_strips_join_without_a_line(height: int) -> None:
    source = np.full((height // 4, 40, 3), 200, np.uint8)
    source[:, 30:] = photo(10, height // 4)
    result = np.full((height, 160, 3), 50, np.uint8)
    flat.hold(result, source)
    assert (result[:, :40] == 200).all()
    whole = np.full((height, 160, 3), 50, np.uint8)
    strip, flat._STRIP = flat._STRIP, 10_000
    try:
        flat.hold(whole, source)
    finally:
        flat._STRIP = strip
    assert np.abs(whole.astype(int) - result).max() <= 1


def test_a_picture_without_flat_areas_is_left_alone() -> None:
    source = photo(64, 48)
    result = np.full((192, 256, 3), 9, np.uint8)
    assert not flat.hold(result, source)
    assert (result == 9).all()


@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("color", ["white", "black", "gray", "green", "yellow"])
def test_a_flat_picture_comes_back_flat(compact: Weights, color: str, bits: int) -> None:
    full = (1 << bits) - 1
    rgb = {
        "white": (full, full, full), "black": (0, 0, 0), "gray": (full // 2,) * 3,
        "green": (0, full, 0), "yellow": (full, full, 0),
    }[color]  # fmt: skip
    made = picture(np.full((40, 50, 3), rgb, np.uint8 if bits == 8 else np.uint16))
    for outscale in (None, 3.0):
        for options in (UpscaleOptions(outscale=outscale), UpscaleOptions(outscale=outscale, hold_flat="areas")):
            out = upscaler().upscale(made, compact, options)[0].frames[0].color
            assert (out == np.array(rgb)).all()
    raw = upscaler().upscale(made, compact, UpscaleOptions(hold_flat="never"))[0].frames[0].color
    assert (raw != np.array(rgb)).any()  # so the network alone would not have done it
