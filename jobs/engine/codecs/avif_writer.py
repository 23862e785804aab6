"""AVIF files: 8 bit by Pillow, 10 and 12 bit and lossless by OpenCV, the colour's code points by us."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from jobs.engine.codecs import frame_times, isobmff
from jobs.engine.codecs.color.description import equal_profile
from jobs.engine.codecs.color.pixels import to_image
from jobs.engine.codecs.metadata import exif as exif_block
from jobs.engine.codecs.output_format import avif_depth
from jobs.engine.errors import EngineError, FormatUnsupported
from jobs.engine.types import EncodeOptions, Frame, Metadata, Picture

_QUALITY = 80
_SPEED = 8
#: OpenCV stores RGB as it is at this quality; Pillow's YCbCr loses the last bits.
_LOSSLESS = 100
#: Milliseconds of one frame: a number of 32 bit.
_LONGEST = (1 << 32) - 1
#: libavif makes 1 of 0.
_SHORTEST = 1


def write(picture: Picture, path: Path, meta: Metadata, options: EncodeOptions) -> tuple[str, ...]:
    """Write frames (H, W, 1 or 3) of uint8 or uint16, and return what was not kept.

    10 and 12 bit stay; of 16 the upper 12 are written. Code points are written as they came; a profile stays a profile,
    and what only PNG can say becomes an equal one.

    :raises FormatUnsupported: for animations, if they are to be lossless.
    """
    if options.lossless and len(picture.frames) > 1:
        raise FormatUnsupported(
            "AVIF is written lossless for still pictures only; webp and png can hold this animation"
        )
    icc = None if meta.cicp else equal_profile(meta, picture.frames[0].color.shape[2])
    exif = exif_block.without_orientation(meta.exif) if meta.exif else None
    depth = avif_depth(picture)
    notes: tuple[str, ...] = ()
    if options.lossless or depth > 8:
        path.write_bytes(_by_opencv(picture.frames[0], depth, icc, exif, meta.xmp, options))
    else:
        notes = _by_pillow(picture, path, icc, exif, meta.xmp, options)
    if meta.cicp:
        with path.open("r+b") as file:
            if not isobmff.write_code_points(file, meta.cicp):
                raise EngineError("the AVIF encoder wrote no colour description")
    if picture.depth != depth and depth > 8:
        notes += (f"{depth} of the picture's 16 bits per channel were written: AVIF holds no more",)
    return notes


def _by_pillow(
    picture: Picture, path: Path, icc: bytes | None, exif: bytes | None, xmp: bytes | None, options: EncodeOptions
) -> tuple[str, ...]:
    first, *others = (to_image(frame) for frame in picture.frames)
    settings: dict[str, Any] = {"icc_profile": icc, "quality": options.quality or _QUALITY, "speed": _SPEED}
    if settings["quality"] >= 90:
        settings["subsampling"] = "4:4:4"
    if exif:
        settings["exif"] = b"Exif\0\0" + exif
    if xmp:
        settings["xmp"] = xmp
    notes: tuple[str, ...] = ()
    if others:  # there is no setting for the number of runs; AVIF sequences repeat as the viewer likes
        times, notes = frame_times.whole_milliseconds(picture.frames, _LONGEST, _SHORTEST)
        settings |= {"save_all": True, "append_images": others, "duration": times}
    with path.open("wb") as file:
        first.save(file, format="AVIF", **settings)
    return notes


def _by_opencv(
    frame: Frame, depth: int, icc: bytes | None, exif: bytes | None, xmp: bytes | None, options: EncodeOptions
) -> memoryview:
    import cv2  # noqa: PLC0415 - a native library that the web process's image does not have

    parts = ((cv2.IMAGE_METADATA_EXIF, exif), (cv2.IMAGE_METADATA_XMP, xmp), (cv2.IMAGE_METADATA_ICCP, icc))
    there = [(kind, np.frombuffer(content, np.uint8)) for kind, content in parts if content]
    quality = _LOSSLESS if options.lossless else min(options.quality or _QUALITY, _LOSSLESS - 1)
    try:
        done, data = cv2.imencodeWithMetadata(
            ".avif",
            _for_opencv(frame, depth),
            [kind for kind, _ in there],
            [content for _, content in there],
            [cv2.IMWRITE_AVIF_QUALITY, quality, cv2.IMWRITE_AVIF_SPEED, _SPEED, cv2.IMWRITE_AVIF_DEPTH, depth],
        )
    except cv2.error as error:
        raise EngineError(f"the result could not be written as AVIF: {error}") from error
    if not done:
        raise EngineError("the AVIF encoder failed")
    view: memoryview = data.reshape(-1).data
    return view


def _for_opencv(frame: Frame, depth: int) -> NDArray[Any]:
    """Return values of ``depth`` bit as OpenCV wants them: gray (H, W), BGR (H, W, 3) or BGRA (H, W, 4)."""
    color, alpha = frame.color, frame.alpha
    if color.shape[2] == 1 and alpha is None:
        return _narrowed(color[:, :, 0], depth)
    if alpha is None:
        return _narrowed(np.ascontiguousarray(color[:, :, ::-1]), depth)
    merged = np.empty((*color.shape[:2], 4), color.dtype)
    merged[:, :, :3] = color[:, :, ::-1]
    merged[:, :, 3] = alpha
    return _narrowed(merged, depth)


def _narrowed(values: NDArray[Any], depth: int) -> NDArray[Any]:
    """Bring uint16 over the full range to 0 up to 2**depth - 1, rounded; uint8 stays as it is."""
    if values.dtype == np.uint8:
        return values
    full = (1 << depth) - 1
    return ((values.astype(np.uint32) * full + 32767) // 65535).astype(np.uint16)
