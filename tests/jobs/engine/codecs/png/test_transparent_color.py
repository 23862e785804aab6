"""The transparent colour of PNG: every depth, gray, RGB and palette, stills and animations, keys within and beyond."""

import io
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.jobs.engine.codecs.samples import chunk, read


def gray(bits: int, values: list[int], key: int) -> bytes:
    """A gray PNG of one row with a transparent value."""
    digits = "".join(f"{value:0{bits}b}" for value in values)
    digits = digits.ljust(-(-len(digits) // 8) * 8, "0")
    row = bytes(int(digits[at : at + 8], 2) for at in range(0, len(digits), 8))
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", len(values), 1, bits, 0, 0, 0, 0))
    key_chunk = chunk(b"tRNS", struct.pack(">H", key))
    pixels = chunk(b"IDAT", zlib.compress(b"\0" + row))
    return b"\x89PNG\r\n\x1a\n" + head + key_chunk + pixels + chunk(b"IEND", b"")


@pytest.mark.parametrize("bits", [1, 2, 4, 8, 16])
def test_every_gray_value_can_be_the_transparent_one(tmp_path: Path, bits: int) -> None:
    full = (1 << bits) - 1
    values = sorted({0, 1, full // 2, full - 1, full} & set(range(full + 1)))
    for key in values:
        frame = read(tmp_path, gray(bits, values, key)).frames[0]
        assert frame.alpha is not None
        white = 65535 if bits == 16 else 255
        assert frame.alpha.tolist() == [[0 if value == key else white for value in values]]
        expected = [round(value * white / full) for value in values]
        shown = [
            value for value, alpha in zip(frame.color[0, :, 0].tolist(), frame.alpha[0].tolist(), strict=True) if alpha
        ]
        assert shown == [value for value, number in zip(expected, values, strict=True) if number != key]


@pytest.mark.parametrize("bits", [2, 4, 8])
def test_bits_beyond_the_depth_do_not_count(tmp_path: Path, bits: int) -> None:
    full = (1 << bits) - 1
    frame = read(tmp_path, gray(bits, [0, full], full | 1 << bits)).frames[0]
    assert frame.alpha is not None
    assert frame.alpha.tolist() == [[255, 0]]


@pytest.mark.parametrize("bits", [8, 16])
def test_a_transparent_rgb_colour_counts_where_all_three_agree(tmp_path: Path, bits: int) -> None:
    full = (1 << bits) - 1
    pixels = np.array([[[full, 0, 1], [full, 0, 2], [0, 0, 1]]], np.uint8 if bits == 8 else ">u2")
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", 3, 1, bits, 2, 0, 0, 0))
    key = chunk(b"tRNS", struct.pack(">HHH", full, 0, 1))
    body = chunk(b"IDAT", zlib.compress(b"\0" + pixels.tobytes()))
    frame = read(tmp_path, b"\x89PNG\r\n\x1a\n" + head + key + body + chunk(b"IEND", b"")).frames[0]
    assert frame.alpha is not None
    assert (frame.alpha == 0).tolist() == [[True, False, False]]


@pytest.mark.parametrize("bits", [1, 2, 4, 8])
def test_palettes_have_an_alpha_for_each_colour(tmp_path: Path, bits: int) -> None:
    count = min(1 << bits, 4)
    image = Image.new("P", (count, 1))
    image.putdata(range(count))
    image.putpalette([value for index in range(count) for value in (index * 60, 10, 200)])
    file = io.BytesIO()
    image.save(file, "PNG", bits=bits, transparency=bytes([0, 100, 255, 7][:count]))
    frame = read(tmp_path, file.getvalue()).frames[0]
    assert frame.alpha is not None
    assert frame.alpha.tolist() == [[0, 100, 255, 7][:count]]


def apng(bits: int, frames: list[list[int]], key: int, *, hidden: list[int] | None = None) -> bytes:
    """An animated gray PNG of one-row frames; ``hidden`` is a still for viewers that know no animation."""
    width = len(frames[0])

    def packed(values: list[int]) -> bytes:
        digits = "".join(f"{value:0{bits}b}" for value in values).ljust(-(-width * bits // 8) * 8, "0")
        return zlib.compress(b"\0" + bytes(int(digits[at : at + 8], 2) for at in range(0, len(digits), 8)))

    def control(number: int) -> bytes:
        return chunk(b"fcTL", struct.pack(">IIIIIHHBB", number, width, 1, 0, 0, 1, 10, 0, 0))

    out = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", width, 1, bits, 0, 0, 0, 0))
    out += chunk(b"tRNS", struct.pack(">H", key)) + chunk(b"acTL", struct.pack(">II", len(frames), 0))
    number = 0
    if hidden:
        out += chunk(b"IDAT", packed(hidden))
    for index, values in enumerate(frames):
        out += control(number)
        number += 1
        if index == 0 and not hidden:
            out += chunk(b"IDAT", packed(values))
        else:
            out += chunk(b"fdAT", struct.pack(">I", number) + packed(values))
            number += 1
    return out + chunk(b"IEND", b"")


@pytest.mark.parametrize("hidden", [None, [0, 0]], ids=["shown first", "hidden still"])
@pytest.mark.parametrize("count", [1, 2])
@pytest.mark.parametrize("bits", [2, 4, 8])
def test_animations_heed_it_and_hide_what_is_hidden(
    tmp_path: Path, bits: int, count: int, hidden: list[int] | None
) -> None:
    full = (1 << bits) - 1
    frames = [[full, 1], [1, full]][:count]
    made = read(tmp_path, apng(bits, frames, full, hidden=hidden))
    assert len(made.frames) == count
    for frame, values in zip(made.frames, frames, strict=True):
        assert frame.alpha is not None
        assert frame.alpha.tolist() == [[0 if value == full else 255 for value in values]]
