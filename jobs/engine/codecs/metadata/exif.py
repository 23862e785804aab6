"""Small changes inside an EXIF block without rewriting it, so that maker notes keep their offsets. Pure bytes.

Layout (EXIF 2.32, 4.5 and TIFF 6.0, section 2): byte order, 42, offset of the first directory; a directory is a count,
12 bytes per entry (tag, type, count, value or offset), and the offset of the next directory.
"""

import struct
from collections.abc import Iterator
from typing import Any

_EMPTY = b"MM\0*\0\0\0\x08\0\0\0\0\0\0"
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
_USER_COMMENT = 0x9286
_X_RESOLUTION, _Y_RESOLUTION, _RESOLUTION_UNIT = 0x011A, 0x011B, 0x0128
_IPTC = 0x83BB
_ASCII, _SHORT, _LONG, _RATIONAL, _UNDEFINED = 2, 3, 4, 5, 7
#: Bytes of a value by its type (TIFF 6.0, section 2); the others have one.
_TYPE_BYTES = {_SHORT: 2, _LONG: 4, 5: 8, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4}


def body(exif: bytes) -> bytes:
    """Return the block's bytes without the prefix ("Exif" and two zeros) that JPEG and Pillow put before it."""
    return exif.removeprefix(_PREFIX)


#: Entries of a first directory that describe the picture and not the layout of its pixels: a TIFF's go into EXIF, and
#: back. Of a TIFF the others are ours to write.
DESCRIPTIVE = (
    0x010D, 0x010E, 0x010F, 0x0110, 0x011D, 0x0131, 0x0132, 0x013B, 0x013C, 0x4746, 0x4749, 0x8298,
    0x9C9B, 0x9C9C, 0x9C9D, 0x9C9E, 0x9C9F,
)  # fmt: skip


class Stored(str):
    """A text whose bytes are those of the file: Pillow reads Latin-1, whatever was meant, and writes "?" for it."""

    __slots__ = ()

    def encode(self, encoding: str = "latin-1", errors: str = "replace") -> bytes:  # noqa: ARG002 - Pillow asks for ASCII
        """Return the bytes that stood in the file."""
        return super().encode("latin-1", "replace")


def as_stored(value: Any) -> Any:
    """Return a value that Pillow read as it must be handed back to keep its bytes."""
    return Stored(value) if isinstance(value, str) else value


def upright(exif: bytes) -> bytes:
    """Return the block's bytes with an orientation that `orientation` heeds set to 1; all else comes back as it is."""
    data = bytearray(body(exif))
    if _orientation_entry(data):
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
    """Return the orientation that the bytes name, 1 to 8; 1 where there is none or the block cannot be read.

    The standard's type is SHORT; LONG is met, too. Other types and counts are heeded by some viewers and not by others:
    such an entry is neither applied here nor changed by `upright`, so that each viewer shows what it showed before.
    """
    entry = _orientation_entry(bytearray(body(exif)))
    return entry[1] if entry else 1


def _orientation_entry(data: bytearray) -> tuple[int, int] | None:
    """Return where the entry is that counts, and its value of 1 to 8."""
    order = _order(data)
    for at, tag in _entries(data, _first(data)):
        if tag != _ORIENTATION:
            continue
        kind, count = struct.unpack_from(f"{order}HI", data, at + 2)
        size = {_SHORT: "H", _LONG: "I"}.get(kind)
        if size is None or count != 1:
            return None
        value = int(struct.unpack_from(f"{order}{size}", data, at + 8)[0])
        return (at, value) if 1 <= value <= 8 else None
    return None


def readable(exif: bytes) -> bool:
    """Return True if the bytes hold a first directory; a block without one breaks the readers of our result."""
    data = body(exif)
    first = _first(data)
    order = _order(data)
    return bool(first) and first + 2 + 12 * struct.unpack_from(f"{order}H", data, first)[0] <= len(data)


def without_orientation(exif: bytes) -> bytes:
    """Return the block's bytes without that entry: some encoders write a block anew, with losses, when they find it."""
    return _with_entries(bytearray(body(exif)), {}, drop=_ORIENTATION)


def with_software(exif: bytes | None, line: str) -> bytes:
    """Return the block's bytes, or a new block's, with a ProcessingSoftware entry; a camera's own Software stays."""
    text = line.encode("ascii", "replace").ljust(4, b"\0") + b"\0"
    return _with_entries(_block(exif), {_PROCESSING_SOFTWARE: (_ASCII, text)})


def with_user_comment(exif: bytes | None, text: str) -> bytes:
    """Return the block's bytes, or a new block's, with a UserComment (EXIF 2.32, 4.6.5) where it has none."""
    data = _block(exif)
    directory = _nested(data, _EXIF_DIRECTORY)
    if any(tag == _USER_COMMENT for _, tag in _entries(data, directory)):
        return bytes(data)
    try:
        value = b"ASCII\0\0\0" + text.encode("ascii")
    except UnicodeEncodeError:
        # Readers of prompts expect big-endian whatever the block's order; so new blocks are big-endian.
        value = b"UNICODE\0" + text.encode("utf-16-be" if _order(data) == ">" else "utf-16-le", "replace")
    return _with_entries(data, {_USER_COMMENT: (_UNDEFINED, value)}, _EXIF_DIRECTORY)


