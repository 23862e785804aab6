"""BMP of every kind that browsers show: palettes, any bit masks, run lengths; Pillow knows eleven sets of masks.

Microsoft's BITMAPINFOHEADER to BITMAPV5HEADER and OS/2's headers, as collected by bmpsuite (Jason Summers). Pictures in
which JPEG or PNG data stands, and OS/2's Huffman and 24-bit run lengths, are refused by name.
"""

import struct
from dataclasses import dataclass
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFile

from jobs.engine.codecs.color.pixels import to_image
from jobs.engine.errors import FormatUnsupported
from jobs.engine.types import Frame

Array = NDArray[Any]

_FILE_HEADER = 14  # bytes
_CORE = 12  # the oldest header: 16-bit sizes, palettes of 3 bytes
_WINDOWS = (40, 52, 56, 108, 124)
_PLAIN, _RLE8, _RLE4, _MASKS, _ALPHA_MASKS = 0, 1, 2, 3, 6
_NAMES = {4: "JPEG data", 5: "PNG data"}
_DEPTHS = (1, 2, 4, 8, 16, 24, 32)
#: Red, green and blue where the file gives no masks.
_USUAL_MASKS = {16: (0x7C00, 0x3E0, 0x1F, 0), 32: (0xFF0000, 0xFF00, 0xFF, 0)}
_METERS_PER_INCH = 0.0254


@dataclass(frozen=True)
class _Layout:
    """Where and how pixels stand. ``masks`` are those of red, green, blue, alpha; ``palette`` is (n, 3) RGB uint8."""

    depth: int  # bits per pixel
    packing: int
    top_down: bool
    at: int  # bytes
    masks: tuple[int, int, int, int]
    palette: Array | None


