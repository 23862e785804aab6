"""Cut one picture into a pyramid, in a process of its own: ``python -m jobs.storage.pyramid.cut ORDER``, which is JSON.

Decoding 400 megapixels takes gigabytes, and a stranger's file may take more than its header says: here memory, file
size and, by the parent (making.py), time are bounded, and nothing else dies with it. Prints a line of JSON.
"""

import io
import json
import os
import resource
import sys
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from jobs.engine.codec import decode
from jobs.engine.codecs.color.description import equal_profile
from jobs.engine.errors import EngineError
from jobs.engine.types import Limits
from jobs.storage.pyramid.layout import INDEX, TILE_SIDE, levels_of, tile_name

_QUALITY = 92
_NICER = 10
_BAND = 256  # rows

Plane = NDArray[np.uint8]


def cut(source: Path, target: Path, limits: Limits) -> None:
    """Write the archive of the first frame's tiles: 8 bit, JPEG without subsampling, WebP where there is transparency.

    :raises EngineError: the picture cannot be read.
    """
    picture = decode(source, limits, for_viewing=True)
    frame, icc = picture.frames[0], equal_profile(picture.metadata, picture.frames[0].color.shape[2])
    color = _eight(frame.color)
    alpha = None if frame.alpha is None else _eight(frame.alpha[:, :, np.newaxis])
    del picture, frame  # twice as large at 16 bit
    levels = levels_of(color.shape[1], color.shape[0])
    kind = "jpeg" if alpha is None else "webp"
    with zipfile.ZipFile(target, "w", zipfile.ZIP_STORED) as archive:
        index = {"width": levels[0].width, "height": levels[0].height, "format": kind}
        archive.writestr(INDEX, json.dumps(index))
        for number, level in enumerate(levels):
            size = (level.width, level.height)
            color = _resized(color, size)
            alpha = None if alpha is None else _resized(alpha, size)
            for row in range(level.rows):
                for column in range(level.columns):
                    data = _encoded(
                        _part(color, column, row), None if alpha is None else _part(alpha, column, row), kind, icc
                    )
                    archive.writestr(tile_name(number, column, row), data)


def _eight(plane: NDArray[Any]) -> Plane:
    """Return (H, W, C) of 8 or 16 bit as uint8, made band by band: no second copy of 16 bit or more is held."""
    if plane.dtype == np.uint8:
        return plane
    eight = np.empty(plane.shape, np.uint8)
    for top in range(0, len(plane), _BAND):
        eight[top : top + _BAND] = (plane[top : top + _BAND].astype(np.uint32) + 128) // 257
    return eight


def _resized(plane: Plane, size: tuple[int, int]) -> Plane:
    """Return (H, W, C) uint8 at (width, height): averages of 2 by 2 pixels, where it is half."""
    if (plane.shape[1], plane.shape[0]) == size:
        return plane
    smaller = np.asarray(_image(plane).resize(size, Image.Resampling.BOX))
    return smaller[:, :, np.newaxis] if smaller.ndim == 2 else smaller


def _image(plane: Plane) -> Image.Image:
    """Return (H, W, 1 or 3) as Pillow's L or RGB."""
    return Image.fromarray(plane[:, :, 0] if plane.shape[2] == 1 else plane)


def _part(plane: Plane, column: int, row: int) -> Plane:
    """Return the pixels (h, w, C) of one tile."""
    top, left = row * TILE_SIDE, column * TILE_SIDE
    return np.ascontiguousarray(plane[top : top + TILE_SIDE, left : left + TILE_SIDE])


def _encoded(color: Plane, alpha: Plane | None, kind: str, icc: bytes | None) -> bytes:
    """Return the file of one tile."""
    image = _image(color)
    target = io.BytesIO()
    if alpha is None:
        image.save(target, "JPEG", quality=_QUALITY, subsampling=0, icc_profile=icc)
    else:
        image = image.convert("RGB")
        image.putalpha(_image(alpha))
        image.save(target, kind.upper(), quality=_QUALITY, method=2, icc_profile=icc)
    return target.getvalue()


def main(order: dict[str, Any]) -> None:
    """Bound this process and cut; print ``{}``, or ``{"refused": "why"}``."""
    os.nice(_NICER)
    for what, most in ((resource.RLIMIT_AS, order["memory_bytes"]), (resource.RLIMIT_FSIZE, order["file_bytes"])):
        resource.setrlimit(what, (most, most))
    outcome = {}
    try:
        cut(Path(order["source"]), Path(order["target"]), Limits(**order["limits"]))
    except EngineError as error:
        outcome = {"refused": str(error)}
    except MemoryError:
        outcome = {"refused": "there is too little memory to show it"}
    sys.stdout.write(json.dumps(outcome) + "\n")


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
