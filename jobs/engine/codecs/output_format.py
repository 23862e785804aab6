"""The choice of the result's format. Pure decisions over names; nothing is written here."""

from jobs.engine.codecs import jxl_writer
from jobs.engine.errors import FormatUnsupported
from jobs.engine.types import EncodeOptions, Picture, Written

#: Largest side that a format can store, in pixels.
_SIDES = {"jpeg": 65_535, "webp": 16_383, "avif": 65_535, "png": 2**31 - 1, "tiff": 2**31 - 1, "jxl": 262_144}
_WRITABLE: tuple[Written, ...] = ("png", "jpeg", "webp", "avif", "tiff", "jxl")


def choose(picture: Picture, options: EncodeOptions) -> Written:
    """Return the format asked for; for "auto" the input's own, or PNG where that cannot hold the (H, W, C) result.

    :raises FormatUnsupported: when a format was asked for by name and cannot hold the result; the message says why.
    """
    if options.format == "auto":
        own = next((name for name in _WRITABLE if name == picture.format), None)
        return own if own and not obstacle(picture, own, lossless=options.lossless) else "png"
    problem = obstacle(picture, options.format, lossless=options.lossless)
    if problem:
        pages = len(picture.frames) > 1 and picture.frames[0].duration_ms is None
        other = "tiff" if pages else "png"  # pages in a PNG would be an animation
        raise FormatUnsupported(f"{options.format.upper()} cannot hold the result: {problem}; {other} can")
    return options.format


def check_side(name: Written, width: int, height: int) -> None:
    """Check the result's sides in pixels, before anything is computed.

    :raises FormatUnsupported: when the format cannot hold them.
    """
    if max(width, height) > _SIDES[name]:
        raise FormatUnsupported(f"{name.upper()} cannot hold the result: {_side(name, width, height)}; png can")


def _side(name: str, width: int, height: int) -> str:
    return f"it ends at {_SIDES.get(name, 0)} px per side, the result is {width}×{height} px"


def avif_depth(picture: Picture) -> int:
    """Return the bits per channel, 8, 10 or 12, with which AVIF holds the (H, W, C) picture: its own, or 12 for 16."""
    if picture.bits == 8:
        return 8
    return picture.depth if picture.depth in (10, 12) else 12


def obstacle(picture: Picture, name: str, *, lossless: bool = False) -> str | None:
    """Return why a format cannot hold the picture without loss (side in px, frames, alpha, bits), or None."""
    side = max(picture.width, picture.height)
    if side > _SIDES.get(name, 0):
        return _side(name, picture.width, picture.height)
    if name == "jxl" and not jxl_writer.installed():
        return "it is written where the package pylibjxl is installed"
    if name in ("jpeg", "jxl") and len(picture.frames) > 1:
        return f"it has no animation, the result has {len(picture.frames)} frames"
    if name == "jpeg" and any(frame.alpha is not None for frame in picture.frames):
        return "it has no transparency"
    if name in ("jpeg", "webp", "jxl") and picture.bits == 16:
        return "it has 8 bit per channel here, the result has 16"
    if name == "avif" and picture.bits == 16 and len(picture.frames) > 1:
        return "it has 8 bit per channel in animations here, the result has 16"
    if name == "avif" and picture.bits == 16 and lossless and avif_depth(picture) != picture.depth:
        return "it has 12 bit per channel at most, the result has 16"
    if name == "tiff" and len(picture.frames) > 1 and picture.frames[0].duration_ms is not None:
        return f"it has no animation, the result has {len(picture.frames)} frames"
    return None
