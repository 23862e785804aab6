"""The choice of the result's format. Pure decisions over names; nothing is written here."""

from jobs.engine.errors import FormatUnsupported
from jobs.engine.types import EncodeOptions, Picture, Written

#: Largest side that a format can store, in pixels.
_SIDES = {"jpeg": 65_535, "webp": 16_383, "avif": 65_535, "png": 2**31 - 1, "tiff": 2**31 - 1}
_WRITABLE: tuple[Written, ...] = ("png", "jpeg", "webp", "avif", "tiff")


def choose(picture: Picture, options: EncodeOptions) -> Written:
    """Return the format asked for; for "auto" the input's own, or PNG where that cannot hold the (H, W, C) result.

    :raises FormatUnsupported: when a format was asked for by name and cannot hold the result; the message says why.
    """
    if options.format == "auto":
        return next((name for name in _WRITABLE if name == picture.format and not obstacle(picture, name)), "png")
    problem = obstacle(picture, options.format)
    if problem:
        raise FormatUnsupported(f"{options.format.upper()} cannot hold the result: {problem}; png can")
    return options.format


def obstacle(picture: Picture, name: str) -> str | None:
    """Return why a format cannot hold the picture without loss (side in px, frames, alpha, bits), or None."""
    side = max(picture.width, picture.height)
    if side > _SIDES.get(name, 0):
        return f"it ends at {_SIDES.get(name, 0)} px per side, the result is {picture.width}×{picture.height} px"
    if name == "jpeg" and len(picture.frames) > 1:
        return f"it has no animation, the result has {len(picture.frames)} frames"
    if name == "jpeg" and any(frame.alpha is not None for frame in picture.frames):
        return "it has no transparency"
    if name in ("jpeg", "webp", "avif") and picture.bits == 16:
        return "it has 8 bit per channel here, the result has 16"
    if name == "tiff" and len(picture.frames) > 1 and picture.frames[0].duration_ms is not None:
        return f"it has no animation, the result has {len(picture.frames)} frames"
    return None
