"""XMP in JPEG: one segment, and what does not fit as extended XMP (XMP specification, part 3, 1.1.3.1)."""

import hashlib
import re
from collections.abc import Sequence

from jobs.engine.codecs.jpeg.segments import APP1, ROOM, Segment, compose
from jobs.engine.codecs.metadata.xmp_outline import Description, Outline, Property, Unreadable, cut, outline

_STANDARD = b"http://ns.adobe.com/xap/1.0/\0"
_EXTENSION = b"http://ns.adobe.com/xmp/extension/\0"
_NOTE = "http://ns.adobe.com/xmp/note/"
#: Bytes of XMP in the first segment: the specification names two less than there is room for.
STANDARD_ROOM = 65_502
#: An extension segment names the whole's MD5 as 32 digits, its length, and where this part begins.
_HEAD = len(_EXTENSION) + 32 + 4 + 4
_PART = ROOM - _HEAD
_MOST = 64 << 20


def read(segments: Sequence[Segment]) -> tuple[bytes | None, tuple[str, ...]]:
    """Return the XMP bytes of a file's segments, extended XMP joined to the rest, and what is not kept."""
    standard = extended = None
    notes: tuple[str, ...] = ()
    for segment in segments:
        if segment.marker == APP1 and segment.content.startswith(_STANDARD):
            standard = segment.content[len(_STANDARD) :]
    if not standard:
        return None, ()
    guid = re.search(rb"HasExtendedXMP\s*(?:=\s*[\"']|>)\s*([0-9A-Fa-f]{32})", standard)
    if guid:
        extended = _collect(segments, guid[1].upper())
        if extended is None:
            notes = ("not kept: a part of the XMP that the file does not hold whole",)
        standard, joined = _join(standard, extended or b"")
        if extended and not joined:
            notes = ("not kept: a part of the XMP that is no XML",)
    return standard, notes


def _collect(segments: Sequence[Segment], guid: bytes) -> bytes | None:
    """Put the parts together in the order of their offsets; None where one is missing or they contradict each other."""
    parts: dict[int, bytes] = {}
    lengths = set()
    for segment in segments:
        content = segment.content
        if segment.marker != APP1 or not content.startswith(_EXTENSION) or len(content) < _HEAD:
            continue
        at = len(_EXTENSION)
        if content[at : at + 32].upper() != guid:
            continue
        lengths.add(int.from_bytes(content[at + 32 : at + 36], "big"))
        parts.setdefault(int.from_bytes(content[at + 36 : at + 40], "big"), content[_HEAD:])
    if len(lengths) != 1 or max(lengths) > _MOST:
        return None
    whole = bytearray()
    for offset in sorted(parts):
        if offset != len(whole):
            return None
        whole += parts[offset]
    return bytes(whole) if len(whole) == max(lengths) else None


def _join(standard: bytes, extended: bytes) -> tuple[bytes, bool]:
    """Return the packet with the extended one's descriptions in it, and whether that was possible."""
    try:
        first = outline(standard)
        plain = cut(standard, _notes(first))
        if not extended:
            return plain, True
        if sum(len(each.properties) for each in first.descriptions) == len(_notes(first)):
            return extended, True  # nothing else in the first packet: the second is all there was
        second = outline(extended)
        moved = b"".join(_with_scope(extended, each) for each in second.descriptions)
        place = outline(plain).insert_at
        if place is None or not moved:
            return plain, False
        return plain[:place] + moved + plain[place:], True
    except Unreadable:
        return standard, not extended


def _notes(found: Outline) -> list[Property]:
    return [one for each in found.descriptions for one in each.properties if one.namespace == _NOTE]


def _with_scope(xmp: bytes, description: Description) -> bytes:
    """Return a description's bytes that stand for themselves: namespaces declared around it are declared in it."""
    head = xmp[description.start : description.open_end]
    name = b"<" + description.name
    missing = b"".join(b" " + each for each in description.scope.values() if each not in head)
    return name + missing + head[len(name) :] + xmp[description.open_end : description.end]


