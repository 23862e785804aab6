"""Animated PNG: every frame with its exact time, of each but the first the rectangle that changed.

PNG specification (W3C, third edition), section 11.3.6: acTL counts the frames, an fcTL stands before each, and the
pixels of those behind the first are in fdAT chunks, which share one sequence of numbers with the fcTL.
"""

import struct
from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np

from jobs.engine.codecs.png import pixels
from jobs.engine.codecs.png.chunks import SIGNATURE
from jobs.engine.codecs.png.writer import chunk, chunks, header
from jobs.engine.types import Frame, Metadata

#: Left, top, right, bottom in pixels; the last two are outside.
Box = tuple[int, int, int, int]


def write(
    frames: Sequence[Frame], times: Sequence[tuple[int, int]], meta: Metadata, provenance: str | None
) -> Iterator[bytes]:
    """Yield the bytes of a PNG file of several frames (H, W, 1 or 3) of one size: none is ever compressed whole.

    :param times: of the frames, in seconds, each as numerator and denominator.
    """
    first = frames[0]
    height, width = first.color.shape[:2]
    yield SIGNATURE
    yield header(first)
    yield chunk(b"acTL", struct.pack(">II", len(frames), meta.loop or 0))
    yield from chunks(meta, provenance, first.color.shape[2])
    number, before = 0, None
    for frame, time in zip(frames, times, strict=True):
        box = (0, 0, width, height) if before is None else _changed(before, frame)
        yield chunk(b"fcTL", _control(number, time, box))
        number += 1
        for content in pixels.strips(_cut(frame, box), repeats=True):
            if before is None:
                yield chunk(b"IDAT", content)
            else:
                yield chunk(b"fdAT", struct.pack(">I", number) + content)
                number += 1
        before = frame
    yield chunk(b"IEND", b"")


def _control(number: int, time: tuple[int, int], box: Box) -> bytes:
    """Return the content of fcTL. The frame stays (0) and its rectangle takes the place of what was there (0)."""
    left, top, right, bottom = box
    return struct.pack(">IIIIIHHBB", number, right - left, bottom - top, left, top, *time, 0, 0)


def _changed(before: Frame, frame: Frame) -> Box:
    """Return the rectangle in which a frame differs from the one before; a pixel where they are equal."""
    differs = before.color != frame.color  # (H, W, 1 or 3)
    # Bytes of whole rows first: numpy is a hundred times as slow along an axis of three.
    in_row, in_column = differs.reshape(len(differs), -1).any(axis=1), differs.any(axis=0).any(axis=1)
    if before.alpha is not None and frame.alpha is not None:
        masked = before.alpha != frame.alpha  # (H, W)
        in_row, in_column = in_row | masked.any(axis=1), in_column | masked.any(axis=0)
    rows, columns = np.flatnonzero(in_row), np.flatnonzero(in_column)
    if not rows.size:
        return 0, 0, 1, 1
    return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1


def _cut(frame: Frame, box: Box) -> Frame:
    left, top, right, bottom = box
    alpha = None if frame.alpha is None else frame.alpha[top:bottom, left:right]
    return replace(frame, color=frame.color[top:bottom, left:right], alpha=alpha)
