"""The index of several pictures in one JPEG file: CIPA DC-007, Multi-Picture Format."""

import struct
from dataclasses import dataclass

NAME = b"MPF\0"
_NUMBER, _ENTRIES = 0xB001, 0xB002
_ENTRY = 16
_MOST = 32
_PRIMARY = 0x030000  # "Baseline MP Primary Image", stored as JPEG (table 3)
_UNDEFINED = 0
_THUMBNAILS = (0x010001, 0x010002)
#: Where the entries begin, counted from the byte order: header 8, directory 2 + 3 * 12 + 4.
_AT = 50


@dataclass(frozen=True)
class Entry:
    """One picture: where it begins, counted from the start of the file, its length, both in bytes, and its kind."""

    offset: int
    size: int
    kind: int

    @property
    def is_thumbnail(self) -> bool:
        """Return True for the larger thumbnails that cameras add for screens."""
        return self.kind in _THUMBNAILS


def read(content: bytes, at: int) -> tuple[Entry, ...]:
    """Return the pictures that the segment lists after the first one; none where it is broken.

    :param content: the segment's bytes, `NAME` included; ``at`` is where they stand in the file.
    """
    tiff = content[len(NAME) :]
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(tiff[:4])
    if order is None:
        return ()
    try:
        (directory,) = struct.unpack_from(f"{order}I", tiff, 4)
        (count,) = struct.unpack_from(f"{order}H", tiff, directory)
        tags = [struct.unpack_from(f"{order}HHII", tiff, directory + 2 + 12 * index) for index in range(min(count, 20))]
        values = {tag: (number, value) for tag, _, number, value in tags}
        size, start = values[_ENTRIES]
        pictures = [
            struct.unpack_from(f"{order}III", tiff, start + _ENTRY * index)
            for index in range(min(size // _ENTRY, values[_NUMBER][1], _MOST))
        ]
    except (struct.error, KeyError):
        return ()
    # The offset counts from the byte order (5.2.3.3.3); the first picture's is 0.
    return tuple(
        Entry(at + len(NAME) + offset, length, kind & 0xFFFFFF) for kind, length, offset in pictures[1:] if offset
    )


def compose(at: int, primary: int, second: int) -> bytes:
    """Return a segment's content, `NAME` included, for a file of two pictures; its length does not depend on them.

    :param at: where the content will stand in the file; ``primary`` and ``second`` are the pictures' lengths in bytes.
    """
    tags = struct.pack(">HHI4s", 0xB000, 7, 4, b"0100")
    tags += struct.pack(">HHII", _NUMBER, 4, 1, 2)
    tags += struct.pack(">HHII", _ENTRIES, 7, 2 * _ENTRY, _AT)
    entries = struct.pack(">IIIHH", _PRIMARY, primary, 0, 0, 0)
    entries += struct.pack(">IIIHH", _UNDEFINED, second, max(0, primary - at - len(NAME)), 0, 0)
    return NAME + b"MM\0*" + struct.pack(">IH", 8, 3) + tags + bytes(4) + entries
