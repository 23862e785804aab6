"""TIFF's samples: from strips and tiles to arrays, for all that Pillow and OpenCV refuse or read wrongly.

libtiff, through Pillow, undoes the compression alone: it is told of a gray picture of 8 bit whose pixels are the bytes.
What the bytes mean is then done here: bit depths, byte order, predictors (TIFF 6.0, section 14; Adobe's Technical
Note 3 for floating point), planes and tiles. A few megabytes at a time, so that wide samples need no more memory.
"""

import io
import struct
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFile
from PIL.TiffImagePlugin import TiffImageFile

from jobs.engine.codecs.tiff.layout import FLOATING, HORIZONTAL, PALETTE, Layout
from jobs.engine.errors import FormatUnsupported, ImageRejected

Array = NDArray[Any]
#: Bytes that are decompressed at once, where blocks are not larger, and that are unpacked at once.
_BAND = 16 << 20
_SLICE = 2 << 20
#: Blocks may hold so many times the picture's bytes, and that much more: small pictures have large tiles.
_PADDING, _ROOM = 4, 64 << 20
_REVERSED = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))
_SHORT, _LONG = 3, 4


def read(file: IO[bytes], layout: Layout) -> Array:
    """Return all samples (H, W, S), not yet turned: uint8, or uint16 where they have more than 8 bit, full range.

    A palette's indices come as they are. Floating point from 0 to 1 becomes 0 to 65535.

    :raises OSError: when the data end early or cannot be decompressed.
    :raises FormatUnsupported: for floating point beyond 0 to 1.
    """
    count = layout.across * layout.down
    planes = layout.samples if layout.planar else 1
    whole = layout.row_bytes * layout.block_height * count * planes
    if whole > _PADDING * (layout.width * layout.height * layout.samples * layout.bits // 8) + _ROOM:
        raise ImageRejected("the TIFF's tiles are far larger than its picture")
    out = np.zeros((layout.height, layout.width, layout.samples), np.uint8 if layout.bits <= 8 else np.uint16)
    bands = max(1, _BAND // (layout.row_bytes * layout.block_height * layout.across))  # rows of blocks at once
    for plane in range(planes):
        target = out[:, :, plane : plane + 1] if layout.planar else out
        for first in range(0, layout.down, bands):
            last = min(first + bands, layout.down)
            top, bottom = first * layout.block_height, min(last * layout.block_height, layout.height)
            numbers = range(plane * count + first * layout.across, plane * count + last * layout.across)
            rows = len(numbers) * layout.block_height if layout.tiled else bottom - top
            values = _light(_decompressed(file, layout, numbers, rows), layout, out.dtype)
            target[top:bottom] = _in_place(values, layout)[: bottom - top, : layout.width]
    return out


def _in_place(values: Array, layout: Layout) -> Array:
    """Put tiles that lie below each other, (n * h, w, S), beside each other: (rows of tiles * h, across * w, S)."""
    if not layout.tiled:
        return values
    _, width, samples = values.shape
    tiles = values.reshape(-1, layout.across, layout.block_height, width, samples)
    return tiles.swapaxes(1, 2).reshape(-1, layout.across * width, samples)


def _decompressed(file: IO[bytes], layout: Layout, numbers: range, rows: int) -> Array:
    """Return the bytes of these blocks, below each other: (rows, row_bytes) uint8."""
    block = layout.row_bytes * layout.block_height
    pieces, left = [], layout.row_bytes * rows
    for number in numbers:
        length = min(block, left) if layout.compression == 1 else _size(file, layout, number)
        file.seek(layout.places[number])
        piece = file.read(length)
        if len(piece) < length:
            raise OSError("the file ends within its pixels")
        pieces.append(piece.translate(_REVERSED) if layout.reversed_bits else piece)
        left -= block
    if layout.compression == 1:
        return np.frombuffer(b"".join(pieces), np.uint8).reshape(rows, layout.row_bytes)
    with _Bytes(io.BytesIO(_as_gray(pieces, layout, rows))) as image:
        image.load()
        return np.asarray(image)


def _size(file: IO[bytes], layout: Layout, number: int) -> int:
    """Return a compressed block's bytes; a file of one block may leave them out."""
    if layout.sizes:
        if number >= len(layout.sizes):
            raise OSError("blocks are missing")
        return layout.sizes[number]
    if len(layout.places) > 1:
        raise OSError("the blocks' sizes are missing")
    return max(0, file.seek(0, io.SEEK_END) - layout.places[0])


class _Bytes(TiffImageFile):
    """Such a gray picture. Its pixels are bytes, of which Pillow's own limit on pixels allows too few."""

    def load_prepare(self) -> None:
        if self._im is None:
            self.im = Image.new(self.mode, self._tile_size).im
        ImageFile.ImageFile.load_prepare(self)


def _as_gray(pieces: list[bytes], layout: Layout, rows: int) -> bytes:
    """Return a TIFF of 8-bit gray, ``row_bytes`` wide, whose strips are the blocks."""
    places, at = [], 8
    for piece in pieces:
        places.append(at)
        at += len(piece)
    entries: tuple[tuple[int, int, list[int]], ...] = (
        (256, _LONG, [layout.row_bytes]), (257, _LONG, [rows]), (258, _SHORT, [8]), (259, _SHORT, [layout.compression]),
        (262, _SHORT, [1]), (273, _LONG, places), (277, _SHORT, [1]), (278, _LONG, [layout.block_height]),
        (279, _LONG, [len(piece) for piece in pieces]),
    )  # fmt: skip
    body = b"".join(pieces) + bytes(at % 2)
    at += at % 2
    listed, rest = b"", b""
    behind = at + 2 + 12 * len(entries) + 4
    for tag, kind, values in entries:
        packed = struct.pack(f"<{len(values)}{'H' if kind == _SHORT else 'I'}", *values)
        place = struct.pack("<I", behind + len(rest)) if len(packed) > 4 else packed.ljust(4, b"\0")
        rest += packed if len(packed) > 4 else b""
        listed += struct.pack("<HHI", tag, kind, len(values)) + place
    return struct.pack("<2sHI", b"II", 42, at) + body + struct.pack("<H", len(entries)) + listed + bytes(4) + rest


def _light(rows: Array, layout: Layout, dtype: np.dtype[Any]) -> Array:
    """Return bytes (rows, row_bytes) as samples (rows, block_width, S) over uint8's or uint16's full range."""
    out = np.zeros((len(rows), layout.block_width, layout.together), dtype)
    step = max(1, _SLICE // layout.row_bytes)
    for top in range(0, len(rows), step):
        some = rows[top : top + step]
        if layout.is_float:
            out[top : top + step] = _from_float(_floats(some, layout))
        else:
            values = _integers(some, layout)
            out[top : top + step] = values if layout.photometric == PALETTE else _stretched(values, layout.bits)
    return out


def _integers(rows: Array, layout: Layout) -> Array:
    """Return whole numbers (n, w, S), uint8, uint16 or uint32, as stored; the horizontal predictor is undone."""
    shape = (len(rows), layout.block_width, layout.together)
    if layout.bits in (8, 16, 32):
        values = rows.view(f"{layout.order}u{layout.bits // 8}").astype(f"u{layout.bits // 8}").reshape(shape)
    elif layout.bits == 24:
        parts = rows.reshape(*shape, 3).astype(np.uint32)
        first, last = (0, 2) if layout.order == ">" else (2, 0)
        values = parts[..., first] << 16 | parts[..., 1] << 8 | parts[..., last]
    else:
        values = _from_bits(rows, layout.bits, shape)
    if layout.predictor == HORIZONTAL:
        values = np.cumsum(values, axis=1, dtype=values.dtype)
        if layout.bits not in (8, 16, 32):
            values &= values.dtype.type((1 << layout.bits) - 1)
    return values


def _from_bits(rows: Array, bits: int, shape: tuple[int, int, int]) -> Array:
    """Return samples of 1 to 23 bit that follow each other without a gap, the highest bit first: uint32."""
    padded = np.pad(rows, ((0, 0), (0, 4)))
    begin = np.arange(shape[1] * shape[2]) * bits
    window = np.zeros((len(rows), len(begin)), np.uint32)
    for byte in range(4):
        window = window << np.uint32(8) | padded[:, (begin >> 3) + byte]
    window = window << (begin & 7).astype(np.uint32) >> np.uint32(32 - bits)
    return window.reshape(shape)


def _floats(rows: Array, layout: Layout) -> Array:
    """Return floating-point samples (n, w, S), with either predictor undone."""
    size = layout.bits // 8
    shape = (len(rows), layout.block_width, layout.together)
    if layout.predictor == FLOATING:  # differences of bytes; the highest bytes of a row's samples stand first
        summed = np.cumsum(rows.reshape(len(rows), -1, layout.together), axis=1, dtype=np.uint8)
        parts = summed.reshape(len(rows), size, -1).swapaxes(1, 2)
        return np.ascontiguousarray(parts).view(f">f{size}").astype(f"f{size}").reshape(shape)
    stored = rows.view(f"{layout.order}u{size}").astype(f"u{size}").reshape(shape)
    if layout.predictor == HORIZONTAL:
        stored = np.cumsum(stored, axis=1, dtype=stored.dtype)
    return stored.view(f"f{size}")


def _from_float(values: Array) -> Array:
    """Return 0 to 1 as 0 to 65535.

    :raises FormatUnsupported: naming the first number that is beyond 0 to 1, or none.
    """
    light = values.astype(np.float64) * 65535
    wrong = ~((light >= -0.5) & (light <= 65535.5))  # what rounds to black and to white is that
    if wrong.any():
        raise FormatUnsupported(
            f"the TIFF holds the floating-point number {float(values[wrong][0]):g}; 0 is read as black and 1 as white, "
            "and nothing beyond: export it with whole numbers of 16 bit, or bring it to that range"
        )
    return np.clip(np.rint(light), 0, 65535).astype(np.uint16)


def _stretched(values: Array, bits: int) -> Array:
    """Stretch whole numbers of 1 to 32 bit over the full range of uint8, or of uint16 above 8 bit, rounded."""
    if bits in (8, 16):
        return values
    full, most = (1 << bits) - 1, 255 if bits < 8 else 65535
    wide = values.astype(np.uint64)
    return ((wide * np.uint64(most) + np.uint64(full // 2)) // np.uint64(full)).astype(
        np.uint8 if bits < 8 else np.uint16
    )
