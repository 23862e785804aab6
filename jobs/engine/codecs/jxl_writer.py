"""JPEG XL files, 8 bit, by the package pylibjxl; the container and its metadata by us.

The package would compress metadata by Brotli, which few readers undo. ISO/IEC 18181-2: a signature box, ftyp, then Exif
(four bytes say where the TIFF header begins), "xml " and the codestream in jxlc.
"""

import struct
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from jobs.engine.codecs.color.description import equal_profile, rgb_profile
from jobs.engine.codecs.jxl import CONTAINER, whole_codestream
from jobs.engine.codecs.metadata import exif as exif_block
from jobs.engine.errors import EngineError
from jobs.engine.types import EncodeOptions, Frame, Metadata

_QUALITY = 90
#: Of libjxl, 1 to 10: 12 megapixels take 1.4 s of processor time, by 7, its own choice, 5.4 s for a file as large.
_EFFORT = 4
#: Effort of lossless files: 1.7 s for 12 megapixels.
_LOSSLESS_EFFORT = 3
_FTYP = b"jxl \0\0\0\0jxl "


def installed() -> bool:
    """Return True if JPEG XL can be written here: the package has no wheel for every machine."""
    return find_spec("pylibjxl") is not None


def write(frame: Frame, path: Path, meta: Metadata, options: EncodeOptions) -> None:
    """Write a frame (H, W, 1 or 3) of uint8, with its alpha.

    :raises EngineError: when the encoder fails.
    """
    import pylibjxl  # noqa: PLC0415 - a native library that few jobs need

    pixels = _interleaved(frame)
    icc = equal_profile(meta, 1) if pixels.shape[2] == 1 else rgb_profile(meta)
    how: dict[str, Any] = {"effort": _EFFORT, "distance": distance(options.quality or _QUALITY)}
    if options.lossless:
        how = {"effort": _LOSSLESS_EFFORT, "lossless": True}
    try:
        codestream = whole_codestream(pylibjxl.encode(pixels, icc=icc, **how))
    except (RuntimeError, ValueError) as error:
        raise EngineError(f"the JPEG XL encoder failed: {error}") from error
    exif = exif_block.without_orientation(meta.exif) if meta.exif else None
    with path.open("wb") as file:
        for piece in _container(codestream, exif, meta.xmp):
            file.write(piece)


def distance(quality: int) -> float:
    """Return libjxl's distance, 0 to 25, for a quality of 1 to 100 as JPEG has it.

    Source: libjxl, JxlEncoderDistanceFromQuality; 90 is 1.0, where the eye sees no difference, and 100 is 0.1: 0 would
    be lossless.
    """
    if quality >= 30:
        return 0.1 + (100 - quality) * 0.09
    return 53 / 3000 * quality**2 - 23 / 20 * quality + 25


def _interleaved(frame: Frame) -> NDArray[np.uint8]:
    """Return (H, W, 1, 3 or 4): the package has no gray with alpha, which becomes RGB."""
    color: NDArray[Any] = frame.color
    if frame.alpha is None:
        return np.ascontiguousarray(color)
    if color.shape[2] == 1:
        color = np.repeat(color, 3, axis=2)
    return np.ascontiguousarray(np.concatenate((color, frame.alpha[:, :, np.newaxis]), axis=2))


def _container(codestream: bytes, exif: bytes | None, xmp: bytes | None) -> Iterator[bytes]:
    yield CONTAINER
    yield _box(b"ftyp", _FTYP)
    if exif:
        yield _box(b"Exif", bytes(4) + exif)
    if xmp:
        yield _box(b"xml ", xmp)
    yield _box(b"jxlc", codestream)


def _box(name: bytes, content: bytes) -> bytes:
    size = 8 + len(content)
    if size >= 1 << 32:
        return struct.pack(">I4sQ", 1, name, size + 8) + content
    return struct.pack(">I4s", size, name) + content
