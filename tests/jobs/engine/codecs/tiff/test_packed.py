"""TIFF of 10, 12 and 14 bit: samples behind each other without a gap, rows from byte to byte."""

import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from jobs.engine.codec import decode, encode
from jobs.engine.codecs.probe import probe
from tests.jobs.engine.conftest import LIMITS


def packed(values: NDArray[np.uint16], bits: int) -> bytes:
    """Rows of samples (H, W, C) as bits, the highest first."""
    rows = ["".join(f"{int(value):0{bits}b}" for value in row.ravel()) for row in values]
    return b"".join(int(row.ljust(-(-len(row) // 8) * 8, "0"), 2).to_bytes(-(-len(row) // 8), "big") for row in rows)


def tiff(values: NDArray[np.uint16], bits: int, photometric: int, *, order: str, packing: int, turn: int = 1) -> bytes:
    """A TIFF of strips of two rows."""
    height, width, samples = values.shape
    strips = [packed(values[top : top + 2], bits) for top in range(0, height, 2)]
    strips = [zlib.compress(strip) if packing == 8 else strip for strip in strips]
    offsets = [8 + sum(len(strip) for strip in strips[:at]) for at in range(len(strips))]
    entries = [
        (256, [width]), (257, [height]), (258, [bits] * samples), (259, [packing]), (262, [photometric]),
        (273, offsets), (274, [turn]), (277, [samples]), (278, [2]), (279, [len(strip) for strip in strips]),
    ]  # fmt: skip
    begin = 8 + sum(map(len, strips)) + sum(map(len, strips)) % 2
    rows, tail = b"", b""
    for tag, numbers in entries:
        content = struct.pack(f"{order}{len(numbers)}H", *numbers)
        if len(content) > 4:
            place = struct.pack(f"{order}I", begin + 2 + 12 * len(entries) + 4 + len(tail))
            tail += content
        else:
            place = content.ljust(4, b"\0")
        rows += struct.pack(f"{order}HHI", tag, 3, len(numbers)) + place
    head = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(f"{order}I", begin)
    return (
        (head + b"".join(strips)).ljust(begin, b"\0") + struct.pack(f"{order}H", len(entries)) + rows + bytes(4) + tail
    )


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("packing", [1, 8])
@pytest.mark.parametrize(("photometric", "samples"), [(0, 1), (1, 1), (2, 3)])
@pytest.mark.parametrize("bits", [10, 12, 14])
def test_every_value_keeps_its_place_in_the_range(
    tmp_path: Path, bits: int, photometric: int, samples: int, packing: int, order: str
) -> None:
    most = (1 << bits) - 1
    values = np.random.default_rng(bits).integers(0, most + 1, (5, 7, samples)).astype(np.uint16)
    values[0, :2] = [[0], [most]]
    (tmp_path / "in").write_bytes(tiff(values, bits, photometric, order=order, packing=packing))
    header = probe(tmp_path / "in", LIMITS)
    assert (header.bits, header.gray, header.alpha) == (16, samples == 1, False)
    made = decode(tmp_path / "in", LIMITS)
    assert made.depth == (16 if bits == 14 else bits)
    shown = most - values if photometric == 0 else values
    wanted = np.rint(shown.astype(np.float64) * 65535 / most)
    assert np.abs(made.frames[0].color - wanted).max() <= 1
    encode(made, tmp_path / "out")
    assert np.array_equal(decode(tmp_path / "out", LIMITS).frames[0].color, made.frames[0].color)


@pytest.mark.parametrize("turn", range(1, 9))
def test_they_are_turned_upright(tmp_path: Path, turn: int) -> None:
    values = np.arange(0, 4095, 117, dtype=np.uint16)[:35].reshape(5, 7, 1)
    frames = []
    for bits in (12, 16):
        stored = values if bits == 12 else np.rint(values * (65535 / 4095)).astype(np.uint16)
        data = tiff(stored, bits, 1, order=">", packing=1, turn=turn)
        (tmp_path / "in").write_bytes(data)
        frames.append(decode(tmp_path / "in", LIMITS).frames[0].color.astype(int))
    assert np.abs(frames[0] - frames[1]).max() <= 1
