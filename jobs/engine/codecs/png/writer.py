"""PNG files: chunks around the pixels, which `jobs.engine.codecs.png.pixels` packs.

PNG specification (W3C, third edition), section 11: a chunk is length, name, data, CRC-32 of name and data.
"""

import struct
import zlib
from collections.abc import Iterator

from jobs.engine.codecs.color.description import SRGB, SRGB_XY, profile_of_cicp
from jobs.engine.codecs.metadata.photoshop import iptc_resource
from jobs.engine.codecs.png import pixels as png_pixels
from jobs.engine.codecs.png.chunks import SIGNATURE
from jobs.engine.types import Frame, Metadata, Text

#: Colour types of the specification by samples per pixel.
_COLOUR_TYPES = {1: 0, 2: 4, 3: 2, 4: 6}


def still(frame: Frame, meta: Metadata, provenance: str | None) -> Iterator[bytes]:
    """Yield the bytes of a PNG file of one frame (H, W, 1 or 3): it is never whole in memory."""
    yield SIGNATURE
    yield header(frame)
    yield from chunks(meta, provenance, frame.color.shape[2])
    for content in png_pixels.strips(frame):
        yield chunk(b"IDAT", content)
    yield chunk(b"IEND", b"")


def header(frame: Frame) -> bytes:
    """Return the bytes of IHDR for a frame (H, W, 1 or 3) with its alpha, uint8 or uint16; no interlacing."""
    height, width = frame.color.shape[:2]
    kind = _COLOUR_TYPES[png_pixels.channels(frame)]
    return chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8 * frame.color.itemsize, kind, 0, 0, 0))


def chunks(meta: Metadata, provenance: str | None, channels: int) -> list[bytes]:
    """Return everything beside the pixels as bytes of chunks, in an order that PNG allows: all before the pixels.

    :param channels: of the colour, 1 or 3: cICP is for RGB only (11.3.2.6), a gray picture gets an equal profile.
    """
    pieces = _color(meta, channels)
    if meta.dpi:
        across, down = (round(value / 0.0254) for value in meta.dpi)
        pieces.append(chunk(b"pHYs", struct.pack(">IIB", across, down, 1)))
    elif meta.aspect:
        pieces.append(chunk(b"pHYs", struct.pack(">IIB", *meta.aspect, 0)))
    if meta.exif:
        pieces.append(chunk(b"eXIf", meta.exif))
    if meta.xmp:
        pieces.append(chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + meta.xmp))
    if meta.iptc:
        # No chunk of its own exists; this is the text that ImageMagick writes and ExifTool reads.
        resource = iptc_resource(meta.iptc)
        digits = resource.hex()
        lines = "\n".join(digits[i : i + 72] for i in range(0, len(digits), 72))
        text = f"\niptc\n{len(resource):8d}\n{lines}\n".encode()
        pieces.append(chunk(b"zTXt", b"Raw profile type iptc\0\0" + zlib.compress(text)))
    pieces += [_text(text) for text in meta.texts]
    if provenance:
        pieces.append(_text(Text("Software", provenance)))
    return pieces


def _color(meta: Metadata, channels: int) -> list[bytes]:
    """Return what the numbers mean (11.3.2). All descriptions that are there, for viewers that know but the older ones.

    sRGB is written with the gAMA and cHRM that the specification asks for beside it (11.3.2.5).
    """
    pieces = []
    described = meta.cicp is not None and meta.cicp != SRGB
    if meta.cicp and described and channels == 3:
        pieces.append(chunk(b"cICP", bytes((meta.cicp.primaries, meta.cicp.transfer, 0, 1))))
    icc = meta.icc
    if described and not icc and meta.cicp and channels == 1:
        icc = profile_of_cicp(meta.cicp, channels)
    if icc:
        pieces.append(chunk(b"iCCP", b"ICC Profile\0\0" + zlib.compress(icc)))
    elif meta.cicp == SRGB:
        pieces.append(chunk(b"sRGB", b"\0"))
    gamma, xy = (0.45455, SRGB_XY) if meta.cicp == SRGB and not icc else (meta.gamma, meta.chromaticities)
    if gamma:
        pieces.append(chunk(b"gAMA", struct.pack(">I", round(gamma * 100_000))))
    if xy:
        pieces.append(chunk(b"cHRM", struct.pack(">8I", *(round(value * 100_000) for value in xy))))
    if meta.mastering:
        light = (round(meta.mastering.max_luminance * 10_000), round(meta.mastering.min_luminance * 10_000))
        pieces.append(chunk(b"mDCV", struct.pack(">8H2I", *meta.mastering.chromaticities, *light)))
    if meta.light:
        levels = (round(meta.light.max_content * 10_000), round(meta.light.max_frame_average * 10_000))
        pieces.append(chunk(b"cLLI", struct.pack(">2I", *levels)))
    return pieces


def _text(text: Text) -> bytes:
    """Return a chunk's bytes: tEXt where Latin-1 says it all, else iTXt (11.3.3); all readers take undeflated ones."""
    keyword = " ".join(text.keyword.split()).encode("latin-1", "replace")[:79].strip() or b"Comment"
    if not text.language and not text.translated:
        try:
            value = text.value.encode("latin-1")
        except UnicodeEncodeError:
            pass
        else:
            if b"\0" not in value:
                return chunk(b"tEXt", keyword + b"\0" + value)
    head = keyword + b"\0\0\0" + text.language.encode("latin-1", "replace") + b"\0"
    # Bytes that are no UTF-8 are taken for Latin-1, as browsers take a page of unknown encoding.
    value = text.value.encode("utf-8", "surrogateescape")
    try:
        value.decode()
    except UnicodeDecodeError:
        value = value.decode("latin-1").encode()
    return chunk(b"iTXt", head + text.translated.encode("utf-8", "replace") + b"\0" + value)


def chunk(name: bytes, content: bytes) -> bytes:
    """Return a chunk's bytes: its length, name, content and CRC-32."""
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))
