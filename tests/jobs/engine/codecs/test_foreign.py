"""Files that are valid and not read are refused by their true names; raw files say what to do."""

import io
import struct
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, TiffImagePlugin

from jobs.engine.codec import decode
from jobs.engine.codecs.probe import probe
from jobs.engine.errors import FormatUnsupported, ImageRejected
from tests.jobs.engine.conftest import LIMITS, photo

FILES = {
    "a PDF document": b"%PDF-1.7\n",
    "an SVG drawing": b'<?xml version="1.0"?>\n<svg xmlns="http://www.w3.org/2000/svg"/>',
    "a Photoshop document": b"8BPS\0\1" + bytes(20),
    "a JPEG 2000 picture": b"\0\0\0\x0cjP  \r\n\x87\n" + bytes(20),
    "a Targa picture (TGA)": bytes((0, 0, 2)) + bytes(9) + bytes((4, 0, 4, 0, 24, 0)) + bytes(48),
    "a PCX picture": bytes((10, 5, 1, 8)) + bytes(124),
    "a JPEG XR picture": b"II\xbc\x01" + bytes(20),
    "a cursor (CUR)": b"\0\0\2\0\1\0" + bytes(20),
    "an icon (ICO)": b"\0\0\1\0\1\0" + bytes(20),
    "an MP4 video": b"\0\0\0\x20ftypisom" + bytes(20),
    "a QuickTime video": b"\0\0\0\x14ftypqt  " + bytes(20),
    "a Matroska or WebM video": b"\x1aE\xdf\xa3" + bytes(20),
    "an OpenEXR picture": b"v/1\x01" + bytes(20),
    "a ZIP archive or an office document": b"PK\3\4" + bytes(20),
    "a web page": b"\xef\xbb\xbf\n<!DOCTYPE html><html>",
    "a PPM picture": b"P6\n2 2\n255\n" + bytes(12),
}
RAW = {
    "CR2": b"II*\0\x10\0\0\0CR\2\0" + bytes(40),
    "CR3": b"\0\0\0\x18ftypcrx \0\0\0\1" + bytes(40),
    "RAF": b"FUJIFILMCCD-RAW 0201" + bytes(40),
    "ORF": b"IIRO\x08\0\0\0" + bytes(40),
    "RW2": b"IIU\0\x18\0\0\0" + bytes(40),
    "X3F": b"FOVb" + bytes(40),
}


@pytest.mark.parametrize("name", FILES)
def test_a_file_of_another_kind_is_named(tmp_path: Path, name: str) -> None:
    (tmp_path / "in").write_bytes(FILES[name])
    with pytest.raises(FormatUnsupported, match="PNG, JPEG") as refused:
        probe(tmp_path / "in", LIMITS)
    assert str(refused.value).startswith(f"the file is {name}, not an image of a format that we read")


@pytest.mark.parametrize("name", RAW)
def test_raw_files_say_what_to_do(tmp_path: Path, name: str) -> None:
    (tmp_path / "in").write_bytes(RAW[name])
    with pytest.raises(FormatUnsupported, match="raw file: develop it first"):
        probe(tmp_path / "in", LIMITS)


def directory(entries: list[tuple[int, int, int]], order: str, at: int, following: int = 0) -> bytes:
    """A TIFF directory of one-value entries (tag, type, value)."""
    body = b"".join(
        struct.pack(f"{order}HHI", tag, kind, 1)
        + (struct.pack(f"{order}HH", value, 0) if kind == 3 else struct.pack(f"{order}I", value))
        for tag, kind, value in sorted(entries)
    )
    return struct.pack(f"{order}H", len(entries)) + body + struct.pack(f"{order}I", following)


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("place", ["first", "chain", "SubIFD", "DNG"])
def test_a_raw_file_within_tiff_is_not_taken_for_its_thumbnail(tmp_path: Path, order: str, place: str) -> None:
    thumbnail = [(256, 3, 2), (257, 3, 1), (258, 3, 8), (259, 3, 1), (262, 3, 1), (273, 4, 8), (277, 3, 1), (279, 4, 2)]
    sensor = [(256, 3, 100), (257, 3, 80), (262, 3, 32803)]
    head = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(f"{order}I", 12) + b"ab\0\0"
    second = 12 + 2 + 12 * (len(thumbnail) + 1) + 4
    if place == "first":
        data = head + directory([*thumbnail[:4], (262, 3, 34892), *thumbnail[5:], (254, 4, 1)], order, 12)
    elif place == "DNG":
        data = head + directory([*thumbnail, (50706, 4, 0x01040000)], order, 12)
    elif place == "SubIFD":
        data = head + directory([*thumbnail, (330, 4, second)], order, 12) + directory(sensor, order, second)
    else:
        data = head + directory([*thumbnail, (254, 4, 1)], order, 12, second) + directory(sensor, order, second)
    (tmp_path / "in.tif").write_bytes(data)
    with pytest.raises(FormatUnsupported, match="raw file"):
        probe(tmp_path / "in.tif", LIMITS)


def jpeg() -> bytes:
    file = io.BytesIO()
    Image.fromarray(photo(24, 16)).save(file, "JPEG")
    return file.getvalue()


