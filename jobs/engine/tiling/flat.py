"""Flat areas: where the picture has one colour, the result has that colour and no other.

Networks are a little off on flat colour, each of the s×s pixels that they make of one by another amount: animevideov3
makes a weave of 252 to 255 out of white, and lifts gray by four levels. In a photograph nobody sees it; in drawings,
screens and clipped skies it is a texture that was not there. The correction fades in from the area's edge, so that it
has no edge of its own.
"""

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

#: Input pixels around each pixel that must have its colour: nearer to an edge the network draws, and knows better.
_RADIUS = 3
#: Input pixels over which the correction grows from nothing to all.
_FADE = 8
#: Rows of the result that are corrected at once: the float32 copies stay in the megabytes.
_STRIP = 256


def hold(result: Array, source: Array) -> bool:
    """Bring flat areas of the result back to the source's colour, in place; return False where there are none.

    :param result: (H*s, W*s, C), uint8 or uint16.
    :param source: (H, W, C) of the same dtype.
    """
    weight = _weight(source)
    if weight is None:
        return False
    height, width = result.shape[:2]
    ratio = source.shape[0] / height
    for top in range(0, height, _STRIP):
        bottom = min(top + _STRIP, height)
        # Rows of the source around the strip, so that interpolation at its borders sees what it would see in the whole.
        first = max(0, int(top * ratio) - 2)
        last = min(source.shape[0], int(np.ceil(bottom * ratio)) + 2)
        if not weight[first:last].any():
            continue
        share = _sampled(weight[first:last], (width, bottom - top), top * ratio - first, ratio)[:, :, np.newaxis]
        strip = result[top:bottom]
        for channel in range(result.shape[2]):
            plane = source[first:last, :, channel].astype(np.float32)
            color = _sampled(plane, (width, bottom - top), top * ratio - first, ratio)
            old = strip[:, :, channel].astype(np.float32)
            strip[:, :, channel] = np.rint(old + (color - old) * share[:, :, 0])
    return True


def _weight(source: Array) -> NDArray[np.float32] | None:
    """Return (H, W) float32, 0 to 1: how much of the correction each pixel gets. None where no pixel gets any."""
    kernel = np.ones((2 * _RADIUS + 1, 2 * _RADIUS + 1), np.uint8)
    flat = np.ones(source.shape[:2], bool)
    for channel in range(source.shape[2]):
        plane = np.ascontiguousarray(source[:, :, channel])
        flat &= cv2.dilate(plane, kernel) == cv2.erode(plane, kernel)  # what is beyond the border is not looked at
        if not flat.any():
            return None
    # The border is no edge: an area that leaves the picture goes on.
    padded = np.pad(flat.astype(np.uint8), _FADE + 1, mode="edge")
    distance = cv2.distanceTransform(padded, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    inner = distance[_FADE + 1 : -_FADE - 1, _FADE + 1 : -_FADE - 1]
    return np.ascontiguousarray(np.minimum(inner / _FADE, 1), dtype=np.float32)


def _sampled(plane: NDArray[np.float32], size: tuple[int, int], top: float, ratio: float) -> NDArray[np.float32]:
    """Return rows of a plane enlarged by linear interpolation: (rows, width) float32 of ``size`` (width, rows).

    :param top: where the first row begins in the plane, in its pixels; ``ratio`` of its pixels to one of the result.
    """
    width, rows = size
    across = (np.arange(width, dtype=np.float32) + 0.5) * (plane.shape[1] / width) - 0.5
    down = (np.arange(rows, dtype=np.float32) + 0.5) * ratio + top - 0.5
    grid_x, grid_y = np.meshgrid(across, down.astype(np.float32))
    sampled: NDArray[np.float32] = cv2.remap(plane, grid_x, grid_y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return sampled
