"""Texts, density and IPTC through every format and back, and what other programs find of them."""

import io
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree as ET

import piexif
import piexif.helper
import pytest
from PIL import Image

from jobs.engine.codec import encode
from jobs.engine.codecs.metadata.texts import from_xmp, into_xmp
from jobs.engine.types import EncodeOptions, Metadata, Picture, Text
from tests.jobs.engine.codecs.samples import WRITABLE, read, written
from tests.jobs.engine.conftest import photo, picture

TEXTS = {
    "ASCII": Text("parameters", "a cat, <masterpiece> & co\nSteps: 20"),
    "Latin-1": Text("Author", "Jürgen Müller ½"),
    "Unicode": Text("Title", "Größe 猫 😀 العربية"),
    "language": Text("Title", "Katze", "de-AT", "Überschrift"),
    "workflow": Text("workflow", '{"nodes": [' + '"a < b && c > d", ' * 9000 + "1]}"),
    "no XML": Text("Weird", "bell\x07 and\x0b tab, \r\n and ]]>"),
    "no UTF-8": Text("Comment", b"gr\xfc\xdfe".decode("utf-8", "surrogateescape")),
    "empty": Text("Nothing", ""),
}
XMP = (
    b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
    b'<rdf:Description rdf:about="" xmlns:xmp="http://ns.adobe.com/xap/1.0/" xmp:Rating="4"/></rdf:RDF></x:xmpmeta>'
)


def with_metadata(**values: object) -> Picture:
    return replace(picture(photo(40, 30)), metadata=replace(Metadata(), **values))  # type: ignore[arg-type] # by name


@pytest.mark.parametrize("xmp", [None, XMP], ids=["alone", "beside XMP"])
@pytest.mark.parametrize("name", WRITABLE)
@pytest.mark.parametrize("kind", TEXTS)
def test_a_text_comes_back_from_every_format(tmp_path: Path, kind: str, name: str, xmp: bytes | None) -> None:
    made = with_metadata(texts=(TEXTS[kind],), xmp=xmp)
    found = encode(made, tmp_path / "out", EncodeOptions(format=name))  # type: ignore[arg-type] # one of the literals
    assert found.notes == ()
    back = read(tmp_path, (tmp_path / "out").read_bytes()).metadata
    if kind == "no UTF-8" and name == "png":  # PNG's texts have an encoding
        assert back.texts == (Text("Comment", "grüße"),)
    else:
        assert back.texts == (TEXTS[kind],)
    if xmp:
        assert b'xmp:Rating="4"' in (back.xmp or b"")
    again = read(tmp_path, written(tmp_path, replace(made, metadata=back), "png")).metadata
    assert [text.keyword for text in again.texts] == [TEXTS[kind].keyword]
    assert b"png-text" not in (again.xmp or b"")  # what has become a chunk again does not stand there twice


@pytest.mark.parametrize("name", ["jpeg", "webp", "avif", "tiff"])
@pytest.mark.parametrize("prompt", ["a cat\nSteps: 20", "eine große Katze 猫"])
def test_programs_find_the_prompt_where_they_look_for_it(tmp_path: Path, name: str, prompt: str) -> None:
    data = written(tmp_path, with_metadata(texts=(Text("parameters", prompt), Text("Comment", "other"))), name)
    with Image.open(io.BytesIO(data)) as image:
        nested = image.getexif().get_ifd(0x8769)
    assert piexif.helper.UserComment.load(nested[0x9286]) == prompt


def test_a_camera_s_own_comment_stays(tmp_path: Path) -> None:
    exif = piexif.dump({"Exif": {piexif.ExifIFD.UserComment: piexif.helper.UserComment.dump("mine")}})
    made = with_metadata(texts=(Text("parameters", "a cat"),), exif=exif.removeprefix(b"Exif\0\0"))
    back = read(tmp_path, written(tmp_path, made, "webp")).metadata
    assert back.exif is not None
    assert piexif.helper.UserComment.load(piexif.load(back.exif)["Exif"][piexif.ExifIFD.UserComment]) == "mine"
    assert back.texts == (Text("parameters", "a cat"),)


def test_dublin_core_names_what_it_has_names_for(tmp_path: Path) -> None:
    texts = (Text("Title", "Katze & Hund"), Text("Author", "Jürgen"), Text("Copyright", "2026"), Text("Other", "x"))
    packet = into_xmp(None, texts)
    assert packet is not None
    data = written(tmp_path, with_metadata(texts=texts), "webp")
    with Image.open(io.BytesIO(data)) as image:
        described = ET.fromstring(image.info["xmp"].decode().split("?>", 1)[1].rsplit("<?", 1)[0])
    names = {element.tag.split("}")[1] for element in described.iter() if "purl.org/dc" in element.tag}
    assert names == {"title", "creator", "rights"}
    assert from_xmp(packet)[1] == texts


