"""Marker segments of a JPEG file (ITU-T T.81, annex B): what stands before the pixels, and where they end.

Broken files end early here; the decoder of the pixels is who refuses them.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO

from jobs.engine.errors import ImageRejected

SOI = b"\xff\xd8"
COM = 0xFE
APP0, APP1, APP2, APP13 = 0xE0, 0xE1, 0xE2, 0xED
_SOS, _EOI = 0xDA, 0xD9
#: Markers without a length: TEM, RST0 to RST7, SOI.
_ALONE = frozenset([0x01, *range(0xD0, 0xD9)])

#: Bytes that one segment holds, beside its marker and its length.
ROOM = 65_533
#: Bytes read before the pixels: 64 MiB of extended XMP, and as much for the rest.
_MOST = 128 << 20
_MOST_SEGMENTS = 10_000
#: In coded pixels 0xFF is followed by 0 or a restart marker; anything else is the next marker (B.1.1.5).
_NEXT_MARKER = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")


@dataclass(frozen=True)
class Segment:
    """A segment: its marker's second byte, its content without the length, and where that stands in the file."""

    marker: int
    content: bytes
    at: int


def check_count(file: IO[bytes]) -> None:
    """Check, without reading them, that no more segments stand before the pixels than any program writes.

    The file's position in bytes is restored. Each costs its readers, Pillow among them, a hundred times its four bytes.

    :raises ImageRejected: when they are more.
    """
    before = file.tell()
    count, at = 0, 2
    while count <= _MOST_SEGMENTS:
        file.seek(at)
        head = file.read(4)
        if len(head) < 4 or head[0] != 0xFF or head[1] in (_SOS, _EOI):
            break
        count += 1
        alone = head[1] in _ALONE or head[1] == 0xFF
        at += (1 if head[1] == 0xFF else 2) + (0 if alone else int.from_bytes(head[2:], "big"))
    file.seek(before)
    if count > _MOST_SEGMENTS:
        raise ImageRejected(f"the JPEG file has more than {_MOST_SEGMENTS} segments before its pixels")


def before_pixels(file: IO[bytes]) -> list[Segment]:
    """Return the application segments and comments before the first scan; the file's position in bytes is restored.

    Of a file that breaks off, those that are whole.
    """
    before = file.tell()
    try:
        return [one for one in _walk(file) if one.marker == COM or one.marker & 0xF0 == 0xE0]
    finally:
        file.seek(before)


def _walk(file: IO[bytes]) -> Iterator[Segment]:
    file.seek(0)
    if file.read(2) != SOI:
        return
    while file.tell() < _MOST:
        byte = file.read(1)
        if byte != b"\xff":
            if not byte:
                return
            continue  # decoders skip what stands between two segments
        while byte == b"\xff":  # any marker may be preceded by fill bytes (B.1.1.2)
            byte = file.read(1)
        if not byte or byte[0] in (_SOS, _EOI):
            return
        if byte[0] == 0 or byte[0] in _ALONE:
            continue
        size = int.from_bytes(file.read(2), "big")
        at = file.tell()
        content = file.read(max(0, size - 2))
        if size < 2 or len(content) != size - 2:
            return
        yield Segment(byte[0], content, at)


def end_of_image(data: bytes, start: int) -> int | None:
    """Return the offset in bytes behind the end marker of the image that starts there; None where it has no end.

    Segments are skipped by their length: a thumbnail in EXIF has an end marker too.
    """
    if data[start : start + 2] != SOI:
        return None
    at = start + 2
    while found := _NEXT_MARKER.search(data, at):
        marker, at = data[found.end() - 1], found.end()
        if marker == _EOI:
            return at
        if marker not in _ALONE:
            at += max(2, int.from_bytes(data[at : at + 2], "big"))
    return None


def compose(marker: int, content: bytes) -> bytes:
    """Return a segment's bytes.

    :raises ValueError: when the content is longer than `ROOM`.
    """
    if len(content) > ROOM:
        raise ValueError(f"{len(content)} bytes are more than a JPEG segment holds")
    return bytes((0xFF, marker)) + (len(content) + 2).to_bytes(2, "big") + content
