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


@pytest.mark.parametrize("full_range", [True, False])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("depth", [8, 10, 12])
def test_limited_range_is_brought_to_the_full_one(tmp_path: Path, depth: int, channels: int, full_range: bool) -> None:
    """Black and white of a file whose nclx says how the numbers are meant; the YUV inside is OpenCV's."""
    low, high = (0, (1 << depth) - 1) if full_range else (16 << (depth - 8), 235 << (depth - 8))
    if channels == 3 and not full_range:
        pytest.skip("OpenCV writes colour in the full range only")
    pixels = np.full((16, 32, channels), low, np.uint8 if depth == 8 else np.uint16)
    pixels[:, 16:] = high
    settings = [cv2.IMWRITE_AVIF_QUALITY, 100, cv2.IMWRITE_AVIF_DEPTH, depth]
    data = bytearray(cv2.imencode(".avif", pixels, settings)[1].tobytes())
    data[data.find(b"nclx") + 10] = 0x80 if full_range else 0
    (tmp_path / "in.avif").write_bytes(data)
    color = decode(tmp_path / "in.avif", LIMITS).frames[0].color
    white = 255 if depth == 8 else 65535
    assert (color[8, 4, 0], color[8, 28, 0]) == (0, white)


def with_metadata_behind(data: bytes) -> bytes:
    """The file with an XMP item whose bytes stand behind the pixels, as avifenc and exiftool write it."""
    meta = data.find(b"meta") - 4
    size = int.from_bytes(data[meta : meta + 4], "big")
    boxes = isobmff_boxes(data[meta + 12 : meta + size])
    xmp = b"<x:xmpmeta xmlns:x='adobe:ns:meta/'/>"
    info = struct.pack(">BBH", 2, 0, 0) + struct.pack(">HH", 9, 0) + b"mimeXMP\0application/rdf+xml\0\0"
    infe = struct.pack(">I", len(info) + 8) + b"infe" + info
    iinf = bytearray(boxes[b"iinf"])
    iinf[4:6] = (int.from_bytes(iinf[4:6], "big") + 1).to_bytes(2, "big")
    boxes[b"iinf"] = bytes(iinf) + infe
    primary = boxes[b"pitm"][4:6]
    link = struct.pack(">I", 14) + b"cdsc" + struct.pack(">HH", 9, 1) + primary  # the XMP describes the picture
    grown = len(infe) + 14 + len(link) + (0 if b"iref" in boxes else 12)  # 14: an item in iloc with one extent
    boxes[b"iref"] = boxes.get(b"iref", bytes(4)) + link
    iloc = bytearray(boxes[b"iloc"])
    assert (iloc[0], bytes(iloc[4:6])) == (0, b"\x44\0"), "offsets and lengths of 4 bytes, no base"
    count = int.from_bytes(iloc[6:8], "big")
    at = 8
    for _ in range(count):
        extents = int.from_bytes(iloc[at + 4 : at + 6], "big")
        for extent in range(extents):
            place = at + 6 + 8 * extent
            moved = int.from_bytes(iloc[place : place + 4], "big") + grown
            iloc[place : place + 4] = moved.to_bytes(4, "big")
        at += 6 + 8 * extents
    iloc[6:8] = (count + 1).to_bytes(2, "big")
    boxes[b"iloc"] = bytes(iloc) + struct.pack(">HHHII", 9, 0, 1, len(data) + grown, len(xmp))
    body = b"".join(struct.pack(">I", len(content) + 8) + name + content for name, content in boxes.items())
    return data[:meta] + struct.pack(">I", len(body) + 12) + b"meta" + bytes(4) + body + data[meta + size :] + xmp


def isobmff_boxes(content: bytes) -> dict[bytes, bytes]:
    found, at = {}, 0
    while at < len(content):
        size = int.from_bytes(content[at : at + 4], "big")
        found[content[at + 4 : at + 8]] = content[at + 8 : at + size]
        at += size
    return found


@pytest.mark.parametrize("channels", [1, 3, 4])
@pytest.mark.parametrize("depth", [8, 10, 12])
def test_metadata_behind_the_pixels_is_kept(tmp_path: Path, depth: int, channels: int) -> None:
    data, _ = deep_avif(depth, channels)
    (tmp_path / "plain.avif").write_bytes(data)
    (tmp_path / "in.avif").write_bytes(with_metadata_behind(data))
    made, plain = decode(tmp_path / "in.avif", LIMITS), decode(tmp_path / "plain.avif", LIMITS)
    assert np.array_equal(made.frames[0].color, plain.frames[0].color)
    assert made.metadata.xmp == b"<x:xmpmeta xmlns:x='adobe:ns:meta/'/>"
    assert made.depth == depth


@pytest.mark.parametrize("limited", [False, True])
@pytest.mark.parametrize("depth", [10, 12])
def test_the_range_of_deep_gray_stands_in_the_av1_data_where_no_box_tells(
    tmp_path: Path, depth: int, *, limited: bool
) -> None:
    values = np.full((16, 32), 64 << depth - 10, np.uint16)
    values[:, 16:] = 940 << depth - 10
    settings = [cv2.IMWRITE_AVIF_DEPTH, depth, cv2.IMWRITE_AVIF_QUALITY, 100]
    data = bytearray(cv2.imencode(".avif", values, settings)[1].tobytes().replace(b"colr", b"free"))
    sequence = data.index(b"\x0a\x05", data.index(b"mdat"))  # the header of AV1's sequence, five bytes
    if limited:
        data[sequence + 6] ^= 8 if depth == 10 else 4  # color_range; twelve_bit stands before it
    (tmp_path / "in.avif").write_bytes(data)
    color = decode(tmp_path / "in.avif", LIMITS).frames[0].color
    most = (1 << depth) - 1
    wanted = [0, 65535] if limited else [round(int(value) * 65535 / most) for value in values[8, [4, 28]]]
    assert np.abs(color[8, [4, 28], 0].astype(int) - wanted).max() <= 1
