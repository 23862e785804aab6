"""XMP of any length in JPEG: what is written is what comes back, by our reader and by the specification."""

import hashlib
import io
import struct
import xml.etree.ElementTree as ET
from typing import Any

import pytest

from jobs.engine.codecs.jpeg import xmp
from jobs.engine.codecs.jpeg.segments import APP1, Segment, before_pixels, compose
from jobs.engine.codecs.metadata.xmp_outline import value

RDF = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"
STANDARD, EXTENSION = b"http://ns.adobe.com/xap/1.0/\0", b"http://ns.adobe.com/xmp/extension/\0"


def packet(inner: str, *, outer: str = "", wrapper: bool = False) -> bytes:
    text = f'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="{RDF}" {outer}>{inner}</rdf:RDF></x:xmpmeta>'
    if wrapper:
        text = f'<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>{text}<?xpacket end="w"?>'
    return text.encode()


def segments(data: bytes) -> list[Segment]:
    return before_pixels(io.BytesIO(b"\xff\xd8" + data + b"\xff\xda"))


def read(data: bytes) -> bytes | None:
    found, notes = xmp.read(segments(data))
    assert notes == ()
    return found


def by_the_specification(data: bytes) -> tuple[bytes, bytes]:
    """The standard packet and the extended one, put together as part 3 of the XMP specification says."""
    contents = [one.content for one in segments(data) if one.marker == APP1]
    assert contents[0].startswith(STANDARD)
    standard = contents[0][len(STANDARD) :]
    assert contents[0][29:] == standard
    extended = b""
    for content in contents[1:]:
        assert content.startswith(EXTENSION)
        guid, length, offset = struct.unpack_from(">32sII", content, 35)
        assert offset == len(extended)
        extended += content[75:]
        assert len(content) <= 65533
    assert len(extended) == length
    assert guid == hashlib.md5(extended).hexdigest().upper().encode()
    assert f"xmpNote:HasExtendedXMP='{guid.decode()}'".encode() in standard
    return standard, extended


def properties(data: bytes) -> dict[str, str]:
    """The properties of a packet as an XML library that is not our own reader sees them."""
    found: dict[str, Any] = {}
    for description in ET.fromstring(data).iter(f"{{{RDF}}}Description"):
        found |= {name: text for name, text in description.attrib.items() if not name.startswith(f"{{{RDF}}}")}
        found |= {child.tag: ET.tostring(child, "unicode", method="text") for child in description}
    return found


LARGE = "x" * 80_000
D = 'rdf:Description rdf:about="" xmlns:d="urn:d"'
KINDS = {
    "an element": f"<{D}><d:small>1</d:small><d:large>{LARGE}</d:large></rdf:Description>",
    "an attribute": f'<rdf:Description rdf:about="" xmlns:d="urn:d" d:small="1" d:large="{LARGE}"/>',
    "single quotes": f"<rdf:Description rdf:about='' xmlns:d='urn:d' d:small='1' d:large='{LARGE}'></rdf:Description>",
    "several descriptions": f'<{D} d:small="1"/><rdf:Description xmlns:e="urn:e" e:large="{LARGE}"/>',
    "many properties": '<rdf:Description xmlns:d="urn:d" d:small="1">'
    + "".join(f"<d:p{i}>{'y' * 500}</d:p{i}>" for i in range(400))
    + "</rdf:Description>",
    "an array": '<rdf:Description xmlns:d="urn:d" d:small="1"><d:list><rdf:Bag>'
    + "<rdf:li>item</rdf:li>" * 8000
    + "</rdf:Bag></d:list></rdf:Description>",
    "a comment with tags": f'<!-- <d:no> "> --><{D} d:small="1" d:odd="a&gt;b" d:large="{LARGE}"/>',
}  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("wrapper", [False, True])
def test_a_large_packet_is_written_as_two_and_read_as_one(kind: str, wrapper: bool) -> None:
    whole = packet(KINDS[kind], wrapper=wrapper)
    data = xmp.compose_xmp(whole)
    standard, extended = by_the_specification(data)
    both = properties(standard) | properties(extended)
    both.pop("{http://ns.adobe.com/xmp/note/}HasExtendedXMP")
    assert both == properties(whole)
    assert value(standard, "urn:d", "small") == "1"  # what is small stays where every reader finds it
    back = read(data)
    assert back is not None
    assert properties(back) == properties(whole)
    assert b"HasExtendedXMP" not in back


def test_namespaces_declared_outside_come_along() -> None:
    inner = f'<rdf:Description rdf:about="" d:small="1"><d:large><e:x>{LARGE}</e:x></d:large></rdf:Description>'
    whole = packet(inner, outer='xmlns:d="urn:d" xmlns:e="urn:e"')
    data = xmp.compose_xmp(whole)
    _, extended = by_the_specification(data)
    assert "{urn:d}large" in properties(extended)
    assert properties(read(data) or b"") == properties(whole)


