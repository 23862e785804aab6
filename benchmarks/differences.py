"""Reasons for which our pixels differ from those of Pillow or OpenCV, found by trying each reason on the numbers.

All are compared as stored, RGBA of 8 bit (H, W, 4), no profile applied: a reason counts only if it makes the other's
numbers ours, within `_ROUNDING`.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pillow_heif
from numpy.typing import NDArray
from PIL import Image, ImageFile

from jobs.engine.codecs.color.pixels import turn
from jobs.engine.types import Frame

pillow_heif.register_heif_opener()

Array = NDArray[Any]

EQUAL = "equal"
UNEXPLAINED = "unexplained"
#: Numbers of 0 to 255 that two ways of rounding may lie apart.
_ROUNDING = 2
#: Mean and largest difference of two decoders of one lossy file: chroma is brought to full size in different ways.
_LOSSY_MEAN, _LOSSY_MOST = 3.0, 110.0


@dataclass(frozen=True)
class View:
    """A picture as another library sees it: RGBA (H, W, 4) uint8, or why it does not read it."""

    pixels: Array | None
    mode: str  # Pillow's mode, or the dtype and channels that OpenCV gave
    frames: int = 1
    error: str = ""
    deep: Array | None = None  # RGBA (H, W, 4) uint16 as it gave them, where these were of 16 bit


def ours(frame: Frame) -> Array:
    """Return our frame as RGBA (H, W, 4) uint8."""
    color: Array = frame.color
    alpha = np.full(color.shape[:2], np.iinfo(color.dtype).max, color.dtype) if frame.alpha is None else frame.alpha
    if color.shape[2] == 1:
        color = np.repeat(color, 3, axis=2)
    return _eight(np.concatenate((color, alpha[:, :, np.newaxis]), axis=2))


def by_pillow(path: Path) -> View:
    """Return what Pillow makes of a file's first frame."""
    ImageFile.LOAD_TRUNCATED_IMAGES = False
    mode, deep = "none", None
    try:
        with Image.open(path) as image:
            mode = image.mode
            frames = int(getattr(image, "n_frames", 1))
            image.load()
            if mode.startswith("I;16"):
                deep = _from_gray(np.asarray(image).astype(np.uint16))
                pixels = _eight(deep)
            elif mode in ("I", "F"):
                values = np.asarray(image).astype(np.float64)
                pixels = _from_gray(
                    np.clip(np.rint(values / (257 if mode == "I" else 1 / 255)), 0, 255).astype(np.uint8)
                )
            else:
                direct = mode in ("L", "LA", "RGB", "RGBA", "P", "PA", "1", "La", "RGBa")
                pixels = np.asarray((image if direct else image.convert("RGB")).convert("RGBA"))
            return View(pixels, mode, frames, deep=deep)
    except Exception as error:  # noqa: BLE001 - another library's refusal is a row of the table
        return View(None, mode, error=f"{type(error).__name__}: {error}"[:120])


def by_opencv(path: Path) -> View:
    """Return what OpenCV makes of a file's first frame, orientation left alone."""
    try:
        pixels = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    except cv2.error as error:
        return View(None, "none", error=str(error)[:120])
    if pixels is None:
        return View(None, "none", error="not read")
    kind = f"{pixels.dtype}×{1 if pixels.ndim == 2 else pixels.shape[2]}"
    if pixels.dtype not in (np.uint8, np.uint16):
        return View(None, kind, error=f"pixels of type {pixels.dtype}")
    if pixels.ndim == 2:
        colors = _from_gray(pixels)
    else:
        colors = cv2.cvtColor(pixels, cv2.COLOR_BGRA2RGBA if pixels.shape[2] == 4 else cv2.COLOR_BGR2RGBA)
    return View(_eight(colors), kind, deep=colors if colors.dtype == np.uint16 else None)


