"""Every property of a picture through every pair of formats: it comes out as it went in, or the report says so."""

import io
import struct
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import piexif
import pytest
from PIL import Image

from jobs.engine.codec import decode, encode
from jobs.engine.codecs.color.description import equal_profile
from jobs.engine.types import Cicp, EncodeOptions, Frame, LightLevel, MasteringDisplay, Metadata, Picture, Text
from tests.jobs.engine.codecs.samples import SRGB, WRITABLE
from tests.jobs.engine.conftest import LIMITS, photo

XMP = (
    b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
    b'<rdf:Description rdf:about="" xmlns:xmp="http://ns.adobe.com/xap/1.0/" xmp:Rating="4"/></rdf:RDF></x:xmpmeta>'
)
EXIF = piexif.dump(
    {"0th": {piexif.ImageIFD.Artist: "Jürgen".encode()}, "Exif": {piexif.ExifIFD.FNumber: (28, 10)}}
).removeprefix(b"Exif\0\0")
P3_XY = (0.3127, 0.3290, 0.680, 0.320, 0.265, 0.690, 0.150, 0.060)
MASTERING = MasteringDisplay((34000, 16000, 13250, 34500, 7500, 3000, 15635, 16450), 1000.0, 0.005)


def artist(meta: Metadata) -> Any:
    return piexif.load(meta.exif)["0th"].get(piexif.ImageIFD.Artist) if meta.exif else None


def number(meta: Metadata) -> Any:
    above, below = piexif.load(meta.exif)["Exif"].get(piexif.ExifIFD.FNumber, (0, 1)) if meta.exif else (0, 1)
    return above / below


def as_wide(meta: Metadata) -> float | None:
    return meta.aspect[0] / meta.aspect[1] if meta.aspect else None


@dataclass(frozen=True)
class Property:
    """Something that a picture has: how it is put in, and how it is seen to be there."""

    values: dict[str, Any]
    there: Callable[[Picture], bool]


def colored(meta: Metadata) -> Callable[[Picture], bool]:
    """The same description of colour, or the profile that we make of it."""

    def there(made: Picture) -> bool:
        found, profile = made.metadata, equal_profile(meta, 3)
        same = (found.icc, found.cicp, found.gamma) == (meta.icc, meta.cicp, meta.gamma)
        return same or (profile is not None and found.icc == profile)

    return there


PROPERTIES = {
    "profile": Property({"icc": SRGB}, lambda made: made.metadata.icc == SRGB),
    "Display P3": Property({"cicp": Cicp(12, 13)}, colored(Metadata(cicp=Cicp(12, 13)))),
    "PQ": Property({"cicp": Cicp(9, 16)}, colored(Metadata(cicp=Cicp(9, 16)))),
    "HLG": Property({"cicp": Cicp(9, 18)}, colored(Metadata(cicp=Cicp(9, 18)))),
    "gamma": Property({"gamma": 0.55556}, colored(Metadata(gamma=0.55556))),
    "chromaticities": Property({"chromaticities": P3_XY}, colored(Metadata(chromaticities=P3_XY))),
    "light": Property(
        {"cicp": Cicp(9, 16), "light": LightLevel(1000, 400), "mastering": MASTERING},
        lambda made: (made.metadata.light, made.metadata.mastering) == (LightLevel(1000, 400), MASTERING),
    ),
    "EXIF text": Property({"exif": EXIF}, lambda made: artist(made.metadata) == "Jürgen".encode()),
    "EXIF number": Property({"exif": EXIF}, lambda made: number(made.metadata) == 2.8),
    "XMP": Property({"xmp": XMP}, lambda made: b'xmp:Rating="4"' in (made.metadata.xmp or b"")),
    "large XMP": Property(
        {"xmp": XMP.replace(b"<rdf:Description", b"<rdf:Description xmlns:a='urn:a' a:b='" + b"c" * 90_000 + b"'")},
        lambda made: b"c" * 90_000 in (made.metadata.xmp or b""),
    ),
    "IPTC": Property(
        {"iptc": b"\x1c\x02\x78\0\x03cat"},
        lambda made: made.metadata.iptc == b"\x1c\x02\x78\0\x03cat",
    ),
    "comment": Property(
        {"texts": (Text("Comment", "hello"),)}, lambda made: Text("Comment", "hello") in made.metadata.texts
    ),
    "prompt": Property(
        {"texts": (Text("parameters", "eine Katze 猫"),)},
        lambda made: Text("parameters", "eine Katze 猫") in made.metadata.texts,
    ),
    "density": Property(
        {"dpi": (300.0, 150.0)},
        lambda made: bool(made.metadata.dpi and np.allclose(made.metadata.dpi, (300, 150), atol=0.02)),
    ),
    "aspect": Property({"aspect": (4, 3)}, lambda made: as_wide(made.metadata) == pytest.approx(4 / 3, abs=1e-3)),
}  # fmt: skip


