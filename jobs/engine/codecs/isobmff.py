"""Boxes of AVIF and HEIC files: colour and light of the primary picture; decoders do not tell, encoders do not write.

ISO/IEC 14496-12 (boxes), 23008-12 (HEIF: items and their properties), 23000-22 (MIAF). Every read is bounded.
"""

import io
import os
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO

from jobs.engine.types import Cicp, LightLevel, MasteringDisplay

#: Bytes read of one top box: descriptions of pictures are small, and what is larger is no header.
_MOST = 16 << 20
_MOST_BOXES = 10_000
#: Boxes that hold boxes, and the bytes before those.
_CONTAINERS = {
    b"meta": 4, b"iinf": 6, b"iprp": 0, b"ipco": 0,
    b"moov": 0, b"trak": 0, b"mdia": 0, b"minf": 0, b"stbl": 0, b"stsd": 8, b"av01": 78, b"hvc1": 78, b"hev1": 78,
}  # fmt: skip


@dataclass(frozen=True)
class ColorBox:
    """A colr box with code points. ``at`` is where they stand in the file, in bytes."""

    cicp: Cicp
    matrix: int
    full_range: bool
    at: int


@dataclass(frozen=True)
class Box:
    """A box inside a top box: its name, its content, and where the content begins in the file, in bytes."""

    name: bytes
    content: bytes
    at: int


@dataclass(frozen=True)
class Description:
    """The description of the primary picture; None where the file does not say."""

    color: ColorBox | None = None
    has_profile: bool = False
    light: LightLevel | None = None
    mastering: MasteringDisplay | None = None


def describe(file: IO[bytes]) -> Description:
    """Return what the bytes say of the primary item's colour and light, or the first track's where there is none.

    Several properties of one kind belong to thumbnails, alpha and gain maps: those of the primary item count
    (23008-12, 6.5), and any of the file where that has none, as the tiles of a grid. The position is restored.
    """
    boxes = list(_headers(file))
    properties = [box for box in boxes if box.name in (b"colr", b"clli", b"mdcv")]
    mine = _of_primary(boxes)
    color = next((found for box in [*mine, *properties] if (found := _nclx(box))), None)
    profile = any(box.content[:4] in (b"prof", b"rICC") for box in (mine or properties) if box.name == b"colr")
    light = next((box.content for box in [*mine, *properties] if box.name == b"clli" and len(box.content) >= 4), None)
    screen = next((box.content for box in [*mine, *properties] if box.name == b"mdcv" and len(box.content) >= 24), None)
    return Description(color, profile, _light(light), _mastering(screen))


def color_boxes(file: IO[bytes]) -> list[ColorBox]:
    """Return all code points of the file, of every item and track. The position in bytes is restored."""
    return [found for box in _headers(file) if (found := _nclx(box))]


def write_code_points(file: IO[bytes], cicp: Cicp) -> bool:
    """Write primaries and transfer function into every colr box of a file of our own; False where there is none.

    The matrix stays: it says how the pixels were coded. Inside the AV1 data stand the encoder's values, and these are
    overruled by the box (MIAF, 7.3.6.4).
    """
    found = color_boxes(file)
    for box in found:
        file.seek(box.at)
        file.write(struct.pack(">HH", cicp.primaries, cicp.transfer))
    return bool(found)


def frame_times(file: IO[bytes], most: int) -> tuple[float, ...]:
    """Return the milliseconds of the first ``most`` frames of the first track of pictures, from the bytes of its boxes.

    In parts of a second that mdhd names, stts counts how long each frame is shown (14496-12, 8.4.2 and 8.6.1.2). Empty
    where the file does not say. The position is restored.
    """
    scale, pictures = 0, False
    for box in list(_headers(file)):  # to the end, where the position is restored
        if box.name == b"mdhd":
            at = 20 if box.content[:1] == b"\1" else 12
            scale = int.from_bytes(box.content[at : at + 4], "big")
        elif box.name == b"hdlr":
            pictures = box.content[8:12] == b"pict"
        elif box.name == b"stts" and pictures and scale:
            return _times(box.content, scale, most)
    return ()


def _times(content: bytes, scale: int, most: int) -> tuple[float, ...]:
    """Return milliseconds from the content of stts: a count of entries, then of each how many frames last how long."""
    times: list[float] = []
    for at in range(8, len(content) - 7, 8):
        count, length = struct.unpack_from(">II", content, at)
        times += [1000 * length / scale] * min(count, most - len(times))
        if len(times) == most:
            break
    return tuple(times)


