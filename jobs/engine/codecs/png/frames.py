"""Frames of an animated PNG as browsers show them.

PNG specification (W3C, third edition), section 11.3.6. Pillow decodes the pixels of each rectangle, OpenCV those of 16
bit; the composing is ours: where a half transparent frame lies over what is transparent, Pillow halves it again, and
what a frame disposed of comes back.
"""

import io
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from jobs.engine.codecs.png.chunks import SIGNATURE, PngFile
from jobs.engine.codecs.png.writer import chunk
from jobs.engine.errors import ImageRejected

_BACKGROUND, _PREVIOUS = 1, 2
_OVER = 1


@dataclass
class Part:
    """A frame as it stands in the file; offsets and sides in px, ``duration_ms`` as exact as the file says it."""

    x: int
    y: int
    width: int
    height: int
    duration_ms: float
    disposal: int
    blend: int
    data: list[bytes] = field(default_factory=list)


def composed(file: IO[bytes], count: int, *, for_viewing: bool = False) -> Iterator[tuple[NDArray[Any], float]]:
    """Yield the first ``count`` frames as shown, (H, W, 4) RGBA of their own, each with its time in ms.

    They are uint16 where the file has 16 bit per channel, else uint8.

    :param for_viewing: uint8 in any case, and OpenCV is not needed.

    :raises ImageRejected: for a file that is damaged.
    """
    header, palette, parts = _parts(file, count)
    width, height = struct.unpack(">II", header[:8])
    deep = header[8] == 16 and not for_viewing
    canvas: NDArray[Any] = np.zeros((height, width, 4), np.uint16 if deep else np.uint8)
    for number, part in enumerate(parts):
        if part.x + part.width > width or part.y + part.height > height:
            raise ImageRejected("the PNG file is broken: a frame of its animation hangs over the picture")
        place = canvas[part.y : part.y + part.height, part.x : part.x + part.width]
        before = place.copy()
        pixels = _pixels(header, palette, part, deep=deep)
        place[:] = _over(pixels, before) if part.blend == _OVER else pixels
        yield canvas.copy(), part.duration_ms
        if part.disposal == _BACKGROUND or (part.disposal == _PREVIOUS and number == 0):
            place[:] = 0
        elif part.disposal == _PREVIOUS:
            place[:] = before


def _over(above: NDArray[Any], below: NDArray[Any]) -> NDArray[Any]:
    """Lay one (H, W, 4) rectangle, uint8 or uint16, over another, neither premultiplied."""
    full = np.iinfo(above.dtype).max
    top, bottom = above[:, :, 3:].astype(np.float32) / full, below[:, :, 3:].astype(np.float32) / full
    alpha = top + bottom * (1 - top)
    color = above[:, :, :3] * top + below[:, :, :3] * (bottom * (1 - top))
    mixed = np.divide(color, alpha, out=np.zeros_like(color), where=alpha > 0)
    both: NDArray[Any] = np.rint(np.concatenate((mixed, alpha * full), axis=2)).astype(above.dtype)
    return both


def _pixels(header: bytes, palette: bytes, part: Part, *, deep: bool) -> NDArray[Any]:
    """Decode a frame's rectangle, a still picture of the file's kind, as (H, W, 4) RGBA, uint16 if ``deep``."""
    size = struct.pack(">II", part.width, part.height)
    still = SIGNATURE + chunk(b"IHDR", size + header[8:]) + palette
    still += b"".join(chunk(b"IDAT", data) for data in part.data) + chunk(b"IEND", b"")
    image = PngFile(io.BytesIO(still))
    if deep:
        return _deep(still, image.info.get("transparency"))
    image.load()
    return _gray(image) if image.mode.startswith("I") else np.asarray(image.convert("RGBA"))


def _gray(image: PngFile) -> NDArray[Any]:
    """Return 16-bit gray as (H, W, 4) RGBA uint8: Pillow's own conversion clips it."""
    values, key = np.asarray(image), image.info.get("transparency")
    alpha = np.where(values == key, 0, 255).astype(np.uint8) if isinstance(key, int) else None
    gray = (values >> 8).astype(np.uint8)
    return np.dstack((gray, gray, gray, np.full_like(gray, 255) if alpha is None else alpha))


def _deep(still: bytes, key: object) -> NDArray[Any]:
    """Decode a PNG file of 16 bit per channel to (H, W, 4) RGBA uint16.

    :param key: the number of a gray that is transparent, which OpenCV heeds in colour files only.
    """
    import cv2  # noqa: PLC0415 - a native library that the web process's image does not have

    found: NDArray[Any] | None = cv2.imdecode(np.frombuffer(still, np.uint8), cv2.IMREAD_UNCHANGED)
    if found is None or found.dtype != np.uint16:
        raise ImageRejected("the PNG file is broken or truncated")
    if found.ndim == 3:
        colored: NDArray[Any] = cv2.cvtColor(found, cv2.COLOR_BGRA2RGBA if found.shape[2] == 4 else cv2.COLOR_BGR2RGBA)
        return colored
    alpha = np.where(found == key, 0, 65535).astype(np.uint16) if isinstance(key, int) else np.full_like(found, 65535)
    return np.dstack((found, found, found, alpha))


def _parts(file: IO[bytes], count: int) -> tuple[bytes, bytes, list[Part]]:
    """Return the header's content, the chunks of palette and transparency, and the frames with their packed pixels."""
    header, palette, parts = b"", b"", list[Part]()
    before = file.tell()
    file.seek(len(SIGNATURE))
    while len(head := file.read(8)) == 8:
        length, name = struct.unpack(">I4s", head)
        if name not in (b"IHDR", b"PLTE", b"tRNS", b"fcTL", b"IDAT", b"fdAT", b"IEND"):
            file.seek(length + 4, io.SEEK_CUR)
            continue
        data = file.read(length + 4)
        content = data[:-4]
        if len(content) != length or zlib.crc32(name + content) != int.from_bytes(data[-4:], "big"):
            raise ImageRejected("the PNG file is broken or truncated")
        if name == b"IHDR":
            header = content
        elif name in (b"PLTE", b"tRNS"):
            palette += chunk(name, content)
        elif name == b"fcTL":
            if len(parts) == count:
                break
            parts.append(_part(content))
        elif name == b"IDAT" and parts:  # without a frame before it, it is the still behind the animation
            parts[-1].data.append(content)
        elif name == b"fdAT" and parts:
            parts[-1].data.append(content[4:])
        elif name == b"IEND":
            break
    file.seek(before)
    if len(header) != 13 or len(parts) != count:
        raise ImageRejected("the PNG file is broken: its animation has fewer frames than it says")
    return header, palette, parts


def _part(content: bytes) -> Part:
    if len(content) != 26:
        raise ImageRejected("the PNG file is broken or truncated")
    _, width, height, x, y, above, below, disposal, blend = struct.unpack(">5I2H2B", content)
    return Part(x, y, width, height, 1000 * above / (below or 100), disposal, blend)
