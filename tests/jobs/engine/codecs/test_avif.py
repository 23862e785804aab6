"""The depth of an AVIF is decided by its boxes, wherever they lie."""

import struct
from pathlib import Path

import cv2
import numpy as np
import pytest

from jobs.engine.codec import decode
from jobs.engine.codecs import avif
from jobs.engine.codecs.probe import probe
from jobs.engine.errors import FormatUnsupported
from tests.jobs.engine.conftest import LIMITS


def deep_avif(depth: int, channels: int) -> tuple[bytes, np.ndarray]:
    """A lossless AVIF by OpenCV's encoder, and the values in it."""
    full = (1 << depth) - 1
    values = np.linspace(0, full, 48 * 40 * channels).reshape(40, 48, channels)
    pixels = values.astype(np.uint8 if depth == 8 else np.uint16)
    settings = [cv2.IMWRITE_AVIF_QUALITY, 100, cv2.IMWRITE_AVIF_DEPTH, depth, cv2.IMWRITE_AVIF_SPEED, 10]
    done, data = cv2.imencode(".avif", pixels, settings)
    assert done
    return data.tobytes(), pixels


@pytest.mark.parametrize("depth", [8, 10, 12])
@pytest.mark.parametrize("channels", [1, 3, 4])
def test_avif_keeps_its_depth(tmp_path: Path, depth: int, channels: int) -> None:
    data, pixels = deep_avif(depth, channels)
    (tmp_path / "in.avif").write_bytes(data)
    header = probe(tmp_path / "in.avif", LIMITS)
    assert (header.bits, header.alpha) == (8 if depth == 8 else 16, channels == 4)
    frame = decode(tmp_path / "in.avif", LIMITS).frames[0]
    wide = np.rint(pixels.astype(np.float64) / ((1 << depth) - 1) * (255 if depth == 8 else 65_535))
    expected = wide if channels == 1 else wide[:, :, 2::-1]
    tolerance = 0 if channels > 1 else 1 << (16 if depth > 8 else 8) - depth  # gray may go through YUV
    assert np.abs(frame.color.astype(np.float64) - expected).max() <= tolerance
    if channels == 4:
        assert frame.alpha is not None
        assert np.array_equal(frame.alpha, wide[:, :, 3])


def test_avif_headers_after_the_pixels_are_found(tmp_path: Path) -> None:
    data, _ = deep_avif(10, 3)
    size = int.from_bytes(data[:4], "big")
    filler = struct.pack(">I4s", 8 + 100_000, b"free") + bytes(100_000)
    (tmp_path / "in.avif").write_bytes(data[:size] + filler + data[size:])
    with (tmp_path / "in.avif").open("rb") as file:
        assert avif.depths(file) == {10}


@pytest.mark.parametrize(("depth", "other", "bits"), [(8, 10, 8), (10, 8, 16), (10, 12, None)])
def test_another_depth_inside_an_avif_does_not_count(tmp_path: Path, depth: int, other: int, bits: int | None) -> None:
    """A gain map or a thumbnail of another depth: here only its description, in a box of its own at the end."""
    data, _ = deep_avif(depth, 3)
    flags = {8: 0, 10: 0x40, 12: 0x60}[other]
    more = struct.pack(">I4s", 8 + 12, b"moov") + struct.pack(">I4s", 12, b"av1C") + bytes([0x81, 0, flags, 0])
    (tmp_path / "in.avif").write_bytes(data + more)
    if bits is None:
        with pytest.raises(FormatUnsupported, match="10 and of 12 bit"):
            decode(tmp_path / "in.avif", LIMITS)
        return
    assert decode(tmp_path / "in.avif", LIMITS).bits == bits


def test_a_broken_chain_of_avif_boxes_ends(tmp_path: Path) -> None:
    for tail in (b"", b"\0\0\0\1meta", b"\0\0\0\0meta", b"\0\0\0\3free", struct.pack(">I4sQ", 1, b"free", 1 << 62)):
        (tmp_path / "in.avif").write_bytes(struct.pack(">I4s", 16, b"ftyp") + b"avif\0\0\0\0" + tail)
        with (tmp_path / "in.avif").open("rb") as file:
            assert avif.depths(file) == {8}
            assert file.tell() == 0
