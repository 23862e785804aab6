"""Profiles made of code points, gamma and chromaticities, read by littleCMS."""

import io
import math
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image, ImageCms

from jobs.engine.codecs.color import description
from jobs.engine.types import Cicp, Metadata
from tests.jobs.engine.codecs.samples import SRGB

PRIMARIES = [1, 4, 5, 6, 7, 8, 9, 11, 12, 22]
TRANSFERS = [1, 4, 5, 6, 7, 8, 9, 10, 11, 13, 14, 15, 16, 17, 18]


def converted(profile: bytes, pixels: np.ndarray, mode: str = "RGB") -> np.ndarray:
    """Pixels (H, W, 3) or (H, W) uint8 under a profile as sRGB, by littleCMS."""
    source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
    target = ImageCms.ImageCmsProfile(io.BytesIO(SRGB))
    image = ImageCms.profileToProfile(Image.fromarray(pixels), source, target, outputMode="RGB")
    assert image is not None
    assert Image.fromarray(pixels).mode == mode
    return np.asarray(image)


@pytest.mark.parametrize("primaries", PRIMARIES)
@pytest.mark.parametrize("transfer", TRANSFERS)
@pytest.mark.parametrize("channels", [1, 3])
def test_littlecms_takes_every_profile_of_ours(primaries: int, transfer: int, channels: int) -> None:
    profile = description.profile_of_cicp(Cicp(primaries, transfer), channels)
    assert profile is not None
    assert len(profile) == int.from_bytes(profile[:4], "big")
    ramp = np.arange(256, dtype=np.uint8)[np.newaxis]
    pixels = ramp if channels == 1 else np.repeat(ramp[:, :, np.newaxis], 3, axis=2)
    shown = converted(profile, pixels, "L" if channels == 1 else "RGB").astype(int)
    assert shown[0, 0].max() <= 1  # black is black
    assert shown[0, -1].min() >= 253  # the brightest is white, whatever the white point: colour is adapted to it
    assert np.ptp(shown, axis=2).max() <= 3  # gray is gray
    assert (np.diff(shown[0, :, 1]) >= 0).all()


def test_srgb_by_our_hand_is_srgb() -> None:
    profile = description.profile_of_cicp(description.SRGB, 3)
    assert profile is not None
    pixels = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    assert np.abs(converted(profile, pixels).astype(int) - pixels).max() <= 1


def test_display_p3_shows_the_colours_that_the_standard_says() -> None:
    """P3's red is outside sRGB; (0.9176, 0.2003, 0.1386) in P3 is sRGB's red, as CSS Color 4 computes it."""
    profile = description.profile_of_cicp(Cicp(12, 13), 3)
    assert profile is not None
    red = np.array([[[234, 51, 35]]], np.uint8)
    assert np.abs(converted(profile, red).astype(int) - [[[255, 0, 0]]]).max() <= 2


@pytest.mark.parametrize("transfer", [16, 18])
def test_reference_white_of_hdr_is_white_and_brighter_light_is_cut(transfer: int) -> None:
    """203 cd/m² are 58 % of PQ and 75 % of HLG (BT.2408, table 1)."""
    profile = description.profile_of_cicp(Cicp(9, transfer), 3)
    assert profile is not None
    level = {16: 0.5807, 18: 0.75}[transfer]
    pixels = np.full((1, 3, 3), [[math.ceil(level * 255)], [255], [round(level * 255 * 0.8)]], np.uint8)
    shown = converted(profile, pixels)[0]
    assert shown[0].min() >= 252
    assert shown[1].min() >= 252
    assert shown[2].max() < 240
    assert b"cicp\0\0\0\0" + bytes((9, transfer, 0, 1)) in profile  # viewers of HDR find what it really is


@pytest.mark.parametrize("gamma", [1.0, 1 / 1.8, 1 / 2.6])
def test_gamma_becomes_a_profile_of_that_curve(gamma: float) -> None:
    profile = description.equal_profile(Metadata(gamma=gamma), 3)
    assert profile is not None
    expected = 255 * (1.055 * (128 / 255) ** (1 / gamma / 2.4) - 0.055)
    shown = converted(profile, np.full((1, 1, 3), 128, np.uint8))
    assert np.abs(shown - expected).max() <= 1.5


def test_what_is_srgb_anyway_needs_no_profile() -> None:
    xy = description.SRGB_XY
    web = Metadata(gamma=0.45455, chromaticities=xy)
    for meta in (Metadata(), Metadata(cicp=Cicp(1, 13)), Metadata(gamma=0.45455), web):
        assert description.equal_profile(meta, 3) is None
    assert description.equal_profile(replace(web, gamma=0.5), 3)


def test_reserved_code_points_have_no_profile() -> None:
    assert description.profile_of_cicp(Cicp(3, 13), 3) is None
    assert description.profile_of_cicp(Cicp(1, 200), 3) is None
