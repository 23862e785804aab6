"""Files with gain maps, built byte by byte from the standards: our own writer has no part in them."""

import io
import math
import struct
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from tests.jobs.engine.conftest import photo

RDF = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"
HDRGM = "http://ns.adobe.com/hdr-gain-map/1.0/"
CONTAINER = "http://ns.google.com/photos/1.0/container/"
ISO = b"urn:iso:std:iso:ts:21496:-1\0"


def packet(inner: str) -> bytes:
    return f'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="{RDF}">{inner}</rdf:RDF></x:xmpmeta>'.encode()


def segment(marker: int, content: bytes) -> bytes:
    return struct.pack(">BBH", 0xFF, marker, len(content) + 2) + content


def xmp_segment(xmp: bytes) -> bytes:
    return segment(0xE1, b"http://ns.adobe.com/xap/1.0/\0" + xmp)


def jpeg(pixels: NDArray[Any], extra: bytes = b"", **settings: Any) -> bytes:
    stream = io.BytesIO()
    gray = pixels.ndim == 3 and pixels.shape[2] == 1
    Image.fromarray(pixels[:, :, 0] if gray else pixels).save(stream, "JPEG", quality=95, **settings)
    return stream.getvalue()[:2] + extra + stream.getvalue()[2:]


def map_pixels(width: int = 20, height: int = 12, channels: int = 1) -> NDArray[Any]:
    """Darker on the left than on the right, with a light corner at the top left: turning shows."""
    ramp = np.linspace(20, 200, width)[np.newaxis, :, np.newaxis].repeat(height, 0).repeat(channels, 2)
    ramp[: height // 4, : width // 4] = 250
    return np.rint(ramp).astype(np.uint8)


MAP_XMP = packet(
    f'<rdf:Description rdf:about="" xmlns:hdrgm="{HDRGM}" xmlns:dc="http://purl.org/dc/elements/1.1/" dc:source="who" '
    'hdrgm:Version="1.0" hdrgm:GainMapMax="2.5" hdrgm:HDRCapacityMax="2.5"/>'
)
#: ISO 21496-1, annex C.2: versions, flags, headrooms 0 and 5/2, minimum 0, maximum 5/2, gamma 1, offsets 1/64.
MAP_ISO = struct.pack(">HHB 4I 2i 2i 2I 2i 2i", 0, 0, 0x40, 0, 1, 5, 2, 0, 1, 5, 2, 1, 1, 1, 64, 1, 64)


def claim(length: int, prefix: str = "hdrgm", container: str = "Container") -> str:
    return (
        f'<rdf:Description rdf:about="" xmlns:{prefix}="{HDRGM}" xmlns:{container}="{CONTAINER}" '
        f'xmlns:Item="{CONTAINER}item/" {prefix}:Version="1.0"><{container}:Directory><rdf:Seq>'
        f'<rdf:li rdf:parseType="Resource"><{container}:Item Item:Semantic="Primary" Item:Mime="image/jpeg"/></rdf:li>'
        f'<rdf:li rdf:parseType="Resource"><{container}:Item Item:Semantic="GainMap" Item:Mime="image/jpeg" '
        f'Item:Length="{length}"/></rdf:li></rdf:Seq></{container}:Directory></rdf:Description>'
    )


def index(order: str, at: int, primary: int, others: list[tuple[int, int, int]]) -> bytes:
    """An MPF segment whose content stands at ``at``; the others are (offset, size, kind) in the file."""
    count = 1 + len(others)
    body = {"<": b"II*\0", ">": b"MM\0*"}[order] + struct.pack(f"{order}IH", 8, 3)
    body += struct.pack(f"{order}HHI4s", 0xB000, 7, 4, b"0100")
    body += struct.pack(f"{order}HHII", 0xB001, 4, 1, count)
    body += struct.pack(f"{order}HHII", 0xB002, 7, 16 * count, 50) + bytes(4)
    body += struct.pack(f"{order}IIIHH", 0x030000, primary, 0, 0, 0)
    for offset, size, kind in others:
        body += struct.pack(f"{order}IIIHH", kind, size, offset - at - 4, 0, 0)
    return segment(0xE2, b"MPF\0" + body)


def with_index(primary: bytes, others: list[bytes], order: str = ">", gap: bytes = b"", kind: int = 0) -> bytes:
    """The pictures one behind the other, and an index of them in the first."""
    size = len(primary) + len(index(order, 0, 0, [(4, 0, 0)] * len(others)))
    places, at = [], size
    for other in others:
        at += len(gap)
        places.append((at, len(other), kind))
        at += len(other)
    whole = primary[:2] + index(order, 6, size, places) + primary[2:]
    return whole + b"".join(gap + other for other in others)


def ultra_hdr(
    *, pixels: NDArray[Any] | None = None, extra: bytes = b"", xmp: bool = True, iso: bool = False, mpf: bool = True,
    more: str = "", gain: NDArray[Any] | None = None, **settings: Any,
) -> bytes:  # fmt: skip
    second = jpeg(
        map_pixels() if gain is None else gain,
        (xmp_segment(MAP_XMP) if xmp else b"") + (segment(0xE2, ISO + MAP_ISO) if iso else b""),
    )
    if xmp:
        extra += xmp_segment(packet(more + claim(len(second))))
    if iso:
        extra += segment(0xE2, ISO + bytes(4))
    first = jpeg(photo(40, 24) if pixels is None else pixels, extra, **settings)
    return with_index(first, [second]) if mpf else first + second


def apple_exif(headroom: float, gain: float) -> bytes:
    """EXIF with a maker note of an iPhone: two signed fractions, counted from the note's begin."""
    note = b"Apple iOS\0\0\x01MM" + struct.pack(">H", 2)
    note += struct.pack(">HHII", 0x21, 10, 1, 44) + struct.pack(">HHII", 0x30, 10, 1, 52) + bytes(4)
    note += struct.pack(">ii", round(headroom * 10000), 10000) + struct.pack(">ii", round(gain * 10000), 10000)
    exif = Image.Exif()
    exif.get_ifd(0x8769)[0x927C] = note
    return exif.tobytes()


def apple_xmp(headroom: float | None) -> bytes:
    named = f"<g:HDRGainMapHeadroom>{headroom}</g:HDRGainMapHeadroom>" if headroom else ""
    return packet(
        '<rdf:Description rdf:about="" xmlns:g="http://ns.apple.com/HDRGainMap/1.0/">'
        f"<g:HDRGainMapVersion>{131072 if headroom else 65536}</g:HDRGainMapVersion>{named}</rdf:Description>"
    )


def apple_jpeg(headroom: float | None, exif: bytes = b"", gain: NDArray[Any] | None = None) -> bytes:
    second = jpeg(map_pixels() if gain is None else gain, xmp_segment(apple_xmp(headroom)))
    return with_index(jpeg(photo(40, 24), exif=exif), [second])


def stops_by_apple(pixels: NDArray[Any], headroom: float) -> NDArray[Any]:
    """log2 of the gain that Apple's formula gives for a map, (h, w, 1)."""
    coded = pixels / 255
    light = np.where(coded < 0.081, coded / 4.5, ((coded + 0.099) / 1.099) ** (1 / 0.45))
    gain: NDArray[Any] = np.log2(1 + (headroom - 1) * light)
    return gain


def stops_by_hdrgm(pixels: NDArray[Any], most: float) -> NDArray[Any]:
    stops: NDArray[Any] = pixels / 255 * most
    return stops


def box(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content) + 8) + name + content


