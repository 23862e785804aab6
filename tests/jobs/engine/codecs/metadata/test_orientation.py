"""Orientation in every type and place: applied and told anew, or left alone; never half of it."""

import io
import struct
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from jobs.engine.codecs.metadata import exif as exif_block
from jobs.engine.types import Picture
from tests.jobs.engine.codecs.samples import read
from tests.jobs.engine.conftest import photo

BYTE, SHORT, LONG, SBYTE, SSHORT, SLONG, ASCII = 1, 3, 4, 6, 8, 9, 2
PACK = {BYTE: "B3x", SHORT: "H2x", LONG: "I", SBYTE: "b3x", SSHORT: "h2x", SLONG: "i"}
FORMATS = ["JPEG", "PNG", "WEBP"]
XMP = (
    b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
    b'<rdf:Description xmlns:tiff="http://ns.adobe.com/tiff/1.0/" tiff:Orientation="6"/></rdf:RDF></x:xmpmeta>'
)


def exif(kind: int, value: int, order: str = "<", count: int = 1) -> bytes:
    field = b"6\0\0\0" if kind == ASCII else struct.pack(order + PACK[kind], value)
    head = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(f"{order}IH", 8, 1)
    return head + struct.pack(f"{order}HHI", 0x112, kind, count) + field + bytes(4)


def decoded(folder: Path, name: str, block: bytes | None, xmp: bytes | None = None) -> Picture:
    file = io.BytesIO()
    settings = {"lossless": True} if name == "WEBP" else {}
    if block:
        settings["exif"] = b"Exif\0\0" + block  # type: ignore[assignment] # settings of several types
    image = Image.fromarray(photo(40, 30))
    if xmp and name == "PNG":
        from PIL.PngImagePlugin import PngInfo

        info = PngInfo()
        info.add_itxt("XML:com.adobe.xmp", xmp.decode())
        settings["pnginfo"] = info  # type: ignore[assignment] # as above
    elif xmp:
        settings["xmp"] = xmp  # type: ignore[assignment] # as above
    image.save(file, name, **settings)
    return read(folder, file.getvalue())


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("kind", [SHORT, LONG])
@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("value", range(1, 9))
def test_what_counts_is_applied_and_told_anew(tmp_path: Path, name: str, kind: int, order: str, value: int) -> None:
    made = decoded(tmp_path, name, exif(kind, value, order), XMP)
    assert (made.width, made.height) == ((30, 40) if value >= 5 else (40, 30))
    assert made.metadata.exif == exif(kind, 1, order)
    assert (b'Orientation="1"' in (made.metadata.xmp or b"")) == (value != 1)
    if name != "JPEG" and value == 6:
        assert np.array_equal(made.frames[0].color, np.rot90(photo(40, 30), -1))


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("kind", [BYTE, SBYTE, SSHORT, SLONG, ASCII])
@pytest.mark.parametrize("name", FORMATS)
def test_what_viewers_disagree_about_is_left_alone(tmp_path: Path, name: str, kind: int, order: str) -> None:
    made = decoded(tmp_path, name, exif(kind, 6, order), XMP)
    assert (made.width, made.height) == (40, 30)
    assert made.metadata.exif == exif(kind, 6, order)
    assert b'Orientation="6"' in (made.metadata.xmp or b"")


@pytest.mark.parametrize(("value", "count"), [(0, 1), (9, 1), (65535, 1), (6, 2), (6, 0)])
def test_values_and_counts_that_make_no_sense_are_left_alone(value: int, count: int) -> None:
    block = exif(SHORT, value, count=count)
    assert exif_block.orientation(block) == 1
    assert exif_block.upright(block) == block


@pytest.mark.parametrize("name", FORMATS)
def test_an_orientation_in_xmp_alone_changes_nothing(tmp_path: Path, name: str) -> None:
    made = decoded(tmp_path, name, None, XMP)
    assert (made.width, made.height) == (40, 30)
    assert made.metadata.xmp == XMP


@pytest.mark.parametrize("value", range(2, 9))
def test_a_turned_tiff_tells_xmp_anew(tmp_path: Path, value: int) -> None:
    file = io.BytesIO()
    Image.fromarray(photo(40, 30)).save(file, "TIFF", tiffinfo={274: value, 700: XMP})
    made = read(tmp_path, file.getvalue())
    assert (made.width, made.height) == ((30, 40) if value >= 5 else (40, 30))
    assert b'Orientation="1"' in (made.metadata.xmp or b"")
