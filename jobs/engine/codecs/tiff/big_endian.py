"""Big-endian BigTIFF, which Pillow does not open: its directories written anew, as a classic TIFF has them.

BigTIFF (Aware Systems, 2004): version 43, counts and offsets of 8 bytes, types LONG8, SLONG8 and IFD8. The pixels stay
where they are.
"""

import struct
from dataclasses import dataclass, field
from typing import IO

from jobs.engine.errors import FormatUnsupported

_SIGNATURE = b"MM\0+"
_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8, 17: 8, 18: 8}
_LONG, _SHORT_OF = 4, {16: 4, 17: 9, 18: 13}  # LONG8, SLONG8 and IFD8 as LONG, SLONG and IFD
_SIGNED_LONG8 = 17
#: SubIFDs, EXIF, GPS, interoperability: entries that name directories.
_NESTED = (330, 34665, 34853, 40965)
_MOST_ENTRIES = 4096
_MOST_DIRECTORIES = 10_000
_END = 1 << 32  # where classic offsets end


def is_big_endian_big_tiff(file: IO[bytes]) -> bool:
    """Return True if the first four bytes are those of one; the position is restored."""
    before = file.tell()
    file.seek(0)
    head = file.read(4)
    file.seek(before)
    return head == _SIGNATURE


def as_classic(file: IO[bytes]) -> bytes:
    """Return the file's bytes with a classic header and classic directories behind the old ones.

    :raises FormatUnsupported: beyond 4 GB, where classic offsets end.
    :raises SyntaxError: when an entry makes no sense.
    """
    file.seek(0)
    writer = _Writer(bytearray(file.read()))
    first = writer.chain(int.from_bytes(writer.data[8:16], "big"))
    writer.data[:8] = b"MM\0*" + struct.pack(">I", first)
    return bytes(writer.data)


@dataclass
class _Writer:
    """The bytes, longer with each directory. What directories and their values can have is a file's size in all."""

    data: bytearray
    seen: set[int] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.size = len(self.data)
        self.left = self.size

    def chain(self, at: int) -> int:
        """Write the directories from that offset on; return where the first of them is now, 0 for none."""
        first = pointer = 0
        while at and at not in self.seen and len(self.seen) < _MOST_DIRECTORIES:
            place, end, at = self._directory(at)
            if pointer:
                struct.pack_into(">I", self.data, pointer, place)
            first, pointer = first or place, end
        return first

    def _directory(self, at: int) -> tuple[int, int, int]:
        """Write one; return where it is, where its pointer to the next is, and the offset of the next in the file."""
        self.seen.add(at)
        if not 16 <= at <= self.size - 8:
            raise SyntaxError("a directory beyond the file's end")
        count = int.from_bytes(self.data[at : at + 8], "big")
        end = at + 8 + 20 * count
        if count > _MOST_ENTRIES or end + 8 > self.size:
            raise SyntaxError(f"a directory of {count} entries")
        entries = []
        for place in range(at + 8, end, 20):
            tag, kind, number = struct.unpack_from(">HHQ", self.data, place)
            if kind in _SIZES:
                entries.append(self._entry(tag, kind, number, place + 12))
        here = self._append(struct.pack(">H", len(entries)) + b"".join(entries) + bytes(4))
        return here, here + 2 + 12 * len(entries), int.from_bytes(self.data[end : end + 8], "big")

    def _entry(self, tag: int, kind: int, number: int, field_at: int) -> bytes:
        """Return an entry's twelve bytes; its value goes behind the data where it does not fit or changes."""
        length = _SIZES[kind] * number
        at = field_at if length <= 8 else int.from_bytes(self.data[field_at : field_at + 8], "big")
        if at + length > self.size:
            raise SyntaxError(f"tag {tag} lies beyond the file's end")
        self.left -= length
        if self.left < 0:
            raise SyntaxError("directories that overlap")
        value = bytes(self.data[at : at + length])
        if kind in _SHORT_OF:
            signed = kind == _SIGNED_LONG8
            values = struct.unpack(f">{number}{'q' if signed else 'Q'}", value)
            if any(not -(_END >> 1) <= one < (_END >> 1 if signed else _END) for one in values):
                raise FormatUnsupported("the BigTIFF is larger than 4 GB; in little-endian order such are read")
            value = struct.pack(f">{number}{'i' if signed else 'I'}", *values)
            kind = _SHORT_OF[kind]
        if tag in _NESTED and kind in (_LONG, 13):
            values = struct.unpack(f">{number}I", value)
            value = struct.pack(f">{number}I", *(self.chain(one) for one in values))
        if len(value) > 4:
            value = struct.pack(">I", self._append(value))
        return struct.pack(">HHI", tag, kind, number) + value.ljust(4, b"\0")

    def _append(self, content: bytes) -> int:
        """Put bytes behind the data, at an even place; return where."""
        self.data += bytes(len(self.data) % 2)
        at = len(self.data)
        if at + len(content) >= _END:
            raise FormatUnsupported("the BigTIFF is larger than 4 GB; in little-endian order such are read")
        self.data += content
        return at
