"""Claims in XMP that more lies in the file, a gain map or a motion photo's video: removed on reading, written anew.

Left where it is not true, viewers look for a map that is not there, or take other bytes for it.
"""

import re
from dataclasses import dataclass

from jobs.engine.codecs.gain_map import apple
from jobs.engine.codecs.gain_map.parameters import HDRGM
from jobs.engine.codecs.metadata.xmp_outline import Property, Unreadable, cut, outline

_CONTAINER = "http://ns.google.com/photos/1.0/container/"
_ITEM = "http://ns.google.com/photos/1.0/container/item/"
_CAMERA = "http://ns.google.com/photos/1.0/camera/"
_VIDEO = ("MotionPhoto", "MicroVideo")
_WHOLE = (HDRGM, apple.NAMESPACE, _CONTAINER, _ITEM)
_NAMESPACES = (*_WHOLE, _CAMERA)
_RDF = b"http://www.w3.org/1999/02/22-rdf-syntax-ns#"
_MOTION = re.compile(rb":Semantic\s*=\s*[\"']MotionPhoto[\"']|:Semantic>\s*MotionPhoto\s*<")


@dataclass(frozen=True)
class Claims:
    """The claims of a packet. ``xmp`` is what is left of it; None where it could not be told apart from the claim."""

    xmp: bytes | None
    gain_map: bool = False
    video: bool = False


def removed(xmp: bytes) -> Claims:
    """Return the packet's bytes without its claims, whatever prefixes it uses, and which there were."""
    if not any(one.encode() in xmp for one in _NAMESPACES):
        return Claims(xmp)
    try:
        found = [one for each in outline(xmp).descriptions for one in each.properties if _is_claim(one)]
        rest = cut(xmp, found)
        used = outline(rest).namespaces
    except Unreadable:
        return Claims(None, gain_map=True)
    if used & set(_WHOLE):  # deeper than properties stand: no writer that we know does so
        return Claims(None, gain_map=True)
    gain_map = any(one.namespace in (HDRGM, apple.NAMESPACE) for one in found)
    directories = b"".join(xmp[one.start : one.end] for one in found if one.namespace == _CONTAINER)
    video = any(one.namespace == _CAMERA for one in found) or bool(_MOTION.search(directories))
    for one in _NAMESPACES:
        if one not in used:
            rest = re.sub(rb"\sxmlns(:[^\s=]+)?\s*=\s*([\"'])" + re.escape(one.encode()) + rb"\2", b"", rest)
    return Claims(rest, gain_map or b"GainMap" in directories, video)


def _is_claim(one: Property) -> bool:
    return one.namespace in _WHOLE or (one.namespace == _CAMERA and one.name.startswith(_VIDEO))


def with_gain_map(xmp: bytes | None, length: int) -> bytes:
    """Return the packet's bytes, or a new one, with the claim of a gain map of so many bytes behind the picture.

    Source: Ultra HDR Image Format 1.1, "XMP attributes" (developer.android.com); items stand in the file's order.

    :raises Unreadable: when the packet is no RDF.
    """
    if xmp is None:
        xmp = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="%s"></rdf:RDF></x:xmpmeta>' % _RDF
    found = outline(xmp)
    if found.insert_at is None:
        raise Unreadable("the XMP packet has no RDF that more can be added to")
    about = next((each.about for each in found.descriptions if each.about), b' rdf:about=""')
    item = b'<rdf:li rdf:parseType="Resource"><Container:Item Item:Semantic="%s" Item:Mime="image/jpeg"%s/></rdf:li>'
    claim = (
        b'<rdf:Description xmlns:rdf="%s"%s xmlns:hdrgm="%s" xmlns:Container="%s" xmlns:Item="%s" hdrgm:Version="1.0">'
        b"<Container:Directory><rdf:Seq>%s%s</rdf:Seq></Container:Directory></rdf:Description>"
    ) % (
        *(_RDF, about, HDRGM.encode(), _CONTAINER.encode(), _ITEM.encode()),
        item % (b"Primary", b""),
        item % (b"GainMap", b' Item:Length="%d"' % length),
    )
    return xmp[: found.insert_at] + claim + xmp[found.insert_at :]
