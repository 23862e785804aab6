"""TIFF directories, read as bytes: which of them are pages, and whether the file is a camera's raw one.

TIFF 6.0, sections 2 and 8; TIFF Technical Note 1 (SubIFDs); BigTIFF (version 43: 8-byte offsets); TIFF/EP and DNG 1.7
for raw files. Pillow takes every directory of the chain for a page: smaller copies and masks, too.
"""

import os
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO

_SUBFILE, _OLD_SUBFILE, _COMPRESSION, _PHOTOMETRIC, _SUB_DIRECTORIES, _DNG_VERSION = 254, 255, 259, 262, 330, 50706
_WIDTH, _HEIGHT, _BITS, _ORIENTATION = 256, 257, 258, 274
_TAGS = (
    _SUBFILE, _OLD_SUBFILE, _WIDTH, _HEIGHT, _BITS, _COMPRESSION, _PHOTOMETRIC, _ORIENTATION, _SUB_DIRECTORIES,
    _DNG_VERSION,
)  # fmt: skip
_TURNED = (5, 6, 7, 8)
#: Bits of NewSubfileType: a smaller copy of another page, a transparency mask.
_REDUCED, _MASK = 1, 4
_OLD_REDUCED = 2
_MASK_PHOTOMETRIC = 4
#: Colour filter array and linear raw: what the sensor saw, not yet a picture.
_RAW_PHOTOMETRICS = (32803, 34892)
_MOST_DIRECTORIES = 10_000
_MOST_ENTRIES = 4096
_TYPE_BYTES = {1: 1, 3: 2, 4: 4, 13: 4, 16: 8, 18: 8}
_TYPE_LETTERS = {1: "B", 3: "H", 4: "I", 13: "I", 16: "Q", 18: "Q"}


@dataclass(frozen=True)
class Page:
    """A directory that is a picture by itself: its number in the chain, from 0, and its size in px as shown."""

    number: int
    size: tuple[int, int]
    bits: int  # of its widest sample


@dataclass(frozen=True)
class Directories:
    """A file's directories: its pages, and what their pixels are."""

    pages: tuple[Page, ...]
    is_raw: bool
    compression: int  # of the first page; 1 is none
    is_cut: bool = False  # the last one names a next one, which lies behind the file's end


@dataclass
class _Room:
    """The bytes that directories can still have: a file's size in all, unless they overlap.

    10,000 that did, in 170 kB, kept a processor busy for 18 s.
    """

    left: int

    def take(self, length: int) -> bool:
        """Return True if there is room for that many bytes, which are then taken."""
        self.left -= length
        return self.left >= 0


def read(file: IO[bytes]) -> Directories:
    """Return which directories are pages, of a file whose bytes begin as a TIFF's. The position is restored."""
    before = file.tell()
    size = file.seek(0, os.SEEK_END)
    pages: list[Page] = []
    raw, compression = False, 1
    first: Page | None = None
    room = _Room(size)
    cut: list[bool] = []
    for number, tags in enumerate(_chain(file, size, room, cut)):
        first = first or _page(number, tags)
        raw = (
            raw
            or _is_raw(tags)
            or any(_is_raw(_directory(file, size, at, room)[0]) for at in tags.get(_SUB_DIRECTORIES, ())[:8])
        )
        kind = tags.get(_SUBFILE, (0,))[0]
        copy = kind & (_REDUCED | _MASK) or tags.get(_OLD_SUBFILE, (0,))[0] == _OLD_REDUCED
        if not copy and tags.get(_PHOTOMETRIC, (1,))[0] != _MASK_PHOTOMETRIC:
            pages.append(_page(number, tags))
        if number == 0 or [page.number for page in pages] == [number]:
            compression = tags.get(_COMPRESSION, (1,))[0]
    file.seek(before)
    return Directories(tuple(pages) or (first or Page(0, (0, 0), 1),), raw, compression, bool(cut))


def _page(number: int, tags: dict[int, tuple[int, ...]]) -> Page:
    width, height = tags.get(_WIDTH, (0,))[0], tags.get(_HEIGHT, (0,))[0]
    turned = tags.get(_ORIENTATION, (1,))[0] in _TURNED
    return Page(number, (height, width) if turned else (width, height), max(tags.get(_BITS, (1,))))


def _is_raw(tags: dict[int, tuple[int, ...]]) -> bool:
    return _DNG_VERSION in tags or tags.get(_PHOTOMETRIC, (1,))[0] in _RAW_PHOTOMETRICS


def _chain(file: IO[bytes], size: int, room: _Room, cut: list[bool]) -> Iterator[dict[int, tuple[int, ...]]]:
    """Yield the entries of each directory of the chain; it ends with the file or the room, at a loop, or at 10,000.

    ``cut`` gets an entry where a further directory is not there, or is empty.
    """
    order, big = _form(file)
    at = _number(file, 8 if big else 4, order, 8 if big else 4)
    seen: set[int] = set()
    while at and at not in seen and len(seen) < _MOST_DIRECTORIES:
        seen.add(at)
        tags, following = _directory(file, size, at, room) if at < size else ({}, 0)
        if not tags and len(seen) > 1:  # the file ends before it does
            cut.append(True)
            return
        yield tags
        at = following


def _form(file: IO[bytes]) -> tuple[str, bool]:
    """Return the byte order, "<" or ">", and whether offsets have 8 bytes."""
    file.seek(0)
    head = file.read(4)
    order = ">" if head[:2] == b"MM" else "<"
    return order, struct.unpack(f"{order}H", head[2:4].ljust(2, b"\0"))[0] == 43


def _number(file: IO[bytes], at: int, order: str, size: int) -> int:
    """Return the number of ``size`` bytes at a place; 0 beyond the file's end."""
    file.seek(at)
    data = file.read(size)
    return int.from_bytes(data, "big" if order == ">" else "little") if len(data) == size else 0


def _directory(file: IO[bytes], size: int, at: int, room: _Room) -> tuple[dict[int, tuple[int, ...]], int]:
    """Return the entries that matter here, by tag, and the offset of the next directory, 0 for none."""
    order, big = _form(file)
    head, entry, offset = (8, 20, 8) if big else (2, 12, 4)
    if not 8 <= at < size:
        return {}, 0
    count = _number(file, at, order, head)
    if count > _MOST_ENTRIES or not room.take(count * entry):
        return {}, 0
    file.seek(at + head)
    data = file.read(count * entry)
    if len(data) < count * entry:
        return {}, 0
    tags = {}
    for place in range(0, len(data) - entry + 1, entry):
        tag, kind = struct.unpack_from(f"{order}HH", data, place)
        if tag in _TAGS and kind in _TYPE_BYTES:
            (number,) = struct.unpack_from(f"{order}{'Q' if big else 'I'}", data, place + 4)
            values = _values(file, data[place + entry - offset : place + entry], order, kind, min(number, 64))
            if values:
                tags[tag] = values
    return tags, _number(file, at + head + count * entry, order, offset)


def _values(file: IO[bytes], field: bytes, order: str, kind: int, count: int) -> tuple[int, ...]:
    length = count * _TYPE_BYTES[kind]
    if length > len(field):
        place = int(struct.unpack(f"{order}{'Q' if len(field) == 8 else 'I'}", field)[0])
        if place >= 1 << 63:  # no file reaches there, and seeking raises what nobody expects
            return ()
        file.seek(place)
        field = file.read(length)
    if len(field) < length:
        return ()
    return struct.unpack(f"{order}{count}{_TYPE_LETTERS[kind]}", field[:length])
