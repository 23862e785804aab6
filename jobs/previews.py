"""A small rendition of a result, for pages: a 400-megapixel PNG is no thumbnail."""

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np

from jobs.engine.codec import encode
from jobs.engine.types import EncodeOptions, Frame, Metadata, Picture

MAX_SIDE = 1280


def write_preview(picture: Picture, path: Path) -> str:
    """Write the first frame at no more than 1280 px a side, 8 bit, with its colour profile. Returns the format.

    JPEG, which is fast; WebP where there is transparency.
    """
    frame = picture.frames[0]
    scale = min(1.0, MAX_SIDE / max(picture.width, picture.height))
    size = (max(1, round(picture.width * scale)), max(1, round(picture.height * scale)))
    color = _small(frame.color, size)
    alpha = None if frame.alpha is None else _small(frame.alpha[:, :, np.newaxis], size)[:, :, 0]
    small = replace(
        picture,
        frames=(Frame(color, alpha),),
        metadata=Metadata(icc=picture.metadata.icc),
    )
    options = EncodeOptions(format="jpeg" if alpha is None else "webp", quality=82)
    return encode(small, path, options)


def _small(plane: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """(H, W, C) of 8 or 16 bit to (h, w, C) uint8, contiguous."""
    resized = cv2.resize(plane, size, interpolation=cv2.INTER_AREA) if plane.shape[1::-1] != size else plane
    if resized.ndim == 2:
        resized = resized[:, :, np.newaxis]
    if resized.dtype == np.uint16:
        resized = ((resized.astype(np.uint32) + 128) // 257).astype(np.uint8)
    return np.ascontiguousarray(resized)
