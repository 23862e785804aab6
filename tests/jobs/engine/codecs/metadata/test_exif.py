"""What metadata says of the pixels is said of the new pixels: sizes, and no thumbnail of the old ones."""

import io
import struct
from pathlib import Path

import piexif
import pytest
from PIL import Image

from jobs.engine.codec import decode, encode
from jobs.engine.codecs.metadata import exif
from jobs.engine.types import EncodeOptions, Frame, Picture
from tests.jobs.engine.conftest import LIMITS, photo

WITH_EXIF = ["png", "jpeg", "webp", "avif"]
XMP = (
    b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
    b'<rdf:Description rdf:about="" xmlns:tiff="http://ns.adobe.com/tiff/1.0/" tiff:ImageWidth="40"'
    b' tiff:ImageLength="30" xmlns:exif="http://ns.adobe.com/exif/1.0/" xmlns:xmp="http://ns.adobe.com/xap/1.0/">'
    b"<exif:PixelXDimension>40</exif:PixelXDimension><exif:PixelYDimension>30</exif:PixelYDimension>"
    b"<xmp:Thumbnails><rdf:Alt><rdf:li>b2xkIHBpeGVscw==</rdf:li></rdf:Alt></xmp:Thumbnails>"
    b"<xmp:Rating>5</xmp:Rating></rdf:Description></rdf:RDF></x:xmpmeta>"
)


def thumbnail() -> bytes:
    file = io.BytesIO()
    Image.fromarray(photo(16, 12)).save(file, format="JPEG")
    return file.getvalue()


def block() -> bytes:
    """EXIF that names its picture's size in every place where programs write it, with a thumbnail."""
    content = {
        "0th": {
            piexif.ImageIFD.Make: b"Camera",
            piexif.ImageIFD.ImageWidth: 40,
            piexif.ImageIFD.ImageLength: 30,
        },
        "Exif": {
            piexif.ExifIFD.PixelXDimension: 40,
            piexif.ExifIFD.PixelYDimension: 30,
            piexif.ExifIFD.MakerNote: bytes(range(64)),
        },
        "Interop": {piexif.InteropIFD.InteroperabilityIndex: b"R98"},
        "1st": {piexif.ImageIFD.Compression: 6, piexif.ImageIFD.XResolution: (72, 1)},
        "thumbnail": thumbnail(),
    }
    return bytes(piexif.dump(content))


def enlarged(path: Path) -> Picture:
    """A JPEG with all of that, read, with pixels as they are after upscaling."""
    Image.fromarray(photo(40, 30)).save(path, format="JPEG", exif=block(), xmp=XMP)
    read = decode(path, LIMITS)
    return Picture(format="jpeg", frames=(Frame(color=photo(160, 120)),), metadata=read.metadata)


def exif_of(path: Path) -> bytes:
    with Image.open(path) as image:
        raw = image.info["exif"]
    return bytes(raw if raw.startswith(b"Exif") else b"Exif\0\0" + raw)


@pytest.mark.parametrize("name", WITH_EXIF)
def test_every_size_in_exif_is_the_new_one(tmp_path: Path, name: str) -> None:
    path = tmp_path / f"out.{name}"
    encode(enlarged(tmp_path / "in.jpg"), path, EncodeOptions(format=name))  # type: ignore[arg-type]  # one of the literals
    found = piexif.load(exif_of(path))
    assert found["0th"][piexif.ImageIFD.ImageWidth] == 160
    assert found["0th"][piexif.ImageIFD.ImageLength] == 120
    assert found["Exif"][piexif.ExifIFD.PixelXDimension] == 160
    assert found["Exif"][piexif.ExifIFD.PixelYDimension] == 120
    assert found["Exif"][piexif.ExifIFD.MakerNote] == bytes(range(64))
    assert found["Interop"][piexif.InteropIFD.InteroperabilityIndex] == b"R98"


@pytest.mark.parametrize("name", WITH_EXIF)
def test_the_old_thumbnail_is_gone(tmp_path: Path, name: str) -> None:
    path = tmp_path / f"out.{name}"
    encode(enlarged(tmp_path / "in.jpg"), path, EncodeOptions(format=name, provenance="x4"))  # type: ignore[arg-type]  # as above
    raw = exif_of(path)
    found = piexif.load(raw)
    assert found["thumbnail"] is None
    assert found["1st"] == {}
    assert thumbnail() not in raw
    assert found["0th"][piexif.ImageIFD.Make] == b"Camera"


@pytest.mark.parametrize("name", [*WITH_EXIF, "tiff"])
def test_every_size_in_xmp_is_the_new_one(tmp_path: Path, name: str) -> None:
    path = tmp_path / f"out.{name}"
    encode(enlarged(tmp_path / "in.jpg"), path, EncodeOptions(format=name))  # type: ignore[arg-type]  # as above
    xmp = decode(path, LIMITS).metadata.xmp
    assert xmp is not None
    assert b'tiff:ImageWidth="160"' in xmp
    assert b'tiff:ImageLength="120"' in xmp
    assert b"<exif:PixelXDimension>160</exif:PixelXDimension>" in xmp
    assert b"<exif:PixelYDimension>120</exif:PixelYDimension>" in xmp
    assert b"Thumbnails" not in xmp
    assert b"<xmp:Rating>5</xmp:Rating>" in xmp


def test_a_thumbnail_that_is_not_last_is_wiped_where_it_lies() -> None:
    old = thumbnail()
    before = exif.body(block()) + b"maker's own trailer"
    after = exif.resized(before, 160, 120)
    assert len(after) == len(before)
    assert after.endswith(b"maker's own trailer")
    assert old[:32] not in after


def test_a_side_beyond_16_bits_fits() -> None:
    short = block().replace(struct.pack(">HHI", 0x0100, 4, 1), struct.pack(">HHI", 0x0100, 3, 1))
    found = piexif.load(b"Exif\0\0" + exif.resized(short, 70_000, 120))
    assert found["0th"][piexif.ImageIFD.ImageWidth] == 70_000


def test_a_thumbnail_that_claims_other_bytes_takes_nothing_with_it() -> None:
    data = bytearray(exif.body(block()))
    note = data.index(bytes(range(64)))
    data[note : note + 2] = b"\xff\xd8"
    start = data.index(struct.pack(">HHI", 0x0201, 4, 1)) + 8
    struct.pack_into(">I", data, start, note)
    found = piexif.load(b"Exif\0\0" + exif.resized(bytes(data), 160, 120))
    assert found["Exif"][piexif.ExifIFD.MakerNote] == b"\xff\xd8" + bytes(range(2, 64))
    assert found["thumbnail"] is None


def test_a_broken_chain_of_directories_stops_nothing() -> None:
    data = bytearray(exif.body(block()))
    first = struct.unpack_from(">I", data, 4)[0]
    count = struct.unpack_from(">H", data, first)[0]
    for following in (len(data) - 1, 0xFFFFFFF0, first, 4):
        struct.pack_into(">I", data, first + 2 + 12 * count, following)
        assert exif.readable(exif.resized(bytes(data), 160, 120))
    for cut in range(len(data)):
        exif.resized(bytes(data[:cut]), 160, 120)
