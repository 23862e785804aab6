"""Small changes inside an EXIF block without rewriting it, so that maker notes keep their offsets. Pure bytes.

Layout (EXIF 2.32, 4.5 and TIFF 6.0, section 2): byte order, 42, offset of the first directory; a directory is a count,
12 bytes per entry (tag, type, count, value or offset), and the offset of the next directory.
"""

import re
import struct
from collections.abc import Iterator

_EMPTY = b"II*\0\x08\0\0\0\0\0\0\0\0\0"
_PREFIX = b"Exif\0\0"
_ORIENTATION = 0x0112
_EXIF_DIRECTORY = 0x8769
_WIDTH, _HEIGHT = 0xA002, 0xA003
_PROCESSING_SOFTWARE = 0x000B
_ASCII, _SHORT, _LONG = 2, 3, 4


def body(exif: bytes) -> bytes:
    """The TIFF structure alone, without the prefix ("Exif" and two zeros) that JPEG and Pillow put before it."""
    return exif.removeprefix(_PREFIX)


def upright(exif: bytes) -> bytes:
    """The same block with its orientation tag set to 1; a block that cannot be read comes back as it is."""
    data = bytearray(body(exif))
    _write(data, _first(data), _ORIENTATION, 1)
    return bytes(data)


def resized(exif: bytes, width: int, height: int) -> bytes:
    """The same block with the pixel dimensions, where it names them, set to the new size."""
    data = bytearray(body(exif))
    nested = _read(data, _first(data), _EXIF_DIRECTORY)
    if nested:
        _write(data, nested, _WIDTH, width)
        _write(data, nested, _HEIGHT, height)
    return bytes(data)


def orientation(exif: bytes) -> int:
    """1 to 8; 1 where the block names none or cannot be read."""
    data = bytearray(body(exif))
    order = _order(data)
    for at, tag in _entries(data, _first(data)):
        if tag == _ORIENTATION:
            value = int(struct.unpack_from(f"{order}H", data, at + 8)[0])
            return value if 1 <= value <= 8 else 1
    return 1


def readable(exif: bytes) -> bool:
    """Whether there is a first directory; a block without one would only break the programs that read our result."""
    data = body(exif)
    first = _first(data)
    order = _order(data)
    return bool(first) and first + 2 + 12 * struct.unpack_from(f"{order}H", data, first)[0] <= len(data)


def without_orientation(exif: bytes) -> bytes:
    """The same block without that entry: some encoders write a block anew, with losses, when they find it."""
    return _with_first_directory(bytearray(body(exif)), drop=_ORIENTATION)


def with_software(exif: bytes | None, line: str) -> bytes:
    """The same block, or a new one, with a ProcessingSoftware entry. A camera's own Software entry is left alone."""
    data = bytearray(body(exif)) if exif and readable(exif) else bytearray(_EMPTY)
    order = _order(data)
    text = line.encode("ascii", "replace").ljust(4, b"\0") + b"\0"  # five bytes or more never fit into the entry itself
    data += b"\0" * (len(data) % 2)
    entry = struct.pack(f"{order}HHII", _PROCESSING_SOFTWARE, _ASCII, len(text), len(data))
    return _with_first_directory(data + text, drop=_PROCESSING_SOFTWARE, add=entry)


def _with_first_directory(data: bytearray, *, drop: int, add: bytes | None = None) -> bytes:
    """The first directory written anew at the end of the block; everything else keeps its place."""
    order = _order(data)
    first = _first(data)
    entries = [bytes(data[at : at + 12]) for at, tag in _entries(data, first) if tag != drop]
    if add:
        entries.append(add)
    entries.sort(key=lambda entry: int(struct.unpack_from(f"{order}H", entry)[0]))
    following = _next(data, first)
    data += b"\0" * (len(data) % 2)
    struct.pack_into(f"{order}I", data, 4, len(data))
    data += struct.pack(f"{order}H", len(entries)) + b"".join(entries) + struct.pack(f"{order}I", following)
    return bytes(data)


def upright_xmp(xmp: bytes) -> bytes:
    """XMP repeats the orientation (tiff:Orientation), and some viewers believe it before EXIF."""
    xmp = re.sub(rb"(tiff:Orientation\s*=\s*[\"'])[2-8]([\"'])", rb"\g<1>1\2", xmp)
    return re.sub(rb"(<tiff:Orientation>\s*)[2-8](\s*</tiff:Orientation>)", rb"\g<1>1\2", xmp)


def _order(data: bytes | bytearray) -> str | None:
    return {b"II*\0": "<", b"MM\0*": ">"}.get(bytes(data[:4]))


def _first(data: bytes | bytearray) -> int:
    order = _order(data)
    if not order or len(data) < 8:
        return 0
    offset = int(struct.unpack_from(f"{order}I", data, 4)[0])
    return offset if 8 <= offset <= len(data) - 2 else 0


def _entries(data: bytes | bytearray, directory: int) -> Iterator[tuple[int, int]]:
    """(offset, tag) of every entry that lies inside the block."""
    order = _order(data)
    if not order or not 8 <= directory <= len(data) - 2:
        return
    count = struct.unpack_from(f"{order}H", data, directory)[0]
    for index in range(count):
        at = directory + 2 + 12 * index
        if at + 12 > len(data):
            return
        yield at, struct.unpack_from(f"{order}H", data, at)[0]


def _next(data: bytes | bytearray, directory: int) -> int:
    order = _order(data)
    count = struct.unpack_from(f"{order}H", data, directory)[0]
    at = directory + 2 + 12 * count
    return int(struct.unpack_from(f"{order}I", data, at)[0]) if at + 4 <= len(data) else 0


def _read(data: bytearray, directory: int, tag: int) -> int | None:
    order = _order(data)
    for at, found in _entries(data, directory):
        if found == tag:
            return int(struct.unpack_from(f"{order}I", data, at + 8)[0])
    return None


def _write(data: bytearray, directory: int, tag: int, value: int) -> None:
    order = _order(data)
    for at, found in _entries(data, directory):
        if found == tag:
            kind, count = struct.unpack_from(f"{order}HI", data, at + 2)
            if count != 1 or kind not in (_SHORT, _LONG):
                return
            if kind == _SHORT and value > 0xFFFF:  # a SHORT may become a LONG: the entry's field has four bytes anyway
                kind = _LONG
                struct.pack_into(f"{order}H", data, at + 2, kind)
            struct.pack_into(f"{order}I", data, at + 8, 0)
            struct.pack_into(f"{order}{'H' if kind == _SHORT else 'I'}", data, at + 8, value)
