"""Gain maps of JPEG files: a second JPEG behind the first, which an index lists, or nothing but its place tells."""

import io
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from PIL import JpegImagePlugin

from jobs.engine.codecs.gain_map import apple
from jobs.engine.codecs.gain_map.parameters import HDRGM, ISO_NAME, usable_iso, usable_xmp
from jobs.engine.codecs.jpeg import mpf, xmp
from jobs.engine.codecs.jpeg.segments import APP2, Segment, before_pixels, end_of_image
from jobs.engine.codecs.open import BROKEN_FILE
from jobs.engine.types import Frame, GainMap, Limits, Picture

#: Pictures that are looked at in one file.
_MOST = 8


def read(path: Path, picture: Picture, limits: Limits) -> tuple[GainMap | None, tuple[str, ...]]:
    """Return the file's gain map as stored, not turned, and what is not kept; the file's bytes are read if it has one.

    :param picture: what was read of the file: its XMP may claim a map, its EXIF tell Apple's headroom.
    """
    with path.open("rb") as file:
        segments = before_pixels(file)
    listed = next((mpf.read(one.content, one.at) for one in segments if _is(one, mpf.NAME)), ())
    packet = picture.metadata.xmp or b""
    claimed = HDRGM.encode() in packet or b"GainMap" in packet or any(_is(one, ISO_NAME) for one in segments)
    if not (listed or claimed):
        return None, ()
    data = path.read_bytes()
    reason = "it is missing"
    others = 0
    for start, end in _pictures(data, listed):
        found = _parameters(data[start:end])
        if found is None:
            others += 1
            continue
        parameters, is_apple = found
        frame, icc, reason = _frame(data[start:end], picture, limits)
        if frame is None:
            continue
        if not is_apple:
            return GainMap(frame, parameters.xmp, parameters.iso, icc), _further(others)
        headroom = apple.headroom(parameters.xmp, picture.metadata.exif)
        if headroom is not None and frame.color.shape[2] == 1:
            return apple.converted(frame, headroom), _further(others)
        reason = "the file does not tell its headroom"
        claimed = True
    if claimed or reason != "it is missing":
        return None, (f"not kept: the gain map (HDR): {reason}", *_further(others if listed else 0))
    return None, _further(others)


def _is(segment: Segment, name: bytes) -> bool:
    return segment.marker == APP2 and segment.content.startswith(name)


def _further(count: int) -> tuple[str, ...]:
    return (f"not kept: {count} further picture{'s' if count > 1 else ''} in the JPEG file",) if count else ()


def _pictures(data: bytes, listed: Sequence[mpf.Entry]) -> Iterator[tuple[int, int]]:
    """Yield begin and end, in bytes, of the pictures behind the first: those listed, then those that stand there.

    Lengths that the file tells are not believed: pictures end where their end marker is.
    """
    seen = {entry.offset for entry in listed if entry.is_thumbnail}
    for entry in listed[:_MOST]:
        end = end_of_image(data, entry.offset)
        if end is not None and entry.offset not in seen:
            seen.add(entry.offset)
            yield entry.offset, end
    at = end_of_image(data, 0)
    for _ in range(_MOST):
        if at is None:
            return
        start = data.find(b"\xff\xd8\xff", at)
        at = end_of_image(data, start) if start >= 0 else None
        if at is not None and start not in seen:
            yield start, at


class _Parameters:
    """What a second picture says of itself."""

    def __init__(self, segments: list[Segment]) -> None:
        packet, _ = xmp.read(segments)
        self.xmp = packet
        self.iso = next((one.content[len(ISO_NAME) :] for one in segments if _is(one, ISO_NAME)), None)


def _parameters(data: bytes) -> tuple[_Parameters, bool] | None:
    """Return the parameters of a gain map, and whether they are Apple's; None for pictures of other kinds."""
    found = _Parameters(before_pixels(io.BytesIO(data)))
    is_apple = apple.NAMESPACE.encode() in (found.xmp or b"")
    packet, block = usable_xmp(found.xmp), usable_iso(found.iso)
    if packet or block:
        found.xmp, found.iso = packet, block
        return found, False
    return (found, True) if is_apple else None


def _frame(data: bytes, picture: Picture, limits: Limits) -> tuple[Frame | None, bytes | None, str]:
    """Decode the map to (h, w, 1 or 3) uint8 with its profile; or tell why not."""
    try:
        image = JpegImagePlugin.JpegImageFile(io.BytesIO(data))
        width, height = image.size
        if max(width, height) > limits.max_side or width * height > limits.max_input_pixels - _pixels(picture):
            return None, None, f"its {width}×{height} px are beyond the limits"
        image.load()
    except BROKEN_FILE:
        return None, None, "it is broken"
    if image.mode not in ("L", "RGB"):
        return None, None, f"its pixels are {image.mode}"
    pixels = np.asarray(image)
    return Frame(color=pixels[:, :, np.newaxis] if pixels.ndim == 2 else pixels), image.info.get("icc_profile"), ""


def _pixels(picture: Picture) -> int:
    return picture.width * picture.height
