"""PNG pixels: filtered and deflated strip by strip, the strips on all cores.

PNG specification (W3C, third edition), sections 9 (filtering) and 10 (compression); RFC 1950 and RFC 1951. A strip's
deflate stream ends on a byte, so that the strips' streams laid end to end are one stream.
"""

import struct
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from jobs.engine.codecs import deflate
from jobs.engine.types import Frame

Bytes = NDArray[np.uint8]

#: One row in so many decides which filter a strip gets.
_SAMPLE = 16
_ADLER_BASE = 65521


def strips(frame: Frame, *, repeats: bool = False) -> Iterator[bytes]:
    """Yield the bytes of one frame's IDAT chunks, in order; at most a few strips are held at once.

    The frame is (H, W, 1 or 3), uint8 or uint16. Colour types 0, 2, 4 and 6 by its channels and alpha, 8 or 16 bit by
    its dtype, no interlacing.

    :param repeats: as for `deflate.deflate`.
    """
    height, width = frame.color.shape[:2]
    row_bytes = width * channels(frame) * frame.color.itemsize
    step = max(1, deflate.STRIP_BYTES // (row_bytes + 1))
    check = 1
    yield b"\x78\x01"
    work = [partial(_strip, frame, top, min(top + step, height), repeats=repeats) for top in range(0, height, step)]
    for stream, adler, length in deflate.in_order(work):
        check = combine(check, adler, length)
        yield stream
    yield struct.pack(">I", check)


def channels(frame: Frame) -> int:
    """Return the samples per pixel of a frame (H, W, 1 or 3) with its alpha: 1 to 4."""
    return int(frame.color.shape[2]) + (frame.alpha is not None)


def _strip(frame: Frame, top: int, bottom: int, *, repeats: bool) -> tuple[bytes, int, int]:
    """Compress rows ``top`` to ``bottom``.

    :returns: (deflate stream, Adler-32 of the filtered bytes, their number).
    """
    rows = _bytes(frame, max(0, top - 1), bottom)
    if top == 0:
        rows = np.concatenate((np.zeros_like(rows[:1]), rows))
    pixel = channels(frame) * frame.color.itemsize
    data = _filtered(rows, pixel, _best_filter(rows, pixel))
    stream = deflate.deflate(data.data, raw=True, last=bottom == frame.color.shape[0], repeats=repeats)
    return stream, deflate.deflater.adler32(data.data), data.size


def _bytes(frame: Frame, top: int, bottom: int) -> Bytes:
    """Return rows (bottom - top, row bytes) as the file has them: a pixel's samples side by side, big-endian."""
    part: NDArray[Any] = frame.color[top:bottom]
    if frame.alpha is not None:
        part = np.concatenate((part, frame.alpha[top:bottom, :, np.newaxis]), axis=2)  # (rows, W, 2 or 4)
    if part.dtype == np.uint16:
        part = part.astype(">u2")
    rows: Bytes = np.ascontiguousarray(part).view(np.uint8).reshape(bottom - top, -1)
    return rows


def _sub(row: Bytes, _: Bytes, pixel: int) -> Bytes:
    return row - _shifted(row, pixel)


def _up(row: Bytes, above: Bytes, _: int) -> Bytes:
    return row - above


def _average(row: Bytes, above: Bytes, pixel: int) -> Bytes:
    left = _shifted(row, pixel)
    # The mean rounded down, without a ninth bit.
    return row - ((left & above) + ((left ^ above) >> 1))


#: By the number that the file has for them. The fourth, Paeth, takes a dozen passes here and gains little on top.
_FILTERS: dict[int, Callable[[Bytes, Bytes, int], Bytes]] = {1: _sub, 2: _up, 3: _average}


def _shifted(rows: Bytes, pixel: int) -> Bytes:
    left = np.zeros_like(rows)
    left[:, pixel:] = rows[:, :-pixel]
    return left


def _best_filter(rows: Bytes, pixel: int) -> int:
    """Return the filter whose differences have the smallest sum, on a sample: the rule of PNG's section 12.7."""

    def cost(number: int) -> int:
        found = _FILTERS[number](rows[1::_SAMPLE], rows[:-1:_SAMPLE], pixel)
        return int(np.minimum(found, 0 - found).sum(dtype=np.int64))

    return min(_FILTERS, key=cost)


def _filtered(rows: Bytes, pixel: int, number: int) -> Bytes:
    """Return all rows but the first, which is only looked at, each behind the number of its filter."""
    out = np.empty((rows.shape[0] - 1, 1 + rows.shape[1]), np.uint8)
    out[:, 0] = number
    out[:, 1:] = _FILTERS[number](rows[1:], rows[:-1], pixel)
    return out


def combine(one: int, two: int, length: int) -> int:
    """Return the Adler-32 (RFC 1950) of two pieces end to end, from each one's and the second's length in bytes."""
    low = (one & 0xFFFF) + (two & 0xFFFF) - 1
    high = (one >> 16) + (two >> 16) + length % _ADLER_BASE * ((one & 0xFFFF) - 1)
    return (high % _ADLER_BASE) << 16 | low % _ADLER_BASE
