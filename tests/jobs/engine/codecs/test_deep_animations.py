"""Animations of more than 8 bit per channel: shown by browsers, read here at 8 bit, and said so."""

import struct
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest

from jobs.engine.codec import decode, encode
from jobs.engine.codecs.probe import probe
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
def test_a_deep_apng_is_read_at_eight_bit_and_says_so(tmp_path: Path, kind: int, *, hidden: bool) -> None:
    (tmp_path / "in").write_bytes(deep_apng(kind, hidden=hidden))
    header = probe(tmp_path / "in", LIMITS)
    assert (header.bits, header.frames) == (8, 1 if hidden else 2)
    made = decode(tmp_path / "in", LIMITS)
    wanted = [0xFE] if hidden else [0x12, 0xFE]
    assert [int(frame.color[0, 0, 0]) for frame in made.frames] == wanted
    assert made.notes[0] == "not kept: 16 bit per channel, of which animations are read as 8 bit"
    encode(made, tmp_path / "out")
    assert [int(frame.color[0, 0, 0]) for frame in decode(tmp_path / "out", LIMITS).frames] == wanted


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
