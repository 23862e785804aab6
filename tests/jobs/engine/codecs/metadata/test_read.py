"""Metadata is kept, told anew where the pixels turned, and gone where it is to be stripped."""

import struct
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import piexif
import pytest
from PIL import Image

from jobs.engine.codec import decode, encode
from jobs.engine.codecs.probe import probe
from jobs.engine.types import EncodeOptions, Frame, Picture
from tests.jobs.engine.codecs.samples import SRGB, WRITABLE
from tests.jobs.engine.conftest import LIMITS, difference, photo, picture

XMP = (
    b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
    b'<rdf:Description rdf:about="" xmlns:tiff="http://ns.adobe.com/tiff/1.0/" tiff:Orientation="6"/>'
    b"</rdf:RDF></x:xmpmeta>"
)


IPTC = b"\x1c\x02\x78\x00\x0bA red boat."


def exif(orientation: int = 1, *, width: int = 40, height: int = 30) -> bytes:
    """A camera's EXIF with GPS, a maker note and a thumbnail directory."""
    content = {
        "0th": {
            piexif.ImageIFD.Make: b"Camera",
            piexif.ImageIFD.Software: b"Firmware 1.2",
            piexif.ImageIFD.Orientation: orientation,
        },
        "Exif": {
            piexif.ExifIFD.DateTimeOriginal: b"2024:05:06 07:08:09",
            piexif.ExifIFD.PixelXDimension: width,
            piexif.ExifIFD.PixelYDimension: height,
            piexif.ExifIFD.MakerNote: bytes(range(64)),
        },
        "GPS": {piexif.GPSIFD.GPSLatitudeRef: b"N", piexif.GPSIFD.GPSLatitude: ((52, 1), (31, 1), (0, 1))},
    }
    return bytes(piexif.dump(content))


def read_exif(path: Path) -> dict[str, Any]:
    """The EXIF of a file by an independent reader."""
    with Image.open(path) as image:
        raw = image.info.get("exif")
    assert raw, "the file has no EXIF"
    return dict(piexif.load(raw if raw.startswith(b"Exif") else b"Exif\0\0" + raw))


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("name", ["jpeg", "png", "webp", "tiff", "avif"])
def test_orientation_is_applied_and_its_tag_reset(tmp_path: Path, name: str, orientation: int) -> None:
    upright = np.zeros((24, 40, 3), np.uint8)
    upright[:12, :20] = (250, 20, 20)  # a red corner top left, a blue one bottom right
    upright[12:, 20:] = (20, 20, 250)
    undo = {1: None, 2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}[orientation]
    stored = Image.fromarray(upright) if undo is None else Image.fromarray(upright).transpose(Image.Transpose(undo))
    path = tmp_path / "in.dat"
    extra: dict[str, Any] = {"exif": exif(orientation)}
    if name == "tiff":
        tagged = Image.Exif()
        tagged[0x0112] = orientation
        extra = {"exif": tagged}
    elif name == "webp":
        extra["lossless"] = True
    elif name == "jpeg":
        extra |= {"quality": 100, "subsampling": 0}
    elif name == "avif":
        extra |= {"quality": 100, "subsampling": "4:4:4"}
    stored.save(path, format=name.upper(), **extra)
    header = probe(path, LIMITS)
    assert (header.width, header.height) == (40, 24)
    back = decode(path, LIMITS)
    assert np.abs(back.frames[0].color.astype(int) - upright).max() < 60
    assert np.abs(back.frames[0].color.astype(int) - upright).mean() < 4
    out = tmp_path / "out.jpg"
    encode(back, out, EncodeOptions(format="jpeg"))
    with Image.open(out) as image:
        assert image.size == (40, 24)
        assert image.getexif().get(0x0112, 1) == 1


def test_a_turned_sixteen_bit_tiff_is_upright(tmp_path: Path) -> None:
    upright = photo(20, 12, bits=16)
    encode(picture(np.ascontiguousarray(np.rot90(upright)), fmt="tiff"), tmp_path / "in.tiff")
    data = bytearray((tmp_path / "in.tiff").read_bytes())
    at = data.index(struct.pack("<HHIH", 274, 3, 1, 1))
    data[at + 8] = 6  # "turn me right to see me"
    (tmp_path / "in.tiff").write_bytes(data)
    header = probe(tmp_path / "in.tiff", LIMITS)
    assert (header.width, header.height) == (20, 12)
    assert difference(decode(tmp_path / "in.tiff", LIMITS).frames[0].color, upright) == 0


def test_xmp_that_repeats_the_orientation_is_reset_too(tmp_path: Path) -> None:
    Image.fromarray(photo(40, 30)).save(tmp_path / "in.jpg", exif=exif(6), xmp=XMP)
    meta = decode(tmp_path / "in.jpg", LIMITS).metadata
    assert meta.xmp is not None
    assert b'tiff:Orientation="1"' in meta.xmp


