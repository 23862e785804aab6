"""Colour profiles are kept, and CMYK and Lab become sRGB."""

import io
import struct
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageCms

from jobs.engine.codec import decode, encode
from jobs.engine.types import EncodeOptions, Metadata
from tests.jobs.engine.codecs.samples import SRGB, WRITABLE
from tests.jobs.engine.conftest import LIMITS, photo, picture


def gray_profile() -> bytes:
    """A minimal valid gray profile (ICC.1:2022): header, white point, gray curve of gamma 2.2."""
    white = b"XYZ \0\0\0\0" + struct.pack(">3i", 63190, 65536, 54061)
    curve = b"curv\0\0\0\0" + struct.pack(">IH", 1, 563) + b"\0\0"
    start = 128 + 4 + 24
    table = (
        struct.pack(">I", 2) + b"wtpt" + struct.pack(">II", start, 20) + b"kTRC" + struct.pack(">II", start + 20, 14)
    )
    body = table + white + curve
    header = struct.pack(">I", 128 + len(body)) + b"\0\0\0\0" + bytes([2, 0x40, 0, 0]) + b"mntr" + b"GRAY" + b"XYZ "
    header += bytes(12) + b"acsp" + bytes(28) + struct.pack(">3i", 63190, 65536, 54061)
    return header.ljust(128, b"\0") + body


@pytest.mark.parametrize("name", WRITABLE)
@pytest.mark.parametrize("strip", [False, True])
def test_the_profile_is_kept_even_when_metadata_is_stripped(tmp_path: Path, name: str, strip: bool) -> None:
    made = replace(picture(photo(40, 30)), metadata=Metadata(icc=SRGB))
    path = tmp_path / f"out.{name}"
    encode(made, path, EncodeOptions(format=name, strip_metadata=strip))  # type: ignore[arg-type]
    with Image.open(path) as image:
        assert image.info.get("icc_profile") == SRGB
    assert decode(path, LIMITS).metadata.icc == SRGB


@pytest.mark.parametrize("name", ["png", "jpeg", "tiff"])
def test_a_gray_profile_stays_with_gray(tmp_path: Path, name: str) -> None:
    profile = gray_profile()
    Image.fromarray(photo(40, 30, channels=1)[:, :, 0]).save(tmp_path / "in.png", icc_profile=profile)
    made = decode(tmp_path / "in.png", LIMITS)
    assert made.metadata.icc == profile
    encode(made, tmp_path / f"out.{name}", EncodeOptions(format=name))  # type: ignore[arg-type]
    back = decode(tmp_path / f"out.{name}", LIMITS)
    assert (back.metadata.icc, back.frames[0].color.shape[2]) == (profile, 1)


def test_a_profile_of_another_colour_space_is_dropped(tmp_path: Path) -> None:
    Image.fromarray(photo(40, 30)).save(tmp_path / "in.png", icc_profile=gray_profile())
    assert decode(tmp_path / "in.png", LIMITS).metadata.icc is None


def test_cmyk_becomes_srgb(tmp_path: Path) -> None:
    inks = Image.new("CMYK", (32, 32), (0, 255, 255, 0))  # magenta and yellow: red
    inks.save(tmp_path / "in.jpg", quality=100)
    made = decode(tmp_path / "in.jpg", LIMITS)
    red, green, blue = (int(value) for value in made.frames[0].color[16, 16])
    assert red > 180
    assert green < 80
    assert blue < 80
    assert made.metadata.icc is not None
    assert made.metadata.icc[16:20] == b"RGB "


def test_lab_becomes_srgb(tmp_path: Path) -> None:
    lab = ImageCms.profileToProfile(
        Image.fromarray(photo(32, 24)), ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB"), outputMode="LAB"
    )
    assert lab is not None
    lab.save(tmp_path / "in.tiff")
    made = decode(tmp_path / "in.tiff", LIMITS)
    assert np.abs(made.frames[0].color.astype(int) - photo(32, 24).astype(int)).mean() < 6


def test_webp_gets_a_profile_for_rgb_of_the_same_curve(tmp_path: Path) -> None:
    """WebP has no gray: a gray profile would not fit its numbers, and viewers would leave it out."""
    made = replace(picture(photo(40, 30, channels=1)), metadata=Metadata(icc=gray_profile()))
    encode(made, tmp_path / "out.webp", EncodeOptions(format="webp", lossless=True))
    with Image.open(tmp_path / "out.webp") as image:
        profile = image.info["icc_profile"]
        pixels = image.convert("RGB")
    assert profile[16:20] == b"RGB "
    target = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))
    shown = ImageCms.profileToProfile(pixels, ImageCms.ImageCmsProfile(io.BytesIO(profile)), target)
    source = Image.fromarray(made.frames[0].color[:, :, 0])
    wanted = ImageCms.profileToProfile(
        source, ImageCms.ImageCmsProfile(io.BytesIO(gray_profile())), target, outputMode="RGB"
    )
    assert shown is not None
    assert wanted is not None
    assert np.abs(np.asarray(shown, np.int64) - np.asarray(wanted, np.int64)).max() <= 2
