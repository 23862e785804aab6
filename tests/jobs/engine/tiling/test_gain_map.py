"""The gain map of a picture that grew: its size, and that it stays the same map."""

from dataclasses import replace

import numpy as np
import pytest

from jobs.engine.tiling.gain_map import enlarged
from jobs.engine.types import Frame, GainMap


def gain_map(width: int, height: int, channels: int = 1, level: int = 100) -> GainMap:
    return GainMap(Frame(color=np.full((height, width, channels), level, np.uint8)), xmp=b"x", iso=b"i", icc=b"c")


@pytest.mark.parametrize(
    ("before", "after", "size", "wanted"),
    [
        ((400, 300), (1600, 1200), (200, 150), (800, 600)),
        ((400, 300), (1000, 750), (100, 75), (250, 188)),
        ((403, 302), (806, 604), (101, 76), (202, 152)),
        ((400, 300), (400, 300), (100, 75), (100, 75)),
        ((400, 300), (1600, 1200), (512, 384), (1600, 1200)),  # finer than the picture: no finer than the result
        ((4, 4), (64, 64), (5000, 5000), (64, 64)),
        ((1000, 10), (2000, 20), (100, 1), (200, 2)),
    ],
)
@pytest.mark.parametrize("channels", [1, 3])
def test_the_map_keeps_its_ratio_and_is_never_larger_than_the_picture(
    before: tuple[int, int], after: tuple[int, int], size: tuple[int, int], wanted: tuple[int, int], channels: int
) -> None:
    made = enlarged(gain_map(*size, channels), before, after)
    assert made.frame.color.shape == (wanted[1], wanted[0], channels)
    assert made.frame.color.dtype == np.uint8
    assert made.frame.color.flags.c_contiguous
    assert (made.frame.color == 100).all()
    assert (made.xmp, made.iso, made.icc) == (b"x", b"i", b"c")


def test_places_and_channels_stay_where_they_are() -> None:
    color = np.zeros((40, 60, 3), np.uint8)
    color[:20, :, 0] = 200
    color[:, :30, 1] = 100
    color[:, :, 2] = 50
    made = enlarged(replace(gain_map(1, 1), frame=Frame(color=color)), (60, 40), (240, 160)).frame.color
    expected = color.repeat(4, 0).repeat(4, 1)
    away = np.ones((160, 240), bool)
    away[68:92] = away[:, 108:132] = False  # Lanczos rings at the edges
    assert (made[away] == expected[away]).all()


def test_extremes_do_not_wrap_around() -> None:
    color = np.zeros((8, 8, 1), np.uint8)
    color[:, 4:] = 255
    made = enlarged(replace(gain_map(1, 1), frame=Frame(color=color)), (8, 8), (64, 64)).frame.color
    assert (made[:, :20] <= 30).all()
    assert (made[:, 44:] >= 225).all()