def with_metadata(path: Path) -> Picture:
    """A JPEG as a camera and an editor leave it."""
    resource = b"8BIM\x04\x04\0\0" + struct.pack(">I", len(IPTC)) + IPTC + b"\0" * (len(IPTC) % 2)
    content = b"Photoshop 3.0\0" + resource
    segment = b"\xff\xed" + struct.pack(">H", len(content) + 2) + content
    Image.fromarray(photo(40, 30)).save(
        path, format="JPEG", exif=exif(), xmp=XMP, dpi=(300, 300), extra=segment, icc_profile=SRGB
    )
    return decode(path, LIMITS)


@pytest.mark.parametrize("name", WRITABLE)
def test_exif_xmp_and_iptc_are_kept(tmp_path: Path, name: str) -> None:
    made = with_metadata(tmp_path / "in.jpg")
    assert made.metadata.iptc == IPTC
    big = replace(made, frames=(Frame(color=photo(160, 120)),))
    path = tmp_path / f"out.{name}"
    encode(big, path, EncodeOptions(format=name, provenance="RealESRGAN_x4plus x4, upscaler 1.0.0"))  # type: ignore[arg-type]
    meta = decode(path, LIMITS).metadata
    with Image.open(path) as image:
        image.load()
        if name == "tiff":
            entries = image.getexif()
            assert entries[0x010F] == "Camera"
            assert entries.get_ifd(0x8769)[0x9003] == "2024:05:06 07:08:09"
            assert entries.get_ifd(0x8825)[1] == "N"
        else:
            found = read_exif(path)
            assert found["0th"][piexif.ImageIFD.Make] == b"Camera"
            assert found["0th"][piexif.ImageIFD.Software] == b"Firmware 1.2"
            assert found["Exif"][piexif.ExifIFD.DateTimeOriginal] == b"2024:05:06 07:08:09"
            assert found["Exif"][piexif.ExifIFD.MakerNote] == bytes(range(64))
            assert found["Exif"][piexif.ExifIFD.PixelXDimension] == 160
            assert found["Exif"][piexif.ExifIFD.PixelYDimension] == 120
            assert found["GPS"][piexif.GPSIFD.GPSLatitudeRef] == b"N"
        if name in ("png", "jpeg", "tiff"):
            assert round(image.info["dpi"][0]) == 300
    assert meta.xmp is not None
    assert b"adobe:ns:meta" in meta.xmp
    if name in ("png", "jpeg", "tiff"):  # WebP and AVIF have no place for IPTC
        assert meta.iptc == IPTC


@pytest.mark.parametrize("name", WRITABLE)
def test_provenance_is_written(tmp_path: Path, name: str) -> None:
    path = tmp_path / f"out.{name}"
    line = "RealESRGAN_x4plus x4, upscaler 1.0.0"
    encode(picture(photo(40, 30)), path, EncodeOptions(format=name, provenance=line))  # type: ignore[arg-type]
    with Image.open(path) as image:
        image.load()
        if name == "png":
            said = image.info["Software"]
        elif name == "jpeg":
            said = image.info["comment"].decode()
        else:
            said = image.getexif()[305 if name == "tiff" else 0x000B]
    assert said == line


@pytest.mark.parametrize("name", WRITABLE)
def test_stripping_leaves_pixels_and_profile_only(tmp_path: Path, name: str) -> None:
    made = with_metadata(tmp_path / "in.jpg")
    path = tmp_path / f"out.{name}"
    encode(made, path, EncodeOptions(format=name, strip_metadata=True, provenance="secret line"))  # type: ignore[arg-type]
    data = path.read_bytes()
    for word in (b"Camera", b"2024:05:06", b"adobe:ns:meta", b"A red boat", b"secret line", IPTC.hex().encode()):
        assert word not in data
    with Image.open(path) as image:
        assert image.info.get("icc_profile") == SRGB


def test_broken_exif_never_stops_a_picture(tmp_path: Path) -> None:
    for number, raw in enumerate(
        (b"Exif\0\0II*\0\xff\xff\xff\xff", b"Exif\0\0junk", b"Exif\0\0MM\0*\0\0\0\x08\xff\xff")
    ):
        path = tmp_path / f"in{number}.jpg"
        Image.fromarray(photo(40, 30)).save(path, exif=raw)
        for name in WRITABLE:
            encode(decode(path, LIMITS), tmp_path / "out", EncodeOptions(format=name, provenance="x"))  # type: ignore[arg-type]
            assert decode(tmp_path / "out", LIMITS).width == 40
