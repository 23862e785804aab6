"""Animations of more than 8 bit per channel: those of PNG keep them, those of AVIF are read at 8 bit, and said so."""

import struct
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest

from jobs.engine.codec import decode, encode
from jobs.engine.codecs.probe import probe
from jobs.engine.errors import ImageRejected
from tests.jobs.engine.codecs.samples import chunk
from tests.jobs.engine.conftest import LIMITS


def deep_apng(kind: int, *, hidden: bool) -> bytes:
    """Two frames of 2×1 pixels, or one behind a still; every sample of a frame is the same, 0x1234 then 0xFEDC."""
    samples = {0: 1, 2: 3, 4: 2, 6: 4}[kind]
    pixels = [zlib.compress(b"\0" + struct.pack(">H", value) * 2 * samples) for value in (0x1234, 0xFEDC)]
    control = [chunk(b"fcTL", struct.pack(">IIIIIHHBB", at, 2, 1, 0, 0, 1, 10, 0, 0)) for at in (0, 1)]
    if hidden:
        body = chunk(b"IDAT", pixels[0]) + control[0] + chunk(b"fdAT", struct.pack(">I", 1) + pixels[1])
    else:
        body = control[0] + chunk(b"IDAT", pixels[0]) + control[1] + chunk(b"fdAT", struct.pack(">I", 2) + pixels[1])
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", 2, 1, 16, kind, 0, 0, 0))
    count = chunk(b"acTL", struct.pack(">II", 1 if hidden else 2, 0))
    return b"\x89PNG\r\n\x1a\n" + head + count + body + chunk(b"IEND", b"")


@pytest.mark.parametrize("hidden", [False, True])
@pytest.mark.parametrize("kind", [0, 2, 4, 6])
def test_a_deep_apng_keeps_its_sixteen_bit(tmp_path: Path, kind: int, *, hidden: bool) -> None:
    (tmp_path / "in").write_bytes(deep_apng(kind, hidden=hidden))
    header = probe(tmp_path / "in", LIMITS)
    assert (header.bits, header.frames, header.gray) == (16, 1 if hidden else 2, kind in (0, 4))
    made = decode(tmp_path / "in", LIMITS)
    wanted = [0xFEDC] if hidden else [0x1234, 0xFEDC]
    still = "not kept: the still picture for viewers that know no animation"
    assert made.notes == ((still,) if hidden else ())
    encode(made, tmp_path / "out")
    for picture in (made, decode(tmp_path / "out", LIMITS)):
        assert picture.bits == 16
        for frame, value in zip(picture.frames, wanted, strict=True):
            assert frame.color.shape == (1, 2, 1 if kind in (0, 4) else 3)
            assert np.all(frame.color == value)
            assert (frame.alpha is not None) == (kind in (4, 6))
            assert frame.alpha is None or np.all(frame.alpha == value)


@pytest.mark.parametrize("kind", [0, 2])
def test_a_transparent_colour_of_a_deep_apng_counts_in_every_frame(tmp_path: Path, kind: int) -> None:
    key = chunk(b"tRNS", struct.pack(">H", 0x1234) * {0: 1, 2: 3}[kind])
    data = deep_apng(kind, hidden=False)
    (tmp_path / "in").write_bytes(data[:33] + key + data[33:])  # behind IHDR
    alphas = [frame.alpha for frame in decode(tmp_path / "in", LIMITS).frames]
    assert [None if alpha is None else int(alpha[0, 0]) for alpha in alphas] == [0, 65535]


WIDTH, HEIGHT = 9, 7


