"""TIFF of any depth: pages of deflated strips. Pillow, which cannot hold 16-bit colour, writes the directory only."""

import struct
from functools import partial
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from PIL.TiffImagePlugin import ImageFileDirectory_v2

from jobs.engine.codecs import deflate
from jobs.engine.codecs.color.description import equal_profile
from jobs.engine.codecs.metadata.exif import DESCRIPTIVE, as_stored
from jobs.engine.types import Frame, Metadata

_STRIP_OFFSETS = 273
_SHORT, _LONG, _BYTE, _ASCII, _UNDEFINED = 3, 4, 1, 2, 7


def write(file: BinaryIO, frames: tuple[Frame, ...], meta: Metadata, provenance: str | None) -> None:
    """Write a baseline TIFF (TIFF 6.0) with deflate and the horizontal predictor, one page per frame (H, W, 1 or 3).

    Strips are compressed on all cores, a few ahead of the one that is written. Classic TIFF ends at 4 GB.
    """
    start = file.tell()
    file.write(struct.pack("<2sHI", b"II", 42, 0))
    pointer = start + 4  # where the offset of the next directory has to be written
    for frame in frames:
        offsets, counts, rows = _strips(file, frame, start)
        directory = _directory(frame, meta, provenance, offsets, counts, rows)
        if file.tell() % 2:
            file.write(b"\0")
        at = file.tell()
        body = _with_offsets(directory.tobytes(at - start), at - start, offsets)
        file.write(body)
        end = file.tell()
        file.seek(pointer)
        file.write(struct.pack("<I", at - start))
        # The directory's last four bytes name the next one; they follow its twelve bytes per entry.
        pointer = at + 2 + 12 * struct.unpack_from("<H", body)[0]
        file.seek(end)


def _with_offsets(body: bytes, at: int, offsets: list[int]) -> bytes:
    """Put our strip offsets back: Pillow takes them as counted from the directory's end and moves them."""
    patched = bytearray(body)
    for entry in range(2, 2 + 12 * struct.unpack_from("<H", body)[0], 12):
        tag, _, count = struct.unpack_from("<HHI", body, entry)
        if tag == _STRIP_OFFSETS:
            place = entry + 8 if count == 1 else struct.unpack_from("<I", body, entry + 8)[0] - at
            struct.pack_into(f"<{count}I", patched, place, *offsets)
    return bytes(patched)


def _strips(file: BinaryIO, frame: Frame, start: int) -> tuple[list[int], list[int], int]:
    height, width, channels = frame.color.shape
    channels += frame.alpha is not None
    rows = max(1, deflate.STRIP_BYTES // (width * channels * frame.color.itemsize))
    offsets, counts = [], []
    work = [partial(_strip, frame, top, min(top + rows, height)) for top in range(0, height, rows)]
    for data in deflate.in_order(work):
        offsets.append(file.tell() - start)
        counts.append(len(data))
        file.write(data)
    return offsets, counts, rows


def _strip(frame: Frame, top: int, bottom: int) -> bytes:
    return deflate.deflate(_predicted(frame, top, bottom).tobytes())


def _predicted(frame: Frame, top: int, bottom: int) -> NDArray[Any]:
    """Return rows (n, W, C) as differences to the pixel on the left (TIFF 6.0, section 14), modulo 256 or 65536."""
    color: NDArray[Any] = frame.color[top:bottom]
    if frame.alpha is None:
        pixels = color.copy()
    else:
        pixels = np.concatenate((color, frame.alpha[top:bottom, :, np.newaxis]), axis=2)
    pixels[:, 1:] -= pixels[:, :-1].copy()
    return pixels.astype(pixels.dtype.newbyteorder("<"), copy=False)


def _directory(
    frame: Frame, meta: Metadata, provenance: str | None, offsets: list[int], counts: list[int], rows: int
) -> ImageFileDirectory_v2:
    height, width, colors = frame.color.shape
    channels = colors + (frame.alpha is not None)
    directory = ImageFileDirectory_v2(prefix=b"II")
    kinds = directory.tagtype
    if meta.exif:
        _take_exif(directory, meta.exif)
    long_values = {256: width, 257: height, 278: rows, 273: tuple(offsets), 279: tuple(counts)}
    short_values = {
        258: (frame.color.itemsize * 8,) * channels,
        259: 8,  # deflate
        262: 2 if colors == 3 else 1,
        274: 1,
        277: channels,
        284: 1,
        317: 2,  # horizontal predictor
        339: (1,) * channels,
    }
    if frame.alpha is not None:
        short_values[338] = 2  # unassociated alpha
    for tag, value in long_values.items():
        kinds[tag] = _LONG
        directory[tag] = value
    for tag, number in short_values.items():
        kinds[tag] = _SHORT
        directory[tag] = number
    for tag, content in ((34675, equal_profile(meta, colors)), (33723, meta.iptc)):
        if content:
            kinds[tag] = _UNDEFINED
            directory[tag] = content
    if meta.xmp:
        kinds[700] = _BYTE
        directory[700] = meta.xmp
    density = meta.dpi or meta.aspect
    if density:
        directory[282], directory[283] = density
        kinds[296] = _SHORT
        directory[296] = 2 if meta.dpi else 1  # inch, or no unit
    if provenance:  # a camera's Software stays; ours is then ProcessingSoftware
        tag = 11 if 305 in directory else 305
        kinds[tag] = _ASCII
        directory[tag] = provenance
    return directory


def _take_exif(directory: ImageFileDirectory_v2, exif: bytes) -> None:
    """Copy descriptive entries and the EXIF and GPS directories; those about the pixels' layout are ours to write."""
    source = Image.Exif()
    try:
        source.load(exif)
    except (SyntaxError, ValueError, KeyError, struct.error, OSError):
        return
    for tag in DESCRIPTIVE:
        if tag in source:
            directory[tag] = as_stored(source[tag])
    for tag in (0x8769, 0x8825):
        nested = source.get_ifd(tag)
        if nested:
            directory[tag] = {key: as_stored(value) for key, value in nested.items()}


__all__ = ["write"]