def without_metadata(data: bytes) -> bytes:
    """Return the bytes of a file whose EXIF and XMP no reader looks for: their items have types that nobody knows.

    OpenCV refuses a file whose metadata stands behind the pixels (opencv#26011). Nothing moves.
    """
    changed = bytearray(data)
    for box in _headers(io.BytesIO(data)):
        if box.name == b"infe" and box.content[:1] in (b"\2", b"\3"):  # 23008-12, 6.4.2: version, flags, id, protection
            at = 8 if box.content[0] == 2 else 10
            if box.content[at : at + 4] in (b"Exif", b"mime"):
                changed[box.at + at : box.at + at + 4] = b"none"
    return bytes(changed)


def _nclx(box: Box) -> ColorBox | None:
    if box.name != b"colr" or box.content[:4] != b"nclx" or len(box.content) < 11:
        return None
    primaries, transfer, matrix, flags = struct.unpack_from(">HHHB", box.content, 4)
    return ColorBox(Cicp(primaries, transfer), matrix, bool(flags & 0x80), box.at + 4)


def _light(data: bytes | None) -> LightLevel | None:
    return LightLevel(*struct.unpack_from(">HH", data)) if data else None


def _mastering(data: bytes | None) -> MasteringDisplay | None:
    """Read SMPTE ST 2086: green, blue, red, white (23008-2, D.3.28), and luminance in 0.0001 cd/m²."""
    if not data:
        return None
    values = struct.unpack_from(">8H2I", data)
    return MasteringDisplay((*values[4:6], *values[0:4], *values[6:8]), values[8] / 10_000, values[9] / 10_000)


def _of_primary(boxes: list[Box]) -> list[Box]:
    """Return the properties of the primary item, by the boxes pitm and ipma (14496-12, 8.11.4; 23008-12, 9.3)."""
    primary = next((box.content for box in boxes if box.name == b"pitm"), b"")
    links = next((box.content for box in boxes if box.name == b"ipma"), b"")
    if len(primary) < 6 or len(links) < 8:
        return []
    wanted = int.from_bytes(primary[4:8] if primary[0] else primary[4:6], "big")
    every = [box for box in boxes if box.name == b"ipco"]
    properties = list(_inside(every[0])) if every else []
    version, wide = links[0], links[3] & 1
    at = 8
    try:
        for _ in range(min(int.from_bytes(links[4:8], "big"), _MOST_BOXES)):
            item = int.from_bytes(links[at : at + (4 if version else 2)], "big")
            at += 4 if version else 2
            count = links[at]
            at += 1
            size = 2 if wide else 1
            numbers = [int.from_bytes(links[at + i * size : at + (i + 1) * size], "big") for i in range(count)]
            at += count * size
            if item == wanted:
                found = [number & (0x7FFF if wide else 0x7F) for number in numbers]
                return [properties[number - 1] for number in found if 0 < number <= len(properties)]
    except IndexError:
        pass
    return []


def _headers(file: IO[bytes]) -> Iterator[Box]:
    """Yield all boxes of the file's headers, containers before what they hold."""
    before = file.tell()
    end = file.seek(0, os.SEEK_END)
    at = 0
    for _ in range(_MOST_BOXES):
        file.seek(at)
        head = file.read(16)
        if len(head) < 8:
            break
        size, name, begin = int.from_bytes(head[:4], "big"), head[4:8], 8
        if size == 1:  # a 64-bit size follows (14496-12, 4.2)
            size, begin = int.from_bytes(head[8:16], "big"), 16
        elif size == 0:  # to the end of the file
            size = end - at
        if name in (b"meta", b"moov"):
            file.seek(at + begin)
            box = Box(name, file.read(min(size - begin, _MOST)), at + begin)
            yield box
            yield from _all_inside(box, 0)
        if size < 8:
            break
        at += size
    file.seek(before)


def _all_inside(box: Box, depth: int) -> Iterator[Box]:
    if box.name not in _CONTAINERS or depth > 10:
        return
    for child in _inside(box):
        yield child
        yield from _all_inside(child, depth + 1)


def _inside(box: Box) -> Iterator[Box]:
    at = _CONTAINERS[box.name]
    if box.name == b"iinf" and box.content[:1] != b"\0":
        at = 8  # the count of items is wider from version 1 on
    for _ in range(_MOST_BOXES):
        head = box.content[at : at + 8]
        size = int.from_bytes(head[:4], "big")
        if len(head) < 8 or size < 8:
            return
        yield Box(head[4:8], box.content[at + 8 : at + size], box.at + at + 8)
        at += size