@pytest.mark.parametrize("xmp", [b"<x/>", b"no packet", "<rdf:RDF></rdf:RDF>".encode("utf-16")])
def test_texts_that_find_no_place_are_named(tmp_path: Path, xmp: bytes) -> None:
    made = with_metadata(texts=(Text("Title", "x"), Text("Author", "y")), xmp=xmp)
    found = encode(made, tmp_path / "out", EncodeOptions(format="webp"))
    assert found.notes == ("not kept: the texts 'Title', 'Author', since the XMP packet cannot be edited",)


def test_a_packet_with_entities_is_not_parsed() -> None:
    packet = into_xmp(None, (Text("Title", "x"),))
    assert packet is not None
    bomb = packet.replace(b"<text:texts>", b'<!DOCTYPE a [<!ENTITY b "bbbb">]><text:texts>')
    assert from_xmp(bomb) == (bomb, ())


@pytest.mark.parametrize("name", WRITABLE)
@pytest.mark.parametrize("dpi", [(300.0, 300.0), (300.0, 150.0)])
def test_density_comes_back_from_every_format(tmp_path: Path, name: str, dpi: tuple[float, float]) -> None:
    back = read(tmp_path, written(tmp_path, with_metadata(dpi=dpi), name)).metadata
    assert back.dpi == pytest.approx(dpi, abs=0.02)


@pytest.mark.parametrize("name", [name for name in WRITABLE if name != "jpeg"])
def test_aspect_comes_back(tmp_path: Path, name: str) -> None:
    back = read(tmp_path, written(tmp_path, with_metadata(aspect=(4, 3)), name)).metadata
    assert back.aspect is not None
    assert back.aspect[0] / back.aspect[1] == pytest.approx(4 / 3)


@pytest.mark.parametrize("name", ["webp", "avif"])
def test_iptc_stands_in_exif_where_there_is_no_other_place(tmp_path: Path, name: str) -> None:
    iptc = b"\x1c\x02\x78\0\x03cat"
    with Image.open(io.BytesIO(written(tmp_path, with_metadata(iptc=iptc), name))) as image:
        assert image.getexif()[0x83BB] == iptc


def located() -> Metadata:
    exif = piexif.dump(
        {
            "0th": {piexif.ImageIFD.Make: b"Camera"},
            "GPS": {
                piexif.GPSIFD.GPSLatitudeRef: b"N",
                piexif.GPSIFD.GPSLatitude: ((48, 1), (12, 1), (31_415, 1000)),
                piexif.GPSIFD.GPSProcessingMethod: b"ASCII\0\0\0SECRETPLACE",
            },
        }
    )
    xmp = XMP.replace(
        b'xmp:Rating="4"/>',
        b'xmp:Rating="4" xmlns:exif="http://ns.adobe.com/exif/1.0/" exif:GPSLatitude="48,12.5N" exif:FNumber="2/1">'
        b"<exif:GPSLongitude>16,22.1E</exif:GPSLongitude></rdf:Description>",
    )
    texts = (Text("exif:GPSLatitude", "48/1, 12/1"), Text("Title", "holiday"))
    return Metadata(exif=exif.removeprefix(b"Exif\0\0"), xmp=xmp, texts=texts)


@pytest.mark.parametrize("name", WRITABLE)
def test_the_place_alone_is_stripped(tmp_path: Path, name: str) -> None:
    made = replace(picture(photo(40, 30)), metadata=located())
    kept = written(tmp_path, made, name)
    assert b"GPSLatitude" in kept
    stripped = written(tmp_path, made, name, strip_metadata="location")
    for secret in (b"SECRETPLACE", b"GPSLatitude", b"GPSLongitude", b"12.5N"):
        assert secret not in stripped
    back = read(tmp_path, stripped).metadata
    assert back.exif is not None
    found = piexif.load(back.exif)
    assert found["0th"][piexif.ImageIFD.Make] == b"Camera"
    assert not found["GPS"]
    assert b'xmp:Rating="4"' in (back.xmp or b"")
    assert b"exif:FNumber" in (back.xmp or b"")
    assert back.texts == (Text("Title", "holiday"),)