def boxes(data: bytes) -> list[tuple[bytes, bytes]]:
    found, at = [], 0
    while at + 8 <= len(data):
        size = struct.unpack_from(">I", data, at)[0] or len(data) - at
        found.append((data[at + 4 : at + 8], data[at + 8 : at + size]))
        at += size
    return found


def heic(gain: NDArray[Any], *, exif: bytes = b"", kind: bytes = b"urn:com:apple:photo:2020:aux:hdrgainmap") -> bytes:
    """A HEIC file whose second picture is an auxiliary one of that kind, as iPhones write it (23008-12, 6.5.8)."""
    import pillow_heif

    file = pillow_heif.HeifFile()  # type: ignore[no-untyped-call]  # the library gives its constructor no types
    file.add_from_pillow(Image.fromarray(photo(128, 96)))
    file.add_from_pillow(Image.fromarray(gain[:, :, 0]))
    stream = io.BytesIO()
    file.save(stream, quality=90, exif=exif or None)
    top = dict(boxes(stream.getvalue()))
    meta = boxes(top[b"meta"][4:])
    items = {}
    for name, content in meta:
        if name == b"iinf":
            for _, entry in boxes(content[6:]):
                number, _, item = struct.unpack_from(">HH4s", entry, 4)
                items[number] = item
    first, second = sorted(number for number, item in items.items() if item == b"hvc1")
    old = len(top[b"meta"])
    meta = [(name, _marked(name, content, second, kind)) for name, content in meta]
    link = box(b"auxl", struct.pack(">HHH", second, 1, first))
    if any(name == b"iref" for name, _ in meta):
        meta = [(name, content + link if name == b"iref" else content) for name, content in meta]
    else:
        meta.append((b"iref", bytes(4) + link))
    rest = bytes(4) + b"".join(box(name, content) for name, content in meta)
    shift = len(rest) - old
    meta = [(name, _moved(content, shift) if name == b"iloc" else content) for name, content in meta]
    top[b"meta"] = bytes(4) + b"".join(box(name, content) for name, content in meta)
    return b"".join(box(name, content) for name, content in top.items())


