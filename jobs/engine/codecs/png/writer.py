"""PNG files: chunks around the pixels, which `jobs.engine.codecs.png.pixels` packs.

PNG specification (W3C, third edition), section 11: a chunk is length, name, data, CRC-32 of name and data.
"""

import struct
import zlib
from collections.abc import Iterator

from jobs.engine.codecs.png import pixels as png_pixels
from jobs.engine.types import Frame, Metadata

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
#: Colour types of the specification by samples per pixel.
_COLOUR_TYPES = {1: 0, 2: 4, 3: 2, 4: 6}


def still(frame: Frame, meta: Metadata, provenance: str | None) -> Iterator[bytes]:
    """Yield the bytes of a PNG file of one frame (H, W, 1 or 3): it is never whole in memory."""
    height, width = frame.color.shape[:2]
    kind = _COLOUR_TYPES[png_pixels.channels(frame)]
    yield _SIGNATURE
    yield _chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8 * frame.color.itemsize, kind, 0, 0, 0))
    yield from chunks(meta, provenance)
    for content in png_pixels.strips(frame):
        yield _chunk(b"IDAT", content)
    yield _chunk(b"IEND", b"")


def chunks(meta: Metadata, provenance: str | None) -> list[bytes]:
    """Return profile, density, EXIF, XMP, IPTC and provenance as bytes of chunks, in an order that PNG allows."""
    pieces = []
    if meta.icc:
        pieces.append(_chunk(b"iCCP", b"ICC Profile\0\0" + zlib.compress(meta.icc)))
    if meta.dpi:
        across, down = (round(value / 0.0254) for value in meta.dpi)
        pieces.append(_chunk(b"pHYs", struct.pack(">IIB", across, down, 1)))
    if meta.exif:
        pieces.append(_chunk(b"eXIf", meta.exif))
    if meta.xmp:
        pieces.append(_chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + meta.xmp))
    if meta.iptc:
        # No chunk of its own exists; this is the text that ImageMagick writes and ExifTool reads.
        resource = b"8BIM\x04\x04\0\0" + struct.pack(">I", len(meta.iptc)) + meta.iptc + b"\0" * (len(meta.iptc) % 2)
        digits = resource.hex()
        lines = "\n".join(digits[i : i + 72] for i in range(0, len(digits), 72))
        text = f"\niptc\n{len(resource):8d}\n{lines}\n".encode()
        pieces.append(_chunk(b"zTXt", b"Raw profile type iptc\0\0" + zlib.compress(text)))
    if provenance:
        pieces.append(_chunk(b"tEXt", b"Software\0" + provenance.encode("latin-1", "replace")))
    return pieces


def _chunk(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))
