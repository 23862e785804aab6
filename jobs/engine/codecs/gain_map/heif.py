"""Gain maps of HEIC files: Apple's, an auxiliary picture. The form of ISO 21496-1 is recognized, and not read."""

from pathlib import Path
from typing import Any

import numpy as np

from jobs.engine.codecs.gain_map import apple
from jobs.engine.codecs.open import BROKEN_FILE
from jobs.engine.types import Frame, GainMap, Limits, Picture

#: Bytes read of a file: its description, which mostly stands before its pixels.
_HEAD = 1 << 20
_APPLE = "urn:com:apple:photo:2020:aux:hdrgainmap"


def read(path: Path, picture: Picture, limits: Limits) -> tuple[GainMap | None, tuple[str, ...]]:
    """Return the file's gain map (h, w, 1) uint8, upright as libheif turns it, and what is not kept."""
    if picture.format == "heic":
        found, reason = _apple(path, picture, limits)
        if found or reason:
            return found, (f"not kept: the gain map (HDR): {reason}",) if reason else ()
    if _has_tone_map(path):
        return None, (f"not kept: the gain map (HDR), which we do not read from {picture.format.upper()}",)
    return None, ()


def _has_tone_map(path: Path) -> bool:
    """Return True if a brand, an item or an auxiliary type before the pixels says that there is a gain map."""
    with path.open("rb") as file:
        head = file.read(_HEAD).partition(b"mdat")[0]
    return b"tmap" in head or b"aux:hdrgainmap" in head


def _apple(path: Path, picture: Picture, limits: Limits) -> tuple[GainMap | None, str]:
    import pillow_heif  # noqa: PLC0415 - a native library that few jobs need

    try:
        image = pillow_heif.open_heif(path)
        primary = image[image.primary_index]
        info: dict[str, Any] = dict(primary.info)
        numbers = info.get("aux", {}).get(_APPLE, [])
        if not numbers:
            return None, ""
        auxiliary = primary.get_aux_image(numbers[0])
        width, height = auxiliary.size
        left = limits.max_input_pixels - picture.width * picture.height
        if max(width, height) > limits.max_side or width * height > left:
            return None, f"its {width}×{height} px are beyond the limits"
        pixels = np.asarray(auxiliary)
    except BROKEN_FILE:
        return None, "it is broken"
    if pixels.dtype != np.uint8 or pixels.ndim != 2:
        return None, f"its pixels are {auxiliary.mode}"
    headroom = apple.headroom_in(path.read_bytes()) or apple.headroom(None, picture.metadata.exif)
    if headroom is None:
        return None, "the file does not tell its headroom"
    return apple.converted(Frame(color=pixels[:, :, np.newaxis].copy()), headroom), ""
