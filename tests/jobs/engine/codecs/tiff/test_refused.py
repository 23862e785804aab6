"""TIFF that is not read: each kind by its name and with what helps; damaged files as an error of ours."""

import contextlib
import struct
from pathlib import Path

import numpy as np
import pytest

from jobs.engine.codec import decode
from jobs.engine.codecs.probe import probe
from jobs.engine.errors import EngineError, FormatUnsupported, ImageRejected
from tests.jobs.engine.codecs.tiff.made import (
    BLACK,
    CMYK,
    DEFLATE,
    FLOAT,
    JPEG,
    LAB,
    LZW,
    NONE,
    PACKBITS,
    PALETTE,
    RGB,
    SIGNED,
    WHITE,
    YCBCR,
    Page,
    tiff,
)
from tests.jobs.engine.conftest import LIMITS


def zeros(samples: int) -> np.ndarray:
    return np.zeros((19, 21, samples), np.uint8)


def maps(bits: int) -> dict[int, tuple[int, list[int]]]:
    return {320: (3, [0] * (3 << bits))}


#: Pages that are known by their header alone, and words of the refusal.
BY_HEADER: dict[str, tuple[Page, str]] = {
    **{
        f"signed {bits} bit {samples}": (
            Page(zeros(samples), RGB if samples == 3 else BLACK, bits, format=SIGNED),
            f"signed {bits}-bit samples.*send whole numbers from 0, or floating point from 0 to 1",
        )
        for bits in (8, 16, 32)
        for samples in (1, 3)
    },
    "complex": (Page(zeros(1), BLACK, 64, format=6), "complex"),
    "mixed formats": (Page(zeros(2), more={339: (3, [1, 3])}), "mixed"),
    "half of 24 bit": (
        Page(zeros(1), BLACK, 24, format=FLOAT, coded=(b"",)),
        "floating-point samples of 24 bit; 16, 32 and 64",
    ),
    "28 bit": (Page(zeros(1), BLACK, 28), "whole numbers of 28 bit; 1 to 24 and 32 are read"),
    "64 bit": (Page(zeros(1), BLACK, 64), "whole numbers of 64 bit"),
    "5, 6, 5 bit": (Page(zeros(3), RGB, more={258: (3, [5, 6, 5])}), "samples of 5, 6, 5 bit in one pixel"),
    "ICC Lab": (Page(zeros(3), 9), r"ICC L\*a\*b\*.*send it as gray or RGB"),
    "ITU Lab": (Page(zeros(3), 10), r"ITU L\*a\*b\*"),
    "LogLuv": (Page(zeros(3), 32845), "LogLuv"),
    "an unknown photometric": (Page(zeros(1), 1234), "pixels of kind 1234"),
    "Lab of 16 bit": (Page(zeros(3), LAB, 16), r"L\*a\*b\* of 16 bit.*send it as RGB"),
    "premultiplied Lab": (Page(zeros(4), LAB, extra=(1,)), r"L\*a\*b\*.*premultiplied"),
    "premultiplied white is zero": (Page(zeros(2), WHITE, 16, extra=(1,)), "white is zero.*programs read differently"),
    "five inks": (Page(zeros(5), CMYK, more={332: (3, [2])}), "inks other than cyan.*send it as RGB"),
    "two inks": (Page(zeros(2), CMYK), "inks other than cyan"),
    "a palette of floats": (Page(zeros(1), PALETTE, 16, format=FLOAT, more=maps(16)), "a palette with samples"),
    "a palette of 20 bit": (Page(zeros(1), PALETTE, 20, more=maps(0)), "a palette with samples"),
    "YCbCr in planes": (Page(zeros(3), YCBCR, planar=True), "YCbCr in separate planes.*send it as RGB"),
    "YCbCr of 16 bit": (Page(zeros(3), YCBCR, 16), "YCbCr of 16 bit"),
    "JPEG of 12 bit": (Page(zeros(1), BLACK, 12, compression=JPEG, coded=(b"",) * 5), "packed by JPEG, with 12 bit"),
    "a predictor of floats for integers": (
        Page(zeros(1), BLACK, 16, compression=DEFLATE, predictor=3),
        "predicted by method 3",
    ),
    "an unknown predictor": (Page(zeros(3), RGB, 16, compression=LZW, predictor=34892), "predicted by method 34892"),
}


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("big", [False, True])
@pytest.mark.parametrize("name", BY_HEADER)
def test_what_is_not_read_is_refused_by_its_header_and_named(tmp_path: Path, name: str, big: bool, order: str) -> None:
    page, words = BY_HEADER[name]
    (tmp_path / "in.tif").write_bytes(tiff(page, order=order, big=big))
    with pytest.raises(FormatUnsupported, match=words):
        probe(tmp_path / "in.tif", LIMITS)


@pytest.mark.parametrize("number", [-1e-3, 1.001, 17.5, -4e9, float("inf"), float("-inf"), float("nan")])
@pytest.mark.parametrize("bits", [16, 32, 64])
@pytest.mark.parametrize("samples", [1, 2, 4])
def test_floating_point_beyond_black_and_white_is_refused(
    tmp_path: Path, samples: int, bits: int, number: float
) -> None:
    values = np.full((19, 21, samples), 0.5)
    values[18, 20, samples - 1] = number
    page = Page(values, RGB if samples == 4 else BLACK, bits, format=FLOAT, extra=(2,) if samples > 1 else ())
    with np.errstate(over="ignore"):
        (tmp_path / "in.tif").write_bytes(tiff(page))
    with pytest.raises(FormatUnsupported, match=r"0 is read as black and 1 as white.*whole numbers of 16 bit"):
        decode(tmp_path / "in.tif", LIMITS)


