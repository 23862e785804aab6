"""Small changes inside an EXIF block without rewriting it, so that maker notes keep their offsets. Pure bytes.

Layout (EXIF 2.32, 4.5 and TIFF 6.0, section 2): byte order, 42, offset of the first directory; a directory is a count,
12 bytes per entry (tag, type, count, value or offset), and the offset of the next directory.
"""

import struct
from collections.abc import Iterator

_EMPTY = b"II*\0\x08\0\0\0\0\0\0\0\0\0"
_PREFIX = b"Exif\0\0"
_ORIENTATION = 0x0112
_EXIF_DIRECTORY = 0x8769
_GPS_DIRECTORY = 0x8825
_INTEROPERABILITY = 0xA005
_IMAGE_WIDTH, _IMAGE_LENGTH = 0x0100, 0x0101
_WIDTH, _HEIGHT = 0xA002, 0xA003
_RELATED_WIDTH, _RELATED_LENGTH = 0x1001, 0x1002
_THUMBNAIL, _THUMBNAIL_BYTES = 0x0201, 0x0202
_JPEG = b"\xff\xd8"
_PROCESSING_SOFTWARE = 0x000B
_ASCII, _SHORT, _LONG = 2, 3, 4
#: Bytes of a value by its type (TIFF 6.0, section 2); the others have one.
_TYPE_BYTES = {_SHORT: 2, _LONG: 4, 5: 8, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4}


def body(exif: bytes) -> bytes:
    """Return the block's bytes without the prefix ("Exif" and two zeros) that JPEG and Pillow put before it."""
    return exif.removeprefix(_PREFIX)


def upright(exif: bytes) -> bytes:
    """Return the block's bytes with the orientation tag set to 1; a block that cannot be read comes back as it is."""
    data = bytearray(body(exif))
    _write(data, _first(data), _ORIENTATION, 1)
    return bytes(data)


def resized(exif: bytes, width: int, height: int) -> bytes:
    """Return the block's bytes for new pixels: it names the new size in px, and the old thumbnail is gone."""
    data = bytearray(body(exif))
    for directory, across, down in (
        (_first(data), _IMAGE_WIDTH, _IMAGE_LENGTH),
        (_nested(data, _EXIF_DIRECTORY), _WIDTH, _HEIGHT),
        (_nested(data, _EXIF_DIRECTORY, _INTEROPERABILITY), _RELATED_WIDTH, _RELATED_LENGTH),
    ):
        if directory:
            _write(data, directory, across, width)
            _write(data, directory, down, height)
    _drop_thumbnail(data)
    return bytes(data)


def _drop_thumbnail(data: bytearray) -> None:
    """Unlink the second directory, which describes the thumbnail (EXIF 2.32, 4.5.3), and wipe the thumbnail's bytes.

    Nothing else moves. The bytes are cut off where they are the block's last, as most cameras write them: a JPEG has
    room for 64 kB of EXIF only. They stay, unlinked, where a broken block lets them overlap with something else.
    """
    first = _first(data)
    thumbnail = _next(data, first) if first else 0
    if not thumbnail:
        return
    start, length = _read(data, thumbnail, _THUMBNAIL), _read(data, thumbnail, _THUMBNAIL_BYTES)
    struct.pack_into(f"{_order(data)}I", data, first + 2 + 12 * _count(data, first), 0)
    if not start or not length or start + length > len(data) or data[start : start + 2] != _JPEG:
        return
    if any(begin < start + length and start < end for begin, end in _used(data)):
        return
    if start + length == len(data):
        del data[start:]
    else:
        data[start : start + length] = bytes(length)


def _used(data: bytearray) -> Iterator[tuple[int, int]]:
    """Yield the start and end, in bytes, of the directories that stay and of values outside their entries."""
    order = _order(data)
    yield 0, 8
    for path in ((), (_EXIF_DIRECTORY,), (_GPS_DIRECTORY,), (_EXIF_DIRECTORY, _INTEROPERABILITY)):
        directory = _nested(data, *path)
        if not directory:
            continue
        yield directory, directory + 2 + 12 * _count(data, directory) + 4
        for at, _ in _entries(data, directory):
            kind, count, offset = struct.unpack_from(f"{order}HII", data, at + 2)
            size = count * _TYPE_BYTES.get(kind, 1)
            if size > 4:
                yield offset, offset + size


def orientation(exif: bytes) -> int:
    """Return the orientation that the bytes name, 1 to 8; 1 where there is none or the block cannot be read."""
    data = bytearray(body(exif))
    order = _order(data)
    for at, tag in _entries(data, _first(data)):
        if tag == _ORIENTATION:
            value = int(struct.unpack_from(f"{order}H", data, at + 8)[0])
            return value if 1 <= value <= 8 else 1
    return 1


def readable(exif: bytes) -> bool:
    """Return True if the bytes hold a first directory; a block without one breaks the readers of our result."""
    data = body(exif)
    first = _first(data)
    order = _order(data)
    return bool(first) and first + 2 + 12 * struct.unpack_from(f"{order}H", data, first)[0] <= len(data)


def without_orientation(exif: bytes) -> bytes:
    """Return the block's bytes without that entry: some encoders write a block anew, with losses, when they find it."""
    return _with_first_directory(bytearray(body(exif)), drop=_ORIENTATION)


def with_software(exif: bytes | None, line: str) -> bytes:
    """Return the block's bytes, or a new block's, with a ProcessingSoftware entry; a camera's own Software stays."""
    data = bytearray(body(exif)) if exif and readable(exif) else bytearray(_EMPTY)
    order = _order(data)
    text = line.encode("ascii", "replace").ljust(4, b"\0") + b"\0"  # five bytes or more never fit into the entry itself
    data += b"\0" * (len(data) % 2)
    entry = struct.pack(f"{order}HHII", _PROCESSING_SOFTWARE, _ASCII, len(text), len(data))
    return _with_first_directory(data + text, drop=_PROCESSING_SOFTWARE, add=entry)


def _with_first_directory(data: bytearray, *, drop: int, add: bytes | None = None) -> bytes:
    """Write the first directory anew at the end of the block; everything else keeps its place."""
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


def _order(data: bytes | bytearray) -> str | None:
    return {b"II*\0": "<", b"MM\0*": ">"}.get(bytes(data[:4]))


def _first(data: bytes | bytearray) -> int:
    order = _order(data)
    if not order or len(data) < 8:
        return 0
    offset = int(struct.unpack_from(f"{order}I", data, 4)[0])
    return offset if 8 <= offset <= len(data) - 2 else 0


def _entries(data: bytes | bytearray, directory: int) -> Iterator[tuple[int, int]]:
    """Yield (offset, tag) of every entry that lies inside the block."""
    order = _order(data)
    if not order or not 8 <= directory <= len(data) - 2:
        return
    count = struct.unpack_from(f"{order}H", data, directory)[0]
    for index in range(count):
        at = directory + 2 + 12 * index
        if at + 12 > len(data):
            return
        yield at, struct.unpack_from(f"{order}H", data, at)[0]


def _nested(data: bytearray, *tags: int) -> int:
    """Return the offset of the directory that these entries lead to from the first one; 0 where there is none."""
    directory = _first(data)
    for tag in tags:
        directory = (_read(data, directory, tag) or 0) if directory else 0
    return directory if 8 <= directory <= len(data) - 2 else 0


def _count(data: bytes | bytearray, directory: int) -> int:
    return int(struct.unpack_from(f"{_order(data)}H", data, directory)[0])


def _next(data: bytes | bytearray, directory: int) -> int:
    order = _order(data)
    at = directory + 2 + 12 * _count(data, directory)
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