def _marked(name: bytes, content: bytes, item: int, kind: bytes) -> bytes:
    """Give an item the property auxC."""
    if name != b"iprp":
        return content
    properties, links = boxes(content)
    count = len(boxes(properties[1]))
    ipma = links[1]
    assert ipma[0] == 0, "16-bit item numbers"
    assert not ipma[3] & 1, "8-bit property numbers"
    (entries,) = struct.unpack_from(">I", ipma, 4)
    out, at = ipma[:8], 8
    for _ in range(entries):
        number, linked = struct.unpack_from(">HB", ipma, at)
        numbers = ipma[at + 3 : at + 3 + linked]
        at += 3 + linked
        if number == item:
            numbers += bytes([0x80 | (count + 1)])
        out += struct.pack(">HB", number, len(numbers)) + numbers
    return box(b"ipco", properties[1] + box(b"auxC", bytes(4) + kind + b"\0")) + box(b"ipma", out)


def _moved(iloc: bytes, shift: int) -> bytes:
    """Add to the places of all items that are counted from the file's begin (14496-12, 8.11.3)."""
    version = iloc[0]
    offset, length, base = iloc[4] >> 4, iloc[4] & 15, iloc[5] >> 4
    extra = iloc[5] & 15 if version else 0
    (count,) = struct.unpack_from(">H", iloc, 6)
    out, at = bytearray(iloc), 8
    for _ in range(count):
        method = iloc[at + 3] & 15 if version else 0
        at += (4 if version else 2) + 2
        start = int.from_bytes(iloc[at : at + base], "big")
        if base and method == 0 and start:
            out[at : at + base] = (start + shift).to_bytes(base, "big")
        at += base
        (extents,) = struct.unpack_from(">H", iloc, at)
        at += 2
        for _ in range(extents):
            at += extra
            place = int.from_bytes(iloc[at : at + offset], "big")
            if method == 0 and not start:
                out[at : at + offset] = (place + shift).to_bytes(offset, "big")
            at += offset + length
    return bytes(out)


def headroom_by_apple(first: float, second: float) -> float:
    if first < 1.0:
        stops = -20.0 * second + 1.8 if second <= 0.01 else -0.101 * second + 1.601
    else:
        stops = -70.0 * second + 3.0 if second <= 0.01 else -0.303 * second + 2.303
    return math.pow(2.0, max(stops, 0.0))