def through(folder: Path, made: Picture, name: str) -> tuple[Picture, tuple[str, ...]]:
    path = folder / f"step.{name}"
    notes = encode(made, path, EncodeOptions(format=name)).notes  # type: ignore[arg-type] # one of the literals
    back = decode(path, LIMITS)
    return back, (*notes, *back.notes)


@pytest.mark.parametrize("target", WRITABLE)
@pytest.mark.parametrize("source", WRITABLE)
@pytest.mark.parametrize("kind", PROPERTIES)
def test_nothing_is_lost_without_a_word(tmp_path: Path, kind: str, source: str, target: str) -> None:
    """The picture is written as ``source``, read, written as ``target``, read again."""
    wanted = PROPERTIES[kind]
    made = Picture("png", (Frame(photo(40, 30)),), replace(Metadata(), **wanted.values))
    first, told = through(tmp_path, made, source)
    assert wanted.there(first) or told, f"{source} has lost it and said nothing"
    last, told = through(tmp_path, first, target)
    assert wanted.there(last) or told or not wanted.there(first), f"{target} has lost it and said nothing"


@pytest.mark.parametrize("source", ["gif", "bmp", "heic"])
@pytest.mark.parametrize("target", WRITABLE)
def test_formats_that_are_only_read_lose_nothing_either(tmp_path: Path, source: str, target: str) -> None:
    pixels = photo(40, 30)
    file = io.BytesIO()
    if source == "heic":
        from pillow_heif import from_pillow

        from_pillow(Image.fromarray(pixels)).save(
            file, quality=-1, chroma=444, matrix_coefficients=0, color_primaries=12, transfer_characteristic=13,
            exif=b"Exif\0\0" + EXIF, xmp=XMP,
        )  # fmt: skip
    elif source == "gif":
        Image.fromarray(pixels).quantize(64).save(file, "GIF", comment=b"hello")
    else:
        Image.fromarray(pixels).save(file, "BMP", dpi=(300, 300))
    (tmp_path / "in").write_bytes(file.getvalue())
    first = decode(tmp_path / "in", LIMITS)
    last, told = through(tmp_path, first, target)
    if source == "heic":
        assert (first.metadata.cicp, artist(first.metadata)) == (Cicp(12, 13), "Jürgen".encode())
        assert colored(Metadata(cicp=Cicp(12, 13)))(last)
        assert artist(last.metadata) == "Jürgen".encode()
        assert b'xmp:Rating="4"' in (last.metadata.xmp or b"")
    elif source == "gif":
        assert Text("Comment", "hello") in last.metadata.texts
    else:
        assert last.metadata.dpi is not None
        assert np.allclose(last.metadata.dpi, 300, atol=0.1)
    assert told == ()


def bmp_header(space: int, *, profile: bytes = b"") -> bytes:
    """A BMP of 2×1 px with the V5 header."""
    points = (0.4865, 0.2290, 0.0, 0.2657, 0.6917, 0.0451, 0.1982, 0.0793, 1.0439)  # Display P3 as CIE XYZ
    fixed = [int(value * (1 << 30)) for value in points]
    pixels = bytes((1, 2, 3, 4, 5, 6, 0, 0))
    head = struct.pack("<IiiHHIIiiII", 124, 2, 1, 1, 24, 0, len(pixels), 2835, 2835, 0, 0) + bytes(16)
    head += struct.pack("<I", space) + struct.pack("<9i", *fixed) + struct.pack("<3I", *[int(1.8 * 65536)] * 3)
    head += struct.pack("<IIII", 4, 124 + len(pixels), len(profile), 0)
    return b"BM" + struct.pack("<IHHI", 14 + 124 + len(pixels) + len(profile), 0, 0, 138) + head + pixels + profile


def test_a_bmp_s_profile_is_kept(tmp_path: Path) -> None:
    (tmp_path / "in.bmp").write_bytes(bmp_header(int.from_bytes(b"MBED", "big"), profile=SRGB))
    assert decode(tmp_path / "in.bmp", LIMITS).metadata.icc == SRGB


def test_a_bmp_s_gamma_and_chromaticities_are_kept(tmp_path: Path) -> None:
    (tmp_path / "in.bmp").write_bytes(bmp_header(0))
    meta = decode(tmp_path / "in.bmp", LIMITS).metadata
    assert meta.gamma == pytest.approx(1 / 1.8, abs=1e-4)
    assert meta.chromaticities == pytest.approx(P3_XY, abs=2e-3)


def test_a_tiff_s_chromaticities_become_a_profile(tmp_path: Path) -> None:
    info = {318: P3_XY[:2], 319: P3_XY[2:]}
    Image.fromarray(photo(40, 30)).save(tmp_path / "in.tif", tiffinfo=info)
    made = decode(tmp_path / "in.tif", LIMITS)
    assert made.metadata.chromaticities == pytest.approx(P3_XY, abs=1e-6)
    last, _ = through(tmp_path, made, "jpeg")
    assert last.metadata.icc is not None