@pytest.mark.parametrize(
    ("marker", "bits", "name"),
    [
        (0xF7, 8, "JPEG-LS"),
        (0xC3, 8, "lossless JPEG"),
        (0xC5, 8, "hierarchical JPEG"),
        (0xC1, 12, "JPEG of 12 bit per channel"),
    ],
)
def test_kinds_of_jpeg_that_no_library_here_reads_are_named(tmp_path: Path, marker: int, bits: int, name: str) -> None:
    data = bytearray(jpeg())
    at = data.index(b"\xff\xc0")
    data[at + 1], data[at + 4] = marker, bits
    (tmp_path / "in.jpg").write_bytes(data)
    with pytest.raises(FormatUnsupported, match=f"it is {name}"):
        decode(tmp_path / "in.jpg", LIMITS)


def test_a_broken_jpeg_is_still_broken(tmp_path: Path) -> None:
    (tmp_path / "in.jpg").write_bytes(jpeg()[:300])
    with pytest.raises(ImageRejected, match="truncated: it ends too early") as refused:
        decode(tmp_path / "in.jpg", LIMITS)
    assert not isinstance(refused.value, FormatUnsupported)


@pytest.mark.parametrize(
    ("number", "name"),
    [(50001, "WebP"), (34712, "JPEG 2000"), (34887, "LERC"), (34661, "JBIG"), (61234, "compression 61234")],
)
@pytest.mark.parametrize("bits", [8, 16])
def test_tiff_compressions_that_are_not_read_are_named(tmp_path: Path, number: int, name: str, bits: int) -> None:
    pixels = photo(24, 16, bits=bits, channels=3 if bits == 8 else 1)
    path = tmp_path / "in.tif"
    Image.fromarray(pixels if bits == 8 else pixels[:, :, 0]).save(path, compression="tiff_lzw")
    data = path.read_bytes()
    old = struct.pack("<HHIHH", 259, 3, 1, 5, 0)
    assert data.count(old) == 1
    path.write_bytes(data.replace(old, struct.pack("<HHIHH", 259, 3, 1, number, 0)))
    with pytest.raises(FormatUnsupported, match=name):
        decode(path, LIMITS)


def pages(*kinds: tuple[int, tuple[int, int]], old: bool = False) -> bytes:
    """A TIFF of directories (subfile type, size)."""
    file = io.BytesIO()
    with TiffImagePlugin.AppendingTiffWriter(file, True) as writer:
        for index, (kind, size) in enumerate(kinds):
            tag = {255: kind} if old else {254: kind}
            Image.fromarray(photo(*size, seed=index)).save(writer, "TIFF", tiffinfo=tag)
            writer.newFrame()
    return file.getvalue()


@pytest.mark.parametrize(
    ("kinds", "size", "frames"),
    [
        (((0, (40, 30)), (1, (20, 15)), (1, (10, 8))), (40, 30), 1),
        (((1, (20, 15)), (0, (40, 30))), (40, 30), 1),
        (((0, (40, 30)), (4, (40, 30))), (40, 30), 1),
        (((0, (40, 30)), (5, (20, 15))), (40, 30), 1),
        (((2, (40, 30)), (2, (40, 30)), (3, (20, 15))), (40, 30), 2),
        (((1, (40, 30)),), (40, 30), 1),
    ],
    ids=["overviews", "thumbnail first", "mask", "smaller mask", "pages and overview", "nothing else"],
)
def test_copies_and_masks_are_no_pages(
    tmp_path: Path, kinds: tuple[tuple[int, tuple[int, int]], ...], size: tuple[int, int], frames: int
) -> None:
    (tmp_path / "in.tif").write_bytes(pages(*kinds))
    header = probe(tmp_path / "in.tif", LIMITS)
    assert ((header.width, header.height), header.frames) == (size, frames)
    made = decode(tmp_path / "in.tif", LIMITS)
    full = [index for index, (kind, _) in enumerate(kinds) if not kind & 5] or [0]
    assert len(made.frames) == frames
    for frame, index in zip(made.frames, full, strict=True):
        assert np.array_equal(frame.color, photo(*kinds[index][1], seed=index))


def test_the_old_tag_for_copies_counts_too(tmp_path: Path) -> None:
    (tmp_path / "in.tif").write_bytes(pages((1, (40, 30)), (2, (20, 15)), old=True))
    assert decode(tmp_path / "in.tif", LIMITS).width == 40


def test_directories_in_a_circle_come_to_an_end(tmp_path: Path) -> None:
    data = bytearray(pages((0, (40, 30)), (0, (40, 30))))
    first = int.from_bytes(data[4:8], "little")
    count = int.from_bytes(data[first : first + 2], "little")
    second = int.from_bytes(data[first + 2 + 12 * count :][:4], "little")
    end = second + 2 + 12 * int.from_bytes(data[second : second + 2], "little")
    data[end : end + 4] = first.to_bytes(4, "little")
    (tmp_path / "in.tif").write_bytes(data)
    assert probe(tmp_path / "in.tif", LIMITS).frames == 2