@pytest.mark.parametrize(("number", "shown"), [(-1e-6, 0), (1 + 1e-6, 65535)])
def test_floating_point_that_rounds_to_black_or_white_is_that(tmp_path: Path, number: float, shown: int) -> None:
    (tmp_path / "in.tif").write_bytes(tiff(Page(np.full((19, 21, 1), number), BLACK, 64, format=FLOAT)))
    assert set(decode(tmp_path / "in.tif", LIMITS).frames[0].color.ravel()) == {shown}


def test_a_directory_without_pixels_says_so(tmp_path: Path) -> None:
    (tmp_path / "in.tif").write_bytes(
        b"II*\0\x08\0\0\0" + struct.pack("<H6H6HI", 2, 256, 3, 1, 0, 9, 0, 257, 3, 1, 0, 9, 0, 0)
    )
    with pytest.raises(ImageRejected, match="names neither strips nor tiles"):
        probe(tmp_path / "in.tif", LIMITS)


@pytest.mark.parametrize("compression", [NONE, LZW, DEFLATE, PACKBITS])
@pytest.mark.parametrize("tile", [0, 16])
@pytest.mark.parametrize("planar", [False, True])
@pytest.mark.parametrize("bits", [8, 12, 16])
def test_pixels_that_end_early_are_broken_and_nothing_is_made_up(
    tmp_path: Path, bits: int, planar: bool, tile: int, compression: int
) -> None:
    values = np.random.default_rng(0).integers(0, 1 << bits, (19, 21, 4))
    whole = Page(values, RGB, bits, extra=(2,), planar=planar, tile=tile, compression=compression)
    blocks = tiff(whole)
    places = 324 if tile else 273
    at = blocks.rindex(struct.pack("<HH", places, 4))
    count, where = struct.unpack_from("<II", blocks, at + 4)
    data = bytearray(blocks)
    # The last block now begins two bytes before the file's end.
    struct.pack_into("<I", data, where + 4 * (count - 1), len(data) - 2)
    (tmp_path / "in.tif").write_bytes(data)
    with pytest.raises(ImageRejected, match="truncated: it ends too early"):
        decode(tmp_path / "in.tif", LIMITS)
    one_less = bytearray(blocks)
    struct.pack_into("<I", one_less, at + 4, count - 1)
    (tmp_path / "in.tif").write_bytes(one_less)
    with pytest.raises(ImageRejected, match="broken or truncated"):
        decode(tmp_path / "in.tif", LIMITS)


@pytest.mark.parametrize("compression", [NONE, LZW, DEFLATE])
def test_tiles_far_larger_than_their_picture_are_refused(tmp_path: Path, compression: int) -> None:
    page = Page(zeros(3), RGB, 16, tile=16, compression=compression)
    data = bytearray(tiff(page))
    for tag in (322, 323):
        at = data.rindex(struct.pack("<HHI", tag, 4, 1))
        struct.pack_into("<I", data, at + 8, 1 << 20)
    (tmp_path / "in.tif").write_bytes(data)
    with pytest.raises(ImageRejected, match="tiles are far larger than its picture"):
        decode(tmp_path / "in.tif", LIMITS)


@pytest.mark.parametrize("big", [False, True])
@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("name", ["planes", "packed", "tiles", "floats", "palette", "pages"])
def test_damaged_files_are_an_error_of_ours_or_a_picture(tmp_path: Path, name: str, order: str, big: bool) -> None:
    random = np.random.default_rng(2)
    made = {
        "planes": [Page(random.integers(0, 65536, (19, 21, 3)), RGB, 16, planar=True, compression=DEFLATE)],
        "packed": [Page(random.integers(0, 4096, (19, 21, 4)), RGB, 12, extra=(1,), compression=LZW)],
        "tiles": [Page(random.integers(0, 65536, (19, 21, 4)), CMYK, 16, tile=16, compression=PACKBITS)],
        "floats": [Page(random.random((19, 21, 3)), RGB, 32, format=FLOAT, compression=DEFLATE, predictor=3)],
        "palette": [Page(random.integers(0, 16, (19, 21, 1)), PALETTE, 4, more=maps(4))],
        "pages": [Page(zeros(1)), Page(random.integers(0, 65536, (19, 21, 1)), BLACK, 16)],
    }[name]
    whole = tiff(*made, order=order, big=big)
    directory = whole.rindex(struct.pack(f"{order}HH", 256, 4)) - 8
    read = 0
    for turn in range(40):
        data = bytearray(whole)
        first = directory if turn % 2 else 0  # half of the damage is where it hurts
        for at in random.integers(first, len(data), random.integers(1, 6)):
            data[at] = random.integers(0, 256)
        (tmp_path / "in.tif").write_bytes(data)
        with contextlib.suppress(EngineError):
            decode(tmp_path / "in.tif", LIMITS)
            read += 1
    assert read < 40