class BmpFile(ImageFile.ImageFile):
    """A BMP: its header read at once, its pixels by `samples`, of 8 bit, or of 16 where a mask is wider."""

    format = "BMP"
    format_description = "Windows bitmap"
    bits = 8

    def _open(self) -> None:
        """Read the header; no pixel. Raises what `BROKEN_FILE` holds, or FormatUnsupported."""
        file = self.fp
        assert file is not None
        if file.read(2) != b"BM":
            raise SyntaxError("not a BMP file")
        file.seek(10)
        at, size = struct.unpack("<II", file.read(8))
        header = file.read(min(size, 124) - 4)
        if size < _CORE or size > 124 or len(header) < size - 4:
            raise SyntaxError(f"a header of {size} bytes")
        if size == _CORE:
            width, height, _, depth = struct.unpack("<4H", header)
            packing = colors = 0
        else:
            # OS/2's header may stop after any field; what is not there is 0.
            header = header.ljust(120, b"\0")
            width, height, _, depth, packing, _, across, down, colors = struct.unpack_from("<iiHHIIIII", header)
            if across and down:
                self.info["dpi"] = (across * _METERS_PER_INCH, down * _METERS_PER_INCH)
        self._refuse(size, depth, packing)
        masks = self._masks(file, header, size, depth, packing)
        palette = self._palette(file, depth, colors, 3 if size == _CORE else 4) if depth <= 8 else None
        self._layout = _Layout(depth, packing, height < 0, at if at > _FILE_HEADER else file.tell(), masks, palette)
        self._size = (width, abs(height))
        gray = palette is not None and bool((palette == palette[:, :1]).all())
        self._mode = "L" if gray else "RGBA" if masks[3] else "RGB"
        self.bits = 16 if max(mask.bit_count() for mask in masks) > 8 else 8

    @staticmethod
    def _refuse(size: int, depth: int, packing: int) -> None:
        windows = size in (_CORE, *_WINDOWS)
        known = (_PLAIN, _RLE8, _RLE4, *((_MASKS, _ALPHA_MASKS) if windows or size == 64 else ()))
        if packing not in known or (size == 64 and packing == _MASKS and depth == 1):
            kind = _NAMES.get(packing, f"compression {packing}") if windows else "an OS/2 compression"
            raise FormatUnsupported(f"the BMP file holds {kind}, which is not read")
        fits = {_RLE8: (8,), _RLE4: (4,), _MASKS: (16, 24, 32), _ALPHA_MASKS: (16, 24, 32)}.get(packing, _DEPTHS)
        if depth not in fits:
            raise SyntaxError(f"{depth} bits per pixel by compression {packing}")

    @staticmethod
    def _masks(file: IO[bytes], header: bytes, size: int, depth: int, packing: int) -> tuple[int, int, int, int]:
        """Return the masks of red, green, blue, alpha, each of adjoining bits; read behind the oldest headers."""
        masks = _USUAL_MASKS.get(depth, (0, 0, 0, 0))
        if packing in (_MASKS, _ALPHA_MASKS) and depth != 24:
            count = 4 if packing == _ALPHA_MASKS else 3
            if size >= 52:
                count = 4 if size >= 56 and size != 64 else count
                data = header[36 : 36 + 4 * count]
            else:
                data = file.read(4 * count)
            told = struct.unpack(f"<{count}I", data)
            if any(told):
                masks = (told[0], told[1], told[2], told[3] if count == 4 else 0)
        for mask in masks:
            ones = mask // (mask & -mask) if mask else 0
            if ones & (ones + 1) or (depth >= 16 and mask >> depth):
                raise SyntaxError(f"mask {mask:#x}")
        return masks

    @staticmethod
    def _palette(file: IO[bytes], depth: int, colors: int, entry: int) -> Array:
        """Return (n, 3) RGB uint8 with as many entries as the depth can name; those that are not there are black."""
        most = 1 << depth
        data = file.read(entry * min(colors or most, most))
        found = np.frombuffer(data[: len(data) // entry * entry], np.uint8).reshape(-1, entry)[:, 2::-1]
        palette = np.zeros((most, 3), np.uint8)
        palette[: len(found)] = found
        return palette

    def load(self) -> Any:
        """Make Pillow's pixels, of 8 bit, for who wants to see the picture small."""
        if self._im is None:
            color, alpha = self.samples()
            if color.dtype == np.uint16:
                color, alpha = (color >> 8).astype(np.uint8), None if alpha is None else (alpha >> 8).astype(np.uint8)
            self.im = to_image(Frame(color, alpha)).im
        return Image.Image.load(self)

    def samples(self) -> tuple[Array, Array | None]:
        """Return colour (H, W, 1 or 3) gray or RGB, and alpha (H, W) or None: uint8, or uint16 where a mask is wider.

        :raises OSError: when the pixels end early.
        """
        layout = self._layout
        stored = self._indices_by_runs() if layout.packing in (_RLE8, _RLE4) else self._rows()
        if not layout.top_down:
            stored = stored[::-1]
        if layout.palette is not None:
            palette = layout.palette[:, :1] if self.mode == "L" else layout.palette
            return np.ascontiguousarray(palette[stored]), None
        if layout.depth == 24:
            return np.ascontiguousarray(stored[:, :, ::-1]), None
        *color, alpha = (self._channel(stored, mask) for mask in layout.masks)
        return np.stack(color, axis=2), alpha if layout.masks[3] else None

    def _rows(self) -> Array:
        """Return the pixels as stored, in the file's order: (H, W) of indices or numbers, (H, W, 3) BGR of 24 bit."""
        width, height = self.size
        depth = self._layout.depth
        stride = (width * depth + 31) // 32 * 4  # rows end on 4 bytes
        needed = (width * depth + 7) // 8
        file = self.fp
        assert file is not None
        file.seek(self._layout.at)
        data = file.read(stride * height)
        if len(data) < stride * (height - 1) + needed:
            raise OSError("image file is truncated")
        rows: Array = np.frombuffer(data.ljust(stride * height, b"\0"), np.uint8).reshape(height, stride)
        if depth == 24:
            return rows[:, : 3 * width].reshape(height, width, 3)
        if depth >= 8:
            return rows.view(f"<u{depth // 8}")[:, :width]
        shifts = np.arange(8 - depth, -1, -depth, dtype=np.uint8)
        return ((rows[:, :needed, np.newaxis] >> shifts) & ((1 << depth) - 1)).reshape(height, -1)[:, :width]

    def _channel(self, stored: Array, mask: int) -> Array:
        """Return one channel (H, W) stretched over the full range of 8 or 16 bit; 0 where there is no mask."""
        kind = np.uint16 if self.bits == 16 else np.uint8
        if not mask:
            return np.zeros(stored.shape, kind)
        full = mask // (mask & -mask)
        most = np.iinfo(kind).max
        values = (stored & mask) >> ((mask & -mask).bit_length() - 1)
        if full == most:
            return values.astype(kind)
        return ((values.astype(np.uint64) * most + full // 2) // full).astype(kind)

    def _indices_by_runs(self) -> Array:
        """Return indices (H, W) uint8, in the file's order, of run-length coding; pixels that no run names are 0.

        Runs are laid down whole, so the time goes with the file's length and not with the picture's.

        :raises OSError: when the data end before the picture or its end mark.
        """
        width, height = self.size
        file = self.fp
        assert file is not None
        file.seek(self._layout.at)
        data = file.read()
        small = self._layout.packing == _RLE4
        canvas = bytearray(width * height)
        x = y = at = 0
        while y < height:
            if at + 2 > len(data):
                if x >= width and y == height - 1:
                    break  # the last row is there, only the marks are not
                raise OSError("image file is truncated")
            count, value = data[at], data[at + 1]
            at += 2
            if count:
                run = bytes((value >> 4, value & 15)) * (count + 1 >> 1) if small else bytes((value,)) * count
            elif value == 0:  # the row's end
                x, y = 0, y + 1
                continue
            elif value == 1:  # the picture's end
                break
            elif value == 2:  # a step to the right and up
                if at + 2 > len(data):
                    raise OSError("image file is truncated")
                x, y, at = x + data[at], y + data[at + 1], at + 2
                continue
            else:  # pixels one by one, padded to 2 bytes
                count = value
                length = count + 1 >> 1 if small else count
                run = data[at : at + length]
                if len(run) < length:
                    raise OSError("image file is truncated")
                if small:
                    run = bytes(half for byte in run for half in (byte >> 4, byte & 15))
                at += length + length % 2
            room = max(0, min(count, width - x))
            canvas[y * width + x : y * width + x + room] = run[:room]
            x += count
        return np.frombuffer(bytes(canvas), np.uint8).reshape(height, width)