def reason(mine: Array, theirs: View, *, name: str, depth: int, orientation: int) -> str:
    """Return the kind of the difference of our RGBA (H, W, 4) uint8 to another's; EQUAL or UNEXPLAINED among them.

    :param depth: the file's bits per channel; ``orientation`` is what our decoder applied, EXIF's 1 to 8.
    """
    assert theirs.pixels is not None
    other, deep, kinds = theirs.pixels, theirs.deep, []
    if orientation != 1 and not (other.shape == mine.shape and _near(mine, other)):
        turned = turn(other, orientation)
        if turned.shape == mine.shape:
            other, deep, kinds = turned, None if deep is None else turn(deep, orientation), ["orientation applied"]
    if other.shape != mine.shape:
        return f"another size ({other.shape[1]}×{other.shape[0]}, ours {mine.shape[1]}×{mine.shape[0]})"
    found = _reason_by_depth(mine, other, deep, depth) or _reason_by_alpha(mine, other)
    found = found or _reason_by_color(mine, other, theirs.mode, name)
    if found == EQUAL and kinds:
        return kinds[0]
    return " and ".join([*kinds, found])


def _reason_by_depth(mine: Array, other: Array, deep: Array | None, depth: int) -> str | None:
    if np.array_equal(mine, other):
        return EQUAL
    if _near(mine, other):
        return "16→8 or other rounding"
    if deep is not None and depth in (10, 12):
        full = (1 << depth) - 1
        for shift in (0, 16 - depth):
            stretched = np.clip((deep >> shift) * (255 / full), 0, 255)
            if _near(mine[:, :, :3], stretched[:, :, :3]):
                return "10 or 12 bit not stretched over 16"
    low = other[:, :, :3].astype(np.float64)
    for bits in (4, 5, 6):
        full, step = (1 << bits) - 1, 1 << 8 - bits
        if np.all(low % step == 0) and _near(mine[:, :, :3], low / step * 255 / full):
            return "4 to 6 bit not stretched over 8"
    # Red and blue of 5 bit, green of 6.
    if np.all(low % 4 == 0) and np.all((mine[:, :, :3] - low >= 0) & (mine[:, :, :3] - low < 8)):
        return "4 to 6 bit not stretched over 8"
    return None


def _reason_by_alpha(mine: Array, other: Array) -> str | None:
    colors = (mine[:, :, :3].astype(np.float64), other[:, :, :3].astype(np.float64))
    cover = mine[:, :, 3:].astype(np.float64) / 255
    dropped = bool(np.all(other[:, :, 3] == 255)) and not np.all(cover == 1)
    if dropped and _near(*colors):
        return "it drops the alpha or the transparent colour"
    if not np.all(cover == 1) and (dropped or _near(mine[:, :, 3], other[:, :, 3])):
        if _near(colors[0] * (cover > 0), colors[1] * (cover > 0)):
            return "colour under an alpha of 0"
        if _near(colors[0] * cover, colors[1]) or _near(colors[0] * cover, colors[1] * cover):
            return "premultiplied alpha"
        if _near(colors[0] * cover + 255 * (1 - cover), colors[1]):
            return "it lays the picture on white"
    return None


def _reason_by_color(mine: Array, other: Array, mode: str, name: str) -> str:
    colors = (mine[:, :, :3].astype(np.float64), other[:, :, :3].astype(np.float64))
    if _near(colors[0], 255 - colors[1]):
        return "white is zero"
    if _near(colors[0], np.clip((colors[1] - 16) * 255 / 219, 0, 255)):
        return "limited range"
    if (
        _near(colors[0] @ np.array([[0.299], [0.587], [0.114]]), colors[1][:, :, :1])
        and not np.ptp(colors[1], axis=2).any()
    ):
        return "it makes gray of a coloured palette"
    if mode in ("CMYK", "LAB", "YCbCr", "HSV"):
        return f"{mode} conversion"
    apart = np.abs(mine.astype(np.int16) - other)
    if name in ("jpeg", "webp", "avif", "heic", "tiff") and apart.mean() <= _LOSSY_MEAN and apart.max() <= _LOSSY_MOST:
        return "lossy: another inverse transform or chroma filter"
    return UNEXPLAINED


def _near(one: Array, two: Array) -> bool:
    return bool(np.abs(one.astype(np.float64) - two.astype(np.float64)).max(initial=0) <= _ROUNDING)


def _eight(pixels: Array) -> Array:
    if pixels.dtype == np.uint8:
        return pixels
    return ((pixels.astype(np.uint32) * 255 + 32767) // 65535).astype(np.uint8)


def _from_gray(gray: Array) -> Array:
    """Return gray (H, W) uint8 or uint16 as RGBA (H, W, 4)."""
    return np.stack((gray, gray, gray, np.full_like(gray, np.iinfo(gray.dtype).max)), axis=2)
