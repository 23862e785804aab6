"""TIFF of 16 bit with a plane for each sample, which Pillow reads as 8 bit and OpenCV wrongly.

Each plane by itself is a gray TIFF: its strips or tiles follow each other (TIFF 6.0, PlanarConfiguration). So each is
read as one, by a directory of our own behind the file's bytes, and libtiff does every compression.
"""

import io
import struct
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL.TiffImagePlugin import TiffImageFile

from jobs.engine.errors import FormatUnsupported, ImageRejected

_WIDTH, _HEIGHT, _BITS, _COMPRESSION, _PHOTOMETRIC = 256, 257, 258, 259, 262
_STRIPS, _SAMPLES, _ROWS, _STRIP_BYTES, _PLANAR, _PREDICTOR = 273, 277, 278, 279, 284, 317
_TILE_WIDTH, _TILE_HEIGHT, _TILES, _TILE_BYTES = 322, 323, 324, 325
_SHORT, _LONG = 3, 4
Planes = list[NDArray[np.uint16]]


def in_planes(image: TiffImageFile) -> bool:
    """Return True for 16-bit samples in separate planes."""
    tags = image.tag_v2
    return bool(tags.get(_PLANAR, 1) != 1 and tags.get(_SAMPLES, 1) > 1 and max(tags.get(_BITS, (1,))) > 8)


def read(path: Path, image: TiffImageFile) -> Planes:
    """Return the planes in the file's order, each (H, W) uint16 as stored and not yet turned.

    :raises FormatUnsupported: for kinds that are not read, as BigTIFF and CMYK.
    """
    tags = image.tag_v2
    samples = int(tags.get(_SAMPLES, 1))
    if image.mode == "CMYK" or tags.get(_PHOTOMETRIC) not in (0, 1, 2) or set(tags.get(_BITS, ())) != {16}:
        raise FormatUnsupported("the TIFF holds samples in separate planes, of which gray and RGB of 16 bit are read")
    data = bytearray(path.read_bytes())
    if bytes(data[2:4]) not in (b"*\0", b"\0*"):
        raise FormatUnsupported("the BigTIFF holds 16-bit samples in separate planes; in a classic TIFF they are read")
    data += b"\0" * (len(data) % 2)
    end = len(data)
    planes = []
    for number in range(samples):
        del data[end:]
        planes.append(_plane(data, tags, number, samples))
    return planes


def _plane(data: bytearray, tags: Any, number: int, samples: int) -> NDArray[np.uint16]:
    order = "<" if data[:2] == b"II" else ">"
    entries: dict[int, tuple[int, tuple[int, ...]]] = {
        _WIDTH: (_LONG, (tags[_WIDTH],)),
        _HEIGHT: (_LONG, (tags[_HEIGHT],)),
        _BITS: (_SHORT, (16,)),
        _COMPRESSION: (_SHORT, (tags.get(_COMPRESSION, 1),)),
        _PHOTOMETRIC: (_SHORT, (1,)),
        _SAMPLES: (_SHORT, (1,)),
        _PLANAR: (_SHORT, (1,)),
        _PREDICTOR: (_SHORT, (tags.get(_PREDICTOR, 1),)),
    }
    if _TILES in tags:
        entries |= {tag: (_LONG, (tags[tag],)) for tag in (_TILE_WIDTH, _TILE_HEIGHT)}
        places, sizes = _TILES, _TILE_BYTES
    else:
        entries[_ROWS] = (_LONG, (min(tags.get(_ROWS, tags[_HEIGHT]), tags[_HEIGHT]),))
        places, sizes = _STRIPS, _STRIP_BYTES
    for tag in (places, sizes):
        values = tags[tag]
        if len(values) % samples or not values:
            raise ImageRejected("the TIFF file is broken or truncated")
        each = len(values) // samples
        entries[tag] = (_LONG, tuple(values[number * each : (number + 1) * each]))
    struct.pack_into(f"{order}I", data, 4, _append(data, entries, order))
    with TiffImageFile(io.BytesIO(data)) as gray:
        gray.load()
        return np.asarray(gray).astype(np.uint16)


def _append(data: bytearray, entries: dict[int, tuple[int, tuple[int, ...]]], order: str) -> int:
    """Write a directory behind the bytes; return where it begins."""
    rows = b""
    for tag, (kind, values) in sorted(entries.items()):
        packed = struct.pack(f"{order}{len(values)}{'H' if kind == _SHORT else 'I'}", *values)
        if len(packed) > 4:
            place = struct.pack(f"{order}I", len(data))
            data += packed
        else:
            place = packed.ljust(4, b"\0")
        rows += struct.pack(f"{order}HHI", tag, kind, len(values)) + place
    at = len(data)
    data += struct.pack(f"{order}H", len(entries)) + rows + bytes(4)
    return at
