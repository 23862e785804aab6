"""PNG: OpenCV's fast encoder, and the chunks that it does not write, put in by us.

PNG specification (W3C, third edition), section 11: a chunk is length, name, content, CRC-32 of name and content.
"""

import struct
import zlib
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from jobs.engine.errors import EngineError
from jobs.engine.types import Frame, Metadata

_AFTER_HEADER = 8 + 25  # signature and IHDR


def still(frame: Frame, meta: Metadata, provenance: str | None) -> list[bytes | memoryview]:
    """The file in pieces, to be written one after another; the pixels are not copied to put chunks before them."""
    if frame.alpha is not None and frame.color.shape[2] == 1:
        whole = memoryview(_gray_with_alpha(frame.color[:, :, 0], frame.alpha))
    else:
        done, data = cv2.imencode(".png", interleaved(frame))
        if not done:
            raise EngineError("the PNG encoder failed")
        whole = data.reshape(-1).data
    return [bytes(whole[:_AFTER_HEADER]), *chunks(meta, provenance), whole[_AFTER_HEADER:]]


def _gray_with_alpha(gray: NDArray[Any], alpha: NDArray[Any]) -> bytes:
    """Colour type 4, which OpenCV reads but does not write: rows as differences to the row above (filter 2)."""
    height, width = gray.shape
    pixels = np.stack((gray, alpha), axis=2)
    size = pixels.itemsize
    rows = np.ascontiguousarray(pixels.astype(pixels.dtype.newbyteorder(">"))).view(np.uint8).reshape(height, -1)
    filtered = np.empty((height, 1 + rows.shape[1]), np.uint8)
    filtered[:, 0] = 2
    filtered[0, 1:] = rows[0]
    np.subtract(rows[1:], rows[:-1], out=filtered[1:, 1:])
    header = struct.pack(">IIBBBBB", width, height, 8 * size, 4, 0, 0, 0)
    return b"".join(
        (
            b"\x89PNG\r\n\x1a\n",
            _chunk(b"IHDR", header),
            _chunk(b"IDAT", zlib.compress(filtered.data)),
            _chunk(b"IEND", b""),
        )
    )


def interleaved(frame: Frame) -> NDArray[Any]:
    """As OpenCV wants it: gray (H, W), BGR or BGRA; gray with alpha becomes BGRA."""
    color, alpha = frame.color, frame.alpha
    if color.shape[2] == 1 and alpha is None:
        return color[:, :, 0]
    if alpha is None:
        swapped: NDArray[Any] = cv2.cvtColor(color, cv2.COLOR_RGB2BGR)
        return swapped
    merged = np.empty((*color.shape[:2], 4), color.dtype)
    merged[:, :, :3] = color[:, :, ::-1]
    merged[:, :, 3] = alpha
    return merged


def chunks(meta: Metadata, provenance: str | None) -> list[bytes]:
    """Profile, density, EXIF, XMP, IPTC and provenance as chunks, in an order that the specification allows."""
    pieces = []
    if meta.icc:
        pieces.append(_chunk(b"iCCP", b"ICC Profile\0\0" + zlib.compress(meta.icc)))
    if meta.dpi:
        across, down = (round(value / 0.0254) for value in meta.dpi)
        pieces.append(_chunk(b"pHYs", struct.pack(">IIB", across, down, 1)))
    if meta.exif:
        pieces.append(_chunk(b"eXIf", meta.exif))
    if meta.xmp:
        pieces.append(_chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + meta.xmp))
    if meta.iptc:
        # No chunk of its own exists; this is the text that ImageMagick writes and ExifTool reads.
        resource = b"8BIM\x04\x04\0\0" + struct.pack(">I", len(meta.iptc)) + meta.iptc + b"\0" * (len(meta.iptc) % 2)
        digits = resource.hex()
        lines = "\n".join(digits[i : i + 72] for i in range(0, len(digits), 72))
        text = f"\niptc\n{len(resource):8d}\n{lines}\n".encode()
        pieces.append(_chunk(b"zTXt", b"Raw profile type iptc\0\0" + zlib.compress(text)))
    if provenance:
        pieces.append(_chunk(b"tEXt", b"Software\0" + provenance.encode("latin-1", "replace")))
    return pieces


def _chunk(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))
