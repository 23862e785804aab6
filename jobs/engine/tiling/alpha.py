"""Alpha: colours under transparent pixels before the network, and exact transparency restored after it."""

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

#: Input pixels around a fully transparent (or opaque) area in which the network may shape the edge. An edge upscaled
#: by a network overshoots by a few pixels; farther away any value but the exact one is noise.
_EDGE = 3


def bleed(color: NDArray[Any], alpha: NDArray[Any]) -> NDArray[Any]:
    """Replace the colours of fully transparent pixels by those of the nearest visible pixel.

    Files hold anything there, mostly black. The network would mix it into the edge: the dark halo that the reference
    shows. Nearest visible colours give the result of premultiplied processing without its rounding.

    :param color: (H, W, C), uint8 or uint16.
    :param alpha: (H, W) of the same dtype.
    :returns: a new (H, W, C) array, or ``color`` itself when nothing is hidden.
    """
    hidden = alpha == 0
    if not hidden.any() or hidden.all():
        return color
    # (H, W): the number of the nearest visible pixel.
    _, labels = cv2.distanceTransformWithLabels(hidden.astype(np.uint8), cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL)
    rows, columns = np.nonzero(~hidden)
    places = np.zeros((int(labels.max()) + 1, 2), np.intp)
    places[labels[rows, columns]] = np.stack((rows, columns), axis=1)  # (visible, 2)
    nearest = places[labels[hidden]]  # (hidden, 2): row and column
    filled = color.copy()
    filled[hidden] = color[nearest[:, 0], nearest[:, 1]]
    return filled


def constant(plane: NDArray[Any]) -> int | None:
    """Return the one value of a plane of any shape, (H, W) for alpha; None when there are several."""
    first = plane.flat[0]
    return int(first) if bool((plane == first).all()) else None


def restore_extremes(alpha: NDArray[Any], source: NDArray[Any]) -> None:
    """Put exact 0 and exact maximum back where the input had them, except within 3 input px of an edge. Works in place.

    :param alpha: (H*s, W*s) upscaled, uint8 or uint16.
    :param source: (H, W) of the same dtype, as it came.
    """
    full = np.iinfo(alpha.dtype).max
    kernel = np.ones((2 * _EDGE + 1, 2 * _EDGE + 1), np.uint8)
    height, width = alpha.shape
    for value in (0, full):
        same = (source == value).astype(np.uint8)
        if not same.any():
            continue
        # The border counts as the same: a transparent area that leaves the picture has no edge there.
        inner = cv2.erode(same, kernel, borderType=cv2.BORDER_CONSTANT, borderValue=1)
        alpha[cv2.resize(inner, (width, height), interpolation=cv2.INTER_NEAREST).astype(bool)] = value
