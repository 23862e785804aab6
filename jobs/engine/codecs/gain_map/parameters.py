"""The parameters of a gain map: in XMP (Adobe's Gain Map specification 1.0, "hdrgm") and in ISO 21496-1, annex C."""

import math
import struct

from jobs.engine.codecs.metadata.xmp_outline import Unreadable, values, without

HDRGM = "http://ns.adobe.com/hdr-gain-map/1.0/"
#: The name before the parameters in a JPEG segment (ISO 21496-1, annex C.4).
ISO_NAME = b"urn:iso:std:iso:ts:21496:-1\0"
#: The versions alone, in the picture's own segment: the map has the rest.
ISO_VERSIONS = bytes(4)
_ISO_HEAD = struct.Struct(">HHB")
_MANY_CHANNELS = 0x80
_COMMON_DENOMINATOR = 0x08
_USE_BASE_COLOR_SPACE = 0x40
_MILLIONTHS = 1_000_000


def usable_xmp(xmp: bytes | None) -> bytes | None:
    """Return the packet's bytes if it holds what a reader must have: version, maximum and capacity, as numbers."""
    if not xmp:
        return None
    try:
        version = values(xmp, HDRGM, "Version")
        numbers = [float(text) for name in ("GainMapMax", "HDRCapacityMax") for text in values(xmp, HDRGM, name)]
        enough = all(values(xmp, HDRGM, name) for name in ("GainMapMax", "HDRCapacityMax"))
    except (Unreadable, ValueError):
        return None
    return xmp if version and enough and all(math.isfinite(number) for number in numbers) else None


def usable_iso(block: bytes | None) -> bytes | None:
    """Return the bytes of a block of ISO 21496-1 if its version is one that today's readers know, and it is whole."""
    if not block or len(block) < _ISO_HEAD.size:
        return None
    least_version, _, flags = _ISO_HEAD.unpack_from(block)
    channels = 3 if flags & _MANY_CHANNELS else 1
    # Two headrooms, then five numbers for each channel: fractions of two 32-bit numbers, or with one denominator.
    size = 4 + 2 * 4 + channels * 5 * 4 if flags & _COMMON_DENOMINATOR else 2 * 8 + channels * 5 * 8
    return block if least_version == 0 and len(block) >= _ISO_HEAD.size + size else None


def only_parameters(xmp: bytes) -> bytes:
    """Return the bytes of a map's packet with nothing in it but the map's parameters."""
    return without(xmp, lambda one: one.namespace != HDRGM)


def packet(stops: float) -> bytes:
    """Return the bytes of a packet for a map whose values from 0 to full mean a gain of 0 to so many stops (log2)."""
    most = f"{stops:.6f}"
    return (
        '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
        f'<rdf:Description rdf:about="" xmlns:hdrgm="{HDRGM}" hdrgm:Version="1.0" hdrgm:GainMapMin="0" '
        f'hdrgm:GainMapMax="{most}" hdrgm:Gamma="1" hdrgm:OffsetSDR="0" hdrgm:OffsetHDR="0" '
        f'hdrgm:HDRCapacityMin="0" hdrgm:HDRCapacityMax="{most}" hdrgm:BaseRenditionIsHDR="False"/>'
        "</rdf:RDF></x:xmpmeta>"
    ).encode()


def iso_block(stops: float) -> bytes:
    """Return the same parameters in the bytes of ISO 21496-1, annex C.2: one channel, the picture's own primaries.

    In order: the headrooms of picture and HDR; the map's minimum, maximum and gamma; the two offsets.
    """
    most = (round(stops * _MILLIONTHS), _MILLIONTHS)
    return _ISO_HEAD.pack(0, 0, _USE_BASE_COLOR_SPACE) + struct.pack(
        ">4I 2i 2i 2I 2i 2i", 0, 1, *most, 0, 1, *most, 1, 1, 0, 1, 0, 1
    )