def with_resolution(exif: bytes | None, resolution: tuple[float, float], *, unit: int) -> bytes:
    """Return the block's bytes with pixels per unit across and down: 2 is the inch, 1 none, which tells the aspect."""
    data = _block(exif)
    order = _order(data)
    across, down = (struct.pack(f"{order}II", round(value * 1000), 1000) for value in resolution)
    entries = {_X_RESOLUTION: (_RATIONAL, across), _Y_RESOLUTION: (_RATIONAL, down)}
    return _with_entries(data, {**entries, _RESOLUTION_UNIT: (_SHORT, struct.pack(f"{order}H", unit))})


def resolution(exif: bytes) -> tuple[float, float, int] | None:
    """Return pixels per unit across and down, and the unit (2 inch, 3 cm, 1 none); None where the bytes do not say."""
    data = bytearray(body(exif))
    order, directory = _order(data), _first(data)
    values = []
    for wanted in (_X_RESOLUTION, _Y_RESOLUTION):
        offset = _read(data, directory, wanted) or 0
        if not 8 <= offset <= len(data) - 8:
            return None
        above, below = struct.unpack_from(f"{order}II", data, offset)
        if not above or not below:
            return None
        values.append(above / below)
    units = [at for at, tag in _entries(data, directory) if tag == _RESOLUTION_UNIT]
    return values[0], values[1], int(struct.unpack_from(f"{order}H", data, units[0] + 8)[0]) if units else 2


def with_iptc(exif: bytes | None, iptc: bytes) -> bytes:
    """Return the block's bytes with an IPTC record, as TIFF/EP stores it (tag 0x83BB)."""
    return _with_entries(_block(exif), {_IPTC: (_UNDEFINED, iptc)})


def parted_iptc(exif: bytes) -> tuple[bytes, bytes | None]:
    """Return the block's bytes without an IPTC record of TIFF/EP (tag 0x83BB), and the record's bytes; None without."""
    data = bytearray(body(exif))
    for at, tag in _entries(data, _first(data)):
        if tag == _IPTC:
            kind, count, offset = struct.unpack_from(f"{_order(data)}HII", data, at + 2)
            size = count * _TYPE_BYTES.get(kind, 1)
            record = bytes(data[offset : offset + size]) if size > 4 else bytes(data[at + 8 : at + 8 + size])
            return _with_entries(data, {}, drop=_IPTC), record if record and len(record) == size else None
    return bytes(data), None


def without_location(exif: bytes) -> bytes:
    """Return the block's bytes without the GPS directory: its entry is gone and its bytes are wiped."""
    data = bytearray(body(exif))
    directory = _nested(data, _GPS_DIRECTORY)
    if not directory:
        return bytes(data)
    for at, _ in _entries(data, directory):
        kind, count, offset = struct.unpack_from(f"{_order(data)}HII", data, at + 2)
        size = count * _TYPE_BYTES.get(kind, 1)
        if 4 < size <= len(data) - offset and offset >= 8:
            data[offset : offset + size] = bytes(size)
    end = min(directory + 2 + 12 * _count(data, directory), len(data))
    data[directory:end] = bytes(end - directory)
    return _with_entries(data, {}, drop=_GPS_DIRECTORY)


def _block(exif: bytes | None) -> bytearray:
    return bytearray(body(exif)) if exif and readable(exif) else bytearray(_EMPTY)


def _with_entries(
    data: bytearray, entries: dict[int, tuple[int, bytes]], nested: int | None = None, drop: int | None = None
) -> bytes:
    """Write a directory anew at the end of the block, with these entries; everything else keeps its place.

    :param entries: by tag: the type and the value's bytes.
    :param nested: the entry of the first directory that leads to the one meant; it is made where it is not there.
    """
    order = _order(data)
    directory = _nested(data, nested) if nested else _first(data)
    there = [bytes(data[at : at + 12]) for at, tag in _entries(data, directory) if tag not in entries and tag != drop]
    for tag, (kind, value) in entries.items():
        count = len(value) // _TYPE_BYTES.get(kind, 1)
        if len(value) > 4:
            data += b"\0" * (len(data) % 2)
            place = struct.pack(f"{order}I", len(data))
            data += value
        else:
            place = value.ljust(4, b"\0")
        there.append(struct.pack(f"{order}HHI", tag, kind, count) + place)
    there.sort(key=lambda entry: int(struct.unpack_from(f"{order}H", entry)[0]))
    following = _next(data, directory) if directory else 0
    data += b"\0" * (len(data) % 2)
    at = len(data)
    data += struct.pack(f"{order}H", len(there)) + b"".join(there) + struct.pack(f"{order}I", following)
    if nested:
        return _with_entries(data, {nested: (_LONG, struct.pack(f"{order}I", at))})
    struct.pack_into(f"{order}I", data, 4, at)
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