def test_other_prefixes_and_an_rdf_without_one() -> None:
    inner = f'<r:Description r:about="" xmlns:xmp="urn:d" xmp:large="{LARGE}" xmp:small="1"/>'
    whole = f'<y:xmpmeta xmlns:y="adobe:ns:meta/"><r:RDF xmlns:r="{RDF}">{inner}</r:RDF></y:xmpmeta>'.encode()
    data = xmp.compose_xmp(whole)
    by_the_specification(data)
    assert properties(read(data) or b"") == properties(whole)


@pytest.mark.parametrize("length", [65_503, 66_000, 65_458 * 2, 65_458 * 2 + 1, 3_000_000])
def test_a_packet_that_is_no_rdf_is_kept_byte_for_byte(length: int) -> None:
    whole = b"<x>" + b"a" * (length - 7) + b"</x>"
    data = xmp.compose_xmp(whole)
    assert by_the_specification(data)[1] == whole
    assert read(data) == whole


def test_up_to_the_limit_a_packet_is_one_segment() -> None:
    whole = b"<x>" + b"a" * (65_502 - 7) + b"</x>"
    assert xmp.compose_xmp(whole) == compose(APP1, STANDARD + whole)
    assert read(xmp.compose_xmp(whole)) == whole


def test_padding_is_given_up_first() -> None:
    whole = packet('<rdf:Description xmlns:d="urn:d" d:small="1"/>', wrapper=True).replace(
        b"<?xpacket end", b" " * 70_000 + b"<?xpacket end"
    )
    assert len(segments(xmp.compose_xmp(whole))) == 1
    assert properties(read(xmp.compose_xmp(whole)) or b"") == properties(whole)


def extended_segments(whole: bytes, part: int, guid: bytes | None = None, **lies: Any) -> list[bytes]:
    head = EXTENSION + (guid or hashlib.md5(whole).hexdigest().upper().encode())
    head += struct.pack(">I", lies.get("length", len(whole)))
    return [
        compose(APP1, head + struct.pack(">I", at) + whole[at : at + part]) for at in range(0, len(whole), part)
    ]  # fmt: skip


MORE = packet('<rdf:Description xmlns:d="urn:d" d:more="2"/>')
GUID = hashlib.md5(MORE).hexdigest().upper()
FIRST = packet(
    f'<rdf:Description xmlns:n="http://ns.adobe.com/xmp/note/" xmlns:d="urn:d" d:less="1" n:HasExtendedXMP="{GUID}"/>'
)


def test_parts_may_come_in_any_order_and_twice() -> None:
    parts = extended_segments(MORE, 10)
    back = read(b"".join([*reversed(parts), compose(APP1, STANDARD + FIRST), *parts]))
    assert properties(back or b"") == {"{urn:d}less": "1", "{urn:d}more": "2"}


def test_parts_of_another_packet_are_not_taken() -> None:
    other = extended_segments(MORE.replace(b"2", b"3"), 50)
    back = read(compose(APP1, STANDARD + FIRST) + b"".join(other + extended_segments(MORE, 50)))
    assert properties(back or b"") == {"{urn:d}less": "1", "{urn:d}more": "2"}


BROKEN = {
    "none": [],
    "the first is missing": extended_segments(MORE, 50)[1:],
    "the last is missing": extended_segments(MORE, 50)[:-1],
    "one between is missing": extended_segments(MORE, 50)[:1] + extended_segments(MORE, 50)[2:],
    "longer than it says": extended_segments(MORE, 50, length=20),
    "4 GB, it says": extended_segments(MORE, 50, length=0xFFFFFFFF),
    "two lengths": extended_segments(MORE, 50)[:1] + extended_segments(MORE, 50, length=1)[1:],
    "overlapping": [
        *extended_segments(MORE, 50),
        compose(APP1, EXTENSION + GUID.encode() + struct.pack(">II", len(MORE), 7) + b"x"),
    ],
    "cut off in its head": [compose(APP1, EXTENSION + GUID.encode()[:20])],
    "of another packet": extended_segments(MORE, 50, guid=b"0" * 32),
    "no xml": extended_segments(b"<x" + MORE, 50, guid=GUID.encode()),
}  # fmt: skip


@pytest.mark.parametrize("kind", BROKEN)
def test_of_a_broken_extension_the_first_packet_stays_and_the_loss_is_named(kind: str) -> None:
    found, notes = xmp.read(segments(compose(APP1, STANDARD + FIRST) + b"".join(BROKEN[kind])))
    assert [note.startswith("not kept: a part of the XMP") for note in notes] == [True]
    assert found is not None
    assert value(found, "urn:d", "less") == "1"


def test_an_extension_that_nothing_names_is_left() -> None:
    plain = packet('<rdf:Description xmlns:d="urn:d" d:less="1"/>')
    assert read(compose(APP1, STANDARD + plain) + b"".join(extended_segments(MORE, 50))) == plain
    assert read(b"".join(extended_segments(MORE, 50))) is None
