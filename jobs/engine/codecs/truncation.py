"""Files that were cut short, told by what they promise themselves: lengths of boxes and chunks, marks of their end.

JPEG: ITU-T T.81, B.1.1; PNG: section 5; WebP: RFC 9649, 2.4; boxes of AVIF, HEIC and JPEG XL: ISO/IEC 14496-12, 4.2;
TIFF 6.0, section 2; BMP: BITMAPFILEHEADER; GIF89a, 27. A bare JPEG XL codestream promises nothing.
"""

import os
import struct
from typing import IO

from PIL.TiffImagePlugin import ImageFileDirectory_v2

from jobs.engine.errors import ImageRejected

_MOST_STEPS = 100_000
_PIECE = 1 << 20  # bytes
_BIG = 43  # BigTIFF's version
#: Boxes of which a file has at least one: its headers, or the codestream.
_NEEDED = {b"meta", b"moov", b"jxlc", b"jxlp"}
_START_OF_SCAN, _END_OF_IMAGE = 0xDA, b"\xff\xd9"


def damaged(name: str, file: IO[bytes]) -> ImageRejected:
    """Return the error for a file that could not be read. Its position in bytes is restored.

    :param name: our name of the format.
    """
    if ends_early(name, file):
        return ImageRejected(f"the {name.upper()} file is truncated: it ends too early")
    return ImageRejected(f"the {name.upper()} file is broken or truncated")


def ends_early(name: str, file: IO[bytes]) -> bool:
    """Return True for a file that is surely cut short. Its position in bytes is restored.

    :param name: our name of the format.
    """
    before = file.tell()
    size = file.seek(0, os.SEEK_END)
    try:
        return _TESTS[name](file, size)
    finally:
        file.seek(before)


def _read(file: IO[bytes], at: int, length: int) -> bytes:
    file.seek(at)
    return file.read(length)


def _jpeg(file: IO[bytes], _: int) -> bool:
    """Follow the segments to the scan; behind it, the end of the image must come."""
    at = 2
    for _step in range(_MOST_STEPS):
        head = _read(file, at, 4)
        if len(head) < 4:
            return head != _END_OF_IMAGE
        if head[0] != 0xFF:
            return False
        if head[1] == 0xFF:  # a fill byte
            at += 1
        elif head[1] == _START_OF_SCAN:
            return not _found(file, at + 4, _END_OF_IMAGE)
        else:
            at += 2 + int.from_bytes(head[2:], "big")
    return False


def _found(file: IO[bytes], at: int, mark: bytes) -> bool:
    """Return True if the bytes of a mark stand anywhere from a place on."""
    file.seek(at)
    last = b""
    while piece := file.read(_PIECE):
        if mark in last + piece:
            return True
        last = piece[-1:]
    return False


def _png(file: IO[bytes], size: int) -> bool:
    at = 8
    while at + 12 <= size:
        length, name = struct.unpack(">I4s", _read(file, at, 8))
        at += 12 + length
        if name == b"IEND":
            return False
    return True


def _webp(file: IO[bytes], size: int) -> bool:
    return size < 8 + int.from_bytes(_read(file, 4, 4), "little")


def _bmp(file: IO[bytes], size: int) -> bool:
    head = _read(file, 2, 12)
    return len(head) < 12 or size < int.from_bytes(head[:4], "little")


def _gif(file: IO[bytes], size: int) -> bool:
    return _read(file, size - 1, 1) != b";"


def _boxes(file: IO[bytes], size: int) -> bool:
    at, seen = 0, set[bytes]()
    for _ in range(_MOST_STEPS):
        if at >= size:
            return at > size or not seen & _NEEDED
        head = _read(file, at, 16)
        length = int.from_bytes(head[:4], "big")
        if length == 1 and len(head) == 16:  # a 64-bit size follows
            length = int.from_bytes(head[8:], "big")
        if length == 0 and len(head) >= 8:  # to the end of the file
            return False
        if length < 8:
            return len(head) < 8
        seen.add(head[4:8])
        at += length
    return False


def _tiff(file: IO[bytes], size: int) -> bool:
    """Look for the first directory, and for the pieces of pixels that it names; not in big-endian BigTIFF."""
    head = _read(file, 0, 16)
    if len(head) < 16:
        return True
    try:
        tags = ImageFileDirectory_v2(head if head[2] == _BIG else head[:8])
        if tags.next >= size:
            return True
        file.seek(tags.next)
        tags.load(file)
        pieces = [(tags.get(273, ()), tags.get(279, ())), (tags.get(324, ()), tags.get(325, ()))]
        return any(
            at + length > size for places, lengths in pieces for at, length in zip(places, lengths, strict=False)
        )
    except (OSError, ValueError, TypeError, struct.error):
        return False


def _codestream_or_boxes(file: IO[bytes], size: int) -> bool:
    return _read(file, 0, 2) != b"\xff\x0a" and _boxes(file, size)


_TESTS = {
    "jpeg": _jpeg, "png": _png, "webp": _webp, "bmp": _bmp, "gif": _gif, "avif": _boxes, "heic": _boxes, "tiff": _tiff,
    "jxl": _codestream_or_boxes,
}  # fmt: skip
