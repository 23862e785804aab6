"""What several files of these tests write into pictures, and files made by hand."""

import struct
import zlib
from pathlib import Path

from PIL import ImageCms

from jobs.engine.codec import decode, encode
from jobs.engine.codecs import jxl_writer
from jobs.engine.types import EncodeOptions, Picture
from tests.jobs.engine.conftest import LIMITS

SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


#: JPEG XL is written where its package has a wheel.
WRITABLE = ["png", "jpeg", "webp", "avif", "tiff", *(["jxl"] if jxl_writer.installed() else [])]


def chunk(name: bytes, content: bytes) -> bytes:
    """A chunk of a PNG file."""
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))


def png(before: bytes = b"", after: bytes = b"", *, bits: int = 8, kind: int = 2, width: int = 4) -> bytes:
    """A PNG of two rows with chunks before and after its pixels; ``kind`` is the colour type, 0 gray or 2 RGB."""
    row_bytes = -(-width * bits * {0: 1, 2: 3}[kind] // 8)
    rows = b"".join(b"\0" + bytes((40 * y + 7 * x) % 251 for x in range(row_bytes)) for y in range(2))
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, 2, bits, kind, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + before + chunk(b"IDAT", zlib.compress(rows)) + after + chunk(b"IEND", b"")


def read(folder: Path, data: bytes) -> Picture:
    """Decode a file of these bytes."""
    path = folder / "in"
    path.write_bytes(data)
    return decode(path, LIMITS)


def written(folder: Path, made: Picture, name: str = "auto", **options: object) -> bytes:
    """The bytes of a picture's file."""
    path = folder / "out"
    encode(made, path, EncodeOptions(format=name, **options))  # type: ignore[arg-type] # literals from parameters
    return path.read_bytes()


def chunks_of(data: bytes) -> list[tuple[bytes, bytes]]:
    """Name and content of every chunk, read by the specification and not by the product."""
    found, at = [], 8
    while at < len(data):
        length = int.from_bytes(data[at : at + 4], "big")
        found.append((data[at + 4 : at + 8], data[at + 8 : at + 8 + length]))
        at += 12 + length
    return found
