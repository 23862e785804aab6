"""Whatever describes the colour of a picture describes it in every format of the result."""

import io
import zlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from jobs.engine.codec import encode
from jobs.engine.codecs import isobmff
from jobs.engine.codecs.color.description import name_of
from jobs.engine.errors import FormatUnsupported
from jobs.engine.types import Cicp, EncodeOptions, Metadata, Picture
from tests.jobs.engine.codecs.samples import SRGB, WRITABLE, chunks_of, read, written
from tests.jobs.engine.conftest import photo, picture

P3, PQ, HLG = Cicp(12, 13), Cicp(9, 16), Cicp(9, 18)
P3_XY = (0.3127, 0.3290, 0.680, 0.320, 0.265, 0.690, 0.150, 0.060)
DESCRIPTIONS = {
    "P3": Metadata(cicp=P3),
    "BT.2020 PQ": Metadata(cicp=PQ),
    "BT.2020 HLG": Metadata(cicp=HLG),
    "linear": Metadata(gamma=1.0),
    "P3 by chromaticities": Metadata(chromaticities=P3_XY),
    "profile": Metadata(icc=SRGB),
}


def with_color(meta: Metadata, *, bits: int = 8, channels: int = 3, fmt: str = "png", depth: int = 0) -> Picture:
    return replace(picture(photo(40, 30, bits=bits, channels=channels), fmt=fmt), metadata=meta, depth=depth)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("strip", [False, True])
@pytest.mark.parametrize("name", WRITABLE)
@pytest.mark.parametrize("kind", DESCRIPTIONS)
def test_the_meaning_of_the_numbers_is_in_every_file(
    tmp_path: Path, kind: str, name: str, strip: bool, channels: int
) -> None:
    meta = DESCRIPTIONS[kind]
    if channels == 1 and meta.icc:
        pytest.skip("a profile for RGB is not for gray")
    data = written(tmp_path, with_color(meta, channels=channels), name, strip_metadata=strip)
    back = read(tmp_path, data).metadata
    if name == "png" and (channels == 3 or not meta.cicp):
        assert (back.cicp, back.gamma, back.icc) == (meta.cicp, meta.gamma, meta.icc)
        assert back.chromaticities == (P3_XY if meta.chromaticities else None)
    elif name == "avif" and meta.cicp:
        assert (back.cicp, back.icc) == (meta.cicp, None)
    else:
        with Image.open(io.BytesIO(data)) as other:
            profile = other.info["icc_profile"]
        if meta.icc:
            assert profile == SRGB
        else:
            assert profile[16:20] == (b"RGB " if channels == 3 and name != "webp" else profile[16:20])
            if meta.cicp:
                assert name_of(meta.cicp).encode("utf-16-be") in profile


@pytest.mark.parametrize("lossless", [False, True])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("depth", [10, 12])
@pytest.mark.parametrize("cicp", [PQ, HLG], ids=["PQ", "HLG"])
def test_hdr_of_10_and_12_bit_stays_what_it_is(
    tmp_path: Path, cicp: Cicp, depth: int, channels: int, lossless: bool
) -> None:
    made = with_color(Metadata(cicp=cicp), bits=16, channels=channels, fmt="avif", depth=depth)
    assert encode(made, tmp_path / "out", EncodeOptions(lossless=lossless)).format == "avif"
    back = read(tmp_path, (tmp_path / "out").read_bytes())
    assert (back.depth, back.bits, back.metadata.cicp) == (depth, 16, cicp)
    errors = back.frames[0].color.astype(np.float64) - made.frames[0].color
    if lossless:
        assert np.abs(errors).max() <= 65535 / ((1 << depth) - 1)
    else:  # halved colour on a small noisy picture; a wrong depth would be off by factors
        assert np.sqrt((errors**2).mean()) < 0.08 * 65535
    again = read(tmp_path, written(tmp_path, back, "png"))
    assert again.bits == 16
    assert again.metadata.cicp == cicp if channels == 3 else again.metadata.icc  # PNG has code points for RGB only
    assert np.array_equal(again.frames[0].color, back.frames[0].color)


def test_16_bit_in_avif_are_12_and_it_is_said(tmp_path: Path) -> None:
    made = with_color(Metadata(cicp=PQ), bits=16, depth=16)
    found = encode(made, tmp_path / "out", EncodeOptions(format="avif"))
    assert found.notes == ("12 of the picture's 16 bits per channel were written: AVIF holds no more",)
    assert read(tmp_path, (tmp_path / "out").read_bytes()).depth == 12
    with pytest.raises(FormatUnsupported, match="12 bit"):
        encode(made, tmp_path / "out", EncodeOptions(format="avif", lossless=True))


def test_png_keeps_a_profile_for_viewers_that_know_no_code_points(tmp_path: Path) -> None:
    names = [name for name, _ in chunks_of(written(tmp_path, with_color(Metadata(cicp=PQ, icc=SRGB)), "png"))]
    assert names.index(b"cICP") < names.index(b"iCCP")
    data = written(tmp_path, with_color(Metadata(cicp=PQ, icc=SRGB)), "avif")
    assert read(tmp_path, data).metadata.icc is None  # there the profile would rule


def test_a_profile_rules_over_the_code_points_of_avif(tmp_path: Path) -> None:
    data = written(tmp_path, with_color(Metadata(icc=SRGB)), "avif")
    assert isobmff.describe(io.BytesIO(data)).color is not None
    back = read(tmp_path, data).metadata
    assert (back.icc, back.cicp) == (SRGB, None)


@pytest.mark.parametrize("name", ["png", "avif"])
def test_an_animation_keeps_its_colour(tmp_path: Path, name: str) -> None:
    frames = tuple(replace(picture(photo(40, 30, seed=seed)).frames[0], duration_ms=50) for seed in range(3))
    made = Picture(name, frames, Metadata(cicp=P3, loop=0))
    data = written(tmp_path, made)
    back = read(tmp_path, data)
    assert (len(back.frames), back.metadata.cicp) == (3, P3)
    if name == "avif":
        assert {box.cicp for box in isobmff.color_boxes(io.BytesIO(data))} == {P3}
    else:
        assert (b"cICP", bytes((12, 13, 0, 1))) in chunks_of(data)


def test_tiff_profiles_of_ours_pass_through_a_second_upscaling(tmp_path: Path) -> None:
    once = read(tmp_path, written(tmp_path, with_color(Metadata(cicp=P3)), "tiff"))
    twice = read(tmp_path, written(tmp_path, once, "png"))
    assert twice.metadata.icc == once.metadata.icc
    assert zlib.crc32(once.metadata.icc or b"") == zlib.crc32(twice.metadata.icc or b"")
