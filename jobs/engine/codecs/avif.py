"""The bit depth of an AVIF file, which Pillow does not tell: it gives 8 bit of everything."""

import os
from typing import IO

_CONTAINERS = (b"meta", b"moov")
#: Bytes read of a box: descriptions of pictures are small, and a larger box is no header.
_MOST = 1 << 20
_MOST_BOXES = 1000


def depths(file: IO[bytes]) -> frozenset[int]:
    """Return the bit depths, 8, 10 or 12, of all AV1 pictures in the file: picture, alpha, thumbnail, gain map.

    From the codec configurations (AV1-ISOBMFF, 2.3.3): two flags in the third byte after the name ``av1C``. They lie in
    the boxes ``meta`` and ``moov``, which may follow the pixels. The file's position in bytes is restored.
    """
    before = file.tell()
    end = file.seek(0, os.SEEK_END)
    found: set[int] = set()
    at = 0
    for _ in range(_MOST_BOXES):
        file.seek(at)
        head = file.read(16)
        size, name = int.from_bytes(head[:4], "big"), head[4:8]
        if size == 1:  # a 64-bit size follows (ISO/IEC 14496-12, 4.2)
            size = int.from_bytes(head[8:16], "big")
        elif size == 0 and len(head) >= 8:  # to the end of the file
            size = end - at
        if name in _CONTAINERS:
            file.seek(at)
            found |= _in_box(file.read(min(size, _MOST)))
        at += size
        if size < 8 or at >= end:
            break
    file.seek(before)
    return frozenset(found or {8})


def _in_box(box: bytes) -> set[int]:
    found = set()
    at = box.find(b"av1C")
    while 0 <= at < len(box) - 6:
        flags = box[at + 6]
        found.add(12 if flags & 0x60 == 0x60 else 10 if flags & 0x40 else 8)
        at = box.find(b"av1C", at + 4)
    return found