def composed_apng(bits: int, disposals: tuple[int, int, int], blend: int) -> bytes:
    """Three RGBA frames, two of them smaller and half transparent; samples of 16 bit are those of 8 times 257."""
    rng = np.random.default_rng(7)
    places = [(0, 0, WIDTH, HEIGHT), (2, 1, 5, 4), (4, 2, 4, 5)]
    out = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", WIDTH, HEIGHT, bits, 6, 0, 0, 0))
    out += chunk(b"acTL", struct.pack(">II", 3, 0))
    for index, ((x, y, width, height), disposal) in enumerate(zip(places, disposals, strict=True)):
        number = max(0, 2 * index - 1)
        fields = (number, width, height, x, y, 1, 30, disposal, blend if index else 0)
        values = rng.integers(0, 256, (height, width, 4), np.uint8)
        samples = values if bits == 8 else (values.astype(np.uint16) * 257).astype(">u2")
        packed = zlib.compress(b"".join(b"\0" + row.tobytes() for row in samples))
        data = chunk(b"fdAT", struct.pack(">I", number + 1) + packed) if index else chunk(b"IDAT", packed)
        out += chunk(b"fcTL", struct.pack(">IIIIIHHBB", *fields)) + data
    return out + chunk(b"IEND", b"")


@pytest.mark.parametrize("blend", [0, 1])
@pytest.mark.parametrize("disposals", [(0, 0, 0), (1, 1, 0), (0, 2, 0), (2, 1, 0)])
def test_a_deep_apng_is_composed_as_one_of_eight_bit(
    tmp_path: Path, disposals: tuple[int, int, int], blend: int
) -> None:
    """A browser holds the latter (tests/browser/test_animations.py); its rounding is all that differs."""
    made = []
    for bits in (8, 16):
        (tmp_path / "in").write_bytes(composed_apng(bits, disposals, blend))
        made.append(decode(tmp_path / "in", LIMITS))
    for shallow, deep in zip(made[0].frames, made[1].frames, strict=True):
        assert deep.duration_ms == shallow.duration_ms
        assert shallow.alpha is not None
        assert deep.alpha is not None
        assert np.abs(deep.alpha / 257 - shallow.alpha).max() <= 1.01
        there = shallow.alpha > 40  # where little is seen, a step of alpha is many of colour
        assert np.abs(deep.color / 257 - shallow.color)[there].max() <= (4 if blend else 0)


@pytest.mark.parametrize("lost", [1, 8])
def test_a_deep_apng_whose_frame_has_too_few_pixels_is_refused(tmp_path: Path, lost: int) -> None:
    data = deep_apng(2, hidden=False)
    packed = zlib.compress(b"\0" + struct.pack(">H", 0xFEDC) * 6)
    short = zlib.compress((b"\0" + struct.pack(">H", 0xFEDC) * 6)[:-lost])
    whole, cut = (chunk(b"fdAT", struct.pack(">I", 2) + content) for content in (packed, short))
    assert whole in data
    (tmp_path / "in").write_bytes(data.replace(whole, cut))
    with pytest.raises(ImageRejected, match="broken or truncated"):
        decode(tmp_path / "in", LIMITS)


@pytest.mark.parametrize("depth", [10, 12])
def test_a_deep_avif_animation_is_read_at_eight_bit_and_says_so(tmp_path: Path, depth: int) -> None:
    animation = cv2.Animation()
    most = (1 << depth) - 1
    animation.frames = [np.full((16, 16, 3), round(share * most), np.uint16) for share in (0.1, 0.5, 0.9)]
    animation.durations = [40, 50, 60]
    _, data = cv2.imencodeanimation(".avif", animation, [cv2.IMWRITE_AVIF_DEPTH, depth])
    (tmp_path / "in").write_bytes(data.tobytes())
    assert probe(tmp_path / "in", LIMITS).bits == 8
    made = decode(tmp_path / "in", LIMITS)
    assert made.notes == (f"not kept: {depth} bit per channel, of which animations are read as 8 bit",)
    shown = [int(frame.color[8, 8, 0]) for frame in made.frames]
    assert np.abs(np.array(shown) - [25.5, 127.5, 229.5]).max() < 4
    encode(made, tmp_path / "out")
    assert len(decode(tmp_path / "out", LIMITS).frames) == 3
