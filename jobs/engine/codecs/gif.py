"""GIF as browsers show it: frames over a transparent screen, what they leave behind, what they hang over cut off.

Graphics Interchange Format 89a. Pillow decodes each frame's pixels; the composing is ours, since Pillow fills what a
frame leaves with the background colour, which browsers do not show. A first frame larger than the screen widens it.
"""

import io
import os
import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO

import numpy as np
from numpy.typing import NDArray
from PIL import GifImagePlugin

#: Disposal, transparency and milliseconds of a frame without a control extension: browsers show it for 100 ms.
_NO_CONTROL = (0, False, 100)
_EXTENSION, _IMAGE, _TRAILER, _CONTROL = 0x21, 0x2C, 0x3B, 0xF9
_INTRODUCERS = re.compile(b"[!,;]")
_PIECE = 256  # bytes
_TO_BACKGROUND, _TO_PREVIOUS = 2, (3, 4)  # 4 is what some old programs wrote for 3


@dataclass(frozen=True)
class Part:
    """A frame as it stands in the file: its place in px, what happens after it, and its bytes."""

    x: int
    y: int
    width: int
    height: int
    disposal: int
    has_transparency: bool
    duration_ms: int
    begin: int  # of its control extension, or of itself, in bytes of the file
    image: int
    end: int


@dataclass(frozen=True)
class Screen:
    """A GIF's screen in px, its global palette's bytes, and its frames, at most as many as were asked for."""

    width: int
    height: int
    head: bytes
    parts: tuple[Part, ...]
    cut: bool = False  # the file ends in a further frame

    @property
    def stored_pixels(self) -> int:
        """Pixels of all frames as they stand in the file; those beyond the screen have to be decoded, too."""
        return sum(part.width * part.height for part in self.parts)

    @property
    def has_alpha(self) -> bool:
        """True where something of the screen may be seen through."""
        first = self.parts[0]
        whole = first.x == first.y == 0 and first.width >= self.width and first.height >= self.height
        left = any(part.disposal == _TO_BACKGROUND for part in self.parts[:-1])
        return not whole or left or first.has_transparency


def read(file: IO[bytes], most: int) -> Screen:
    """Follow the blocks of a GIF; the position in bytes is restored.

    :param most: frames to read at most; the rest of the file is not looked at.
    :raises EOFError: when it ends before its first frame does.
    """
    before = file.tell()
    size = file.seek(0, os.SEEK_END)
    file.seek(0)
    head = file.read(13)
    if len(head) < 13:
        raise EOFError("the GIF ends in its header")
    width, height, flags = struct.unpack_from("<HHB", head, 6)
    if flags & 0x80:
        head += file.read(3 << ((flags & 7) + 1))
    cut: list[bool] = []
    parts = tuple(_parts(file, size, most, cut))
    file.seek(before)
    if not parts:
        raise EOFError("the GIF has no frame")
    return Screen(
        max(width, parts[0].x + parts[0].width), max(height, parts[0].y + parts[0].height), head, parts, bool(cut)
    )


def composed(file: IO[bytes], screen: Screen) -> Iterator[NDArray[np.uint8]]:
    """Yield the frames as they are shown, each (H, W, 4) RGBA uint8.

    :raises OSError: and what else Pillow raises for a broken frame.
    """
    canvas: NDArray[np.uint8] = np.zeros((screen.height, screen.width, 4), np.uint8)
    for part in screen.parts:
        rows, columns = slice(part.y, part.y + part.height), slice(part.x, part.x + part.width)
        kept = canvas[rows, columns].copy()
        pixels = _pixels(file, screen, part)[: kept.shape[0], : kept.shape[1]]
        there = pixels[:, :, 3] > 0
        canvas[rows, columns][there] = pixels[there]
        yield canvas.copy()
        if part.disposal == _TO_BACKGROUND:
            canvas[rows, columns] = 0
        elif part.disposal in _TO_PREVIOUS:
            canvas[rows, columns] = kept


def _pixels(file: IO[bytes], screen: Screen, part: Part) -> NDArray[np.uint8]:
    """Return one frame alone, (h, w, 4): as the only one of a GIF whose screen is the frame."""
    before = file.tell()
    file.seek(part.begin)
    control = file.read(part.image - part.begin)
    block = bytearray(file.read(part.end - part.image))
    file.seek(before)
    block[1:5] = bytes(4)  # its place
    size = struct.pack("<HH", part.width, part.height)
    alone = screen.head[:6] + size + screen.head[10:] + control + bytes(block) + b";"
    with GifImagePlugin.GifImageFile(io.BytesIO(alone)) as image:
        image.load()
        return np.asarray(image.convert("RGBA"))


def _parts(file: IO[bytes], size: int, most: int, cut: list[bool]) -> Iterator[Part]:
    """Yield the frames; ``cut`` gets an entry where the file ends in a further one."""
    found = 0
    control, begin = _NO_CONTROL, -1
    while found < most:
        introducer = _introducer(file)
        if introducer in (None, _TRAILER):
            return
        at = file.tell() - 1
        if introducer == _EXTENSION:
            label = file.read(1)
            data = file.read(6) if label and label[0] == _CONTROL else b""
            if len(data) == 6:
                flags, delay = struct.unpack_from("<BH", data, 1)
                control, begin = (flags >> 2 & 7, bool(flags & 1), delay * 10), at
                file.seek(at + 2)
            if not _skip(file, size):
                cut.append(True)
                return
        else:
            place = file.read(9)
            if len(place) < 9:
                cut.append(True)
                return
            x, y, width, height, flags = struct.unpack("<4HB", place)
            file.seek((3 << ((flags & 7) + 1) if flags & 0x80 else 0) + 1, os.SEEK_CUR)
            whole = _skip(file, size)
            if not whole and found:
                cut.append(True)
                return
            yield Part(x, y, width, height, *control, at if begin < 0 else begin, at, file.tell())
            found += 1
            control, begin = _NO_CONTROL, -1


def _introducer(file: IO[bytes]) -> int | None:
    """Return the byte with which the next block begins, None at the file's end.

    Anything else is garbage between blocks, which readers pass over: in pieces, since a file may be full of it.
    """
    while piece := file.read(_PIECE):
        found = _INTRODUCERS.search(piece)
        if found:
            file.seek(found.end() - len(piece), os.SEEK_CUR)
            return piece[found.start()]
    return None


def _skip(file: IO[bytes], size: int) -> bool:
    """Pass over sub-blocks to their end; False where the file ends first."""
    while length := file.read(1):
        if not length[0]:
            return True
        if file.seek(length[0], os.SEEK_CUR) > size:
            return False
    return False