def compose_xmp(xmp: bytes) -> bytes:
    """Return the segments' bytes of a packet: one, or a first and the extended rest."""
    if len(xmp) > STANDARD_ROOM:
        xmp = _without_padding(xmp)
    if len(xmp) <= STANDARD_ROOM:
        return compose(APP1, _STANDARD + xmp)
    standard, extended = _split(xmp)
    guid = _digest(extended)
    head = _EXTENSION + guid + len(extended).to_bytes(4, "big")
    return compose(APP1, _STANDARD + standard) + b"".join(
        compose(APP1, head + at.to_bytes(4, "big") + extended[at : at + _PART]) for at in range(0, len(extended), _PART)
    )


def _without_padding(xmp: bytes) -> bytes:
    """Return the packet's bytes without the space in which programs change it without moving the file."""
    head, mark, tail = xmp.rpartition(b"<?xpacket")
    return head.rstrip() + b"\n" + mark + tail.rstrip() if mark and head.strip() else xmp.rstrip()


def _unwrapped(xmp: bytes) -> bytes:
    """Return the packet's bytes without the xpacket instructions around it."""
    head, mark, tail = xmp.partition(b"?>")
    inner = tail if mark and head.lstrip().startswith(b"<?xpacket") else xmp
    return inner.rpartition(b"<?xpacket")[0].strip() or inner


def _digest(extended: bytes) -> bytes:
    return hashlib.md5(extended, usedforsecurity=False).hexdigest().upper().encode()


def _note(guid: bytes, rdf: bytes) -> bytes:
    """Return the description that names the extended packet, written with the prefix of the RDF element around it."""
    prefix = rdf.rpartition(b":")[0]
    colon = prefix + b":" if prefix else b""
    about = b" %sabout=''" % colon if prefix else b""
    return b"<%sDescription%s xmlns:xmpNote='%s' xmpNote:HasExtendedXMP='%s'/>" % (colon, about, _NOTE.encode(), guid)


def _split(xmp: bytes) -> tuple[bytes, bytes]:
    """Move the largest properties into a second packet until the first one fits; return both."""
    try:
        found = outline(xmp)
    except Unreadable:
        return _all_extended(xmp)
    room = STANDARD_ROOM - len(_note(bytes(32), found.rdf))
    size = len(xmp)
    chosen: set[Property] = set()
    for one in sorted(
        (one for each in found.descriptions for one in each.properties), key=lambda one: one.start - one.end
    ):
        if size <= room:
            break
        chosen.add(one)
        size -= one.end - one.start
    if size > room or found.insert_at is None:
        return _all_extended(xmp)
    extended = _second(xmp, found, chosen)
    plain = cut(xmp, chosen)
    place = outline(plain).insert_at or 0
    return plain[:place] + _note(_digest(extended), found.rdf) + plain[place:], extended


def _second(xmp: bytes, found: Outline, chosen: set[Property]) -> bytes:
    pieces = [b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><', found.rdf]
    pieces += [b" " + each for each in found.rdf_scope.values()]
    pieces.append(b">")
    for each in found.descriptions:
        mine = [one for one in each.properties if one in chosen]
        if not mine:
            continue
        outer = set(found.rdf_scope.values())
        pieces += [b"<", each.name, each.about or b""]
        pieces += [b" " + declared for declared in each.scope.values() if declared not in outer]
        pieces += [b" " + xmp[one.start : one.end].strip() for one in mine if one.is_attribute]
        pieces.append(b">")
        pieces += [xmp[one.start : one.end] for one in mine if not one.is_attribute]
        pieces += [b"</", each.name, b">"]
    pieces += [b"</", found.rdf, b"></x:xmpmeta>"]
    return b"".join(pieces)


def _all_extended(xmp: bytes) -> tuple[bytes, bytes]:
    """Return a first packet that only names the second one, which is the whole: for packets that are not RDF."""
    whole = _unwrapped(xmp)
    rdf = b"http://www.w3.org/1999/02/22-rdf-syntax-ns#"
    return (
        b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="%s">%s</rdf:RDF></x:xmpmeta>'
        % (rdf, _note(_digest(whole), b"rdf:RDF")),
        whole,
    )
