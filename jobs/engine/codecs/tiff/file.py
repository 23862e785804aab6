"""The TIFF plugin: pages only, every kind of pixel that has an agreed meaning, and the others refused by name."""

import io
from typing import IO, Any

import numpy as np
from PIL import Image, ImageFile, ImagePalette
from PIL.TiffImagePlugin import TiffImageFile

from jobs.engine.codecs.color import pixels as color
from jobs.engine.codecs.foreign import RAW
from jobs.engine.codecs.metadata.read import fitting_profile
from jobs.engine.codecs.tiff import big_endian, directories, layout, samples
from jobs.engine.codecs.tiff.layout import CMYK, COLORS, LAB, PALETTE, RGB, WHITE_IS_ZERO, YCBCR, Layout
from jobs.engine.errors import FormatUnsupported
from jobs.engine.types import Frame

_BITS, _COMPRESSION, _PHOTOMETRIC, _FILL_ORDER, _SAMPLES, _PLANAR, _EXTRA = 258, 259, 262, 266, 277, 284, 338
_COLOR_MAP, _FORMAT = 320, 339
_MODES = {(False, False): "RGB", (False, True): "RGBA", (True, False): "L", (True, True): "LA"}


class TiffFile(TiffImageFile):
    """A TIFF whose pixels `arrays` returns. ``pages`` are the directories that are pictures; it stands at the first.

    ``is_cut`` tells that the file ends before a further one.
    JPEG, CCITT and the usual kinds of up to 8 bit are Pillow's; for all others it is told of gray or RGB of 8 bit, so
    that it reads what stands beside the pixels, and `samples` reads the pixels.
    """

    def __init__(self, file: IO[bytes], filename: str = "") -> None:
        found = directories.read(file)
        if found.is_raw:
            raise FormatUnsupported(RAW)
        self.pages = found.pages
        self.is_cut = found.is_cut
        if big_endian.is_big_endian_big_tiff(file):
            file = io.BytesIO(big_endian.as_classic(file))
        super().__init__(file, filename)
        if self.pages[0].number:
            self.seek(self.pages[0].number)

    def _setup(self) -> None:
        if self.tell() not in (page.number for page in self.pages):
            self._mode, self._size, self.tile = "L", (1, 1), []  # a smaller copy or a mask: nobody asks for it
            return
        self.layout: Layout = layout.of(self.tag_v2)
        if not self.layout.by_pillow:
            self._pretend()
            return
        super()._setup()
        if self.layout.photometric == YCBCR and not self.use_load_libtiff:
            self._by_libtiff()
        if self.mode == "P" and max(self.layout.color_map) < 256:  # some writers forget that palettes have 16 bit
            self.palette = ImagePalette.raw("RGB;L", bytes(self.layout.color_map))

    def _pretend(self) -> None:
        """Let Pillow set up gray or RGB of 8 bit."""
        found = self.layout
        is_gray = COLORS[found.photometric] == 1 and found.photometric != PALETTE
        alpha = found.alpha is not None
        count = (1 if is_gray else 3) + alpha
        pretended: dict[int, Any] = {
            _BITS: (8,) * count, _COMPRESSION: 1, _PHOTOMETRIC: 1 if is_gray else RGB, _FILL_ORDER: 1, _SAMPLES: count,
            _PLANAR: 1, _FORMAT: (1,) * count, _EXTRA: (2,) if alpha else None,
        }  # fmt: skip
        real = {tag: self.tag_v2.get(tag) for tag in pretended}
        self._put(pretended)
        super()._setup()
        self._put(real)
        self._mode = _MODES[is_gray, alpha]
        self.tile = []

    def _put(self, values: dict[int, Any]) -> None:
        for tag, value in values.items():
            if value is not None:
                self.tag_v2[tag] = value
            elif tag in self.tag_v2:
                del self.tag_v2[tag]

    def _by_libtiff(self) -> None:
        """Let libtiff decode YCbCr that is not compressed: Pillow itself knows no subsampling."""
        self._mode, self.use_load_libtiff = "RGB", True
        extent = (0, 0, self.layout.width, self.layout.height)
        arguments = ("RGBX", False, self.tag_v2.offset)
        self.tile = [ImageFile._Tile("libtiff", extent, 0, arguments)]  # noqa: SLF001 - no other name for it

    def load(self) -> Any:
        """Make Pillow's pixels, upright; those that `samples` reads become 8 bit, for who wants to see them small."""
        if self.layout.by_pillow:
            return super().load()
        if self._im is None:
            pixels, alpha, _ = self._own(None)
            if pixels.dtype == np.uint16:
                pixels, alpha = (pixels >> 8).astype(np.uint8), None if alpha is None else (alpha >> 8).astype(np.uint8)
            self.im = color.to_image(Frame(pixels, alpha)).im
            self.load_end()
        return Image.Image.load(self)

    def arrays(self, icc: bytes | None) -> tuple[color.Array, color.Array | None, bytes | None]:
        """Return the page's colour (H, W, 1 or 3), alpha (H, W) or None, and the ICC profile that fits; upright.

        uint8 or uint16 over the full range, the latter where the file has more than 8 bit. CMYK and L*a*b* become sRGB
        of 8 bit.

        :raises FormatUnsupported: for floating point beyond 0 to 1.
        """
        if self.layout.by_pillow:
            self.load()
            return color.to_arrays(self.copy(), icc)
        pixels, alpha, icc = self._own(icc)
        turn = self.layout.orientation
        return color.turn(pixels, turn), None if alpha is None else color.turn(alpha, turn), icc

    def _own(self, icc: bytes | None) -> tuple[color.Array, color.Array | None, bytes | None]:
        """Return what `arrays` does of a page that is not Pillow's, not yet turned."""
        found = self.layout
        if self.fp is None:
            raise ValueError("the file is closed")
        stored = samples.read(self.fp, found)
        most = np.iinfo(stored.dtype).max
        pixels = np.ascontiguousarray(stored[:, :, : COLORS[found.photometric]])
        alpha = None if found.alpha is None else stored[:, :, found.alpha].copy()
        if alpha is not None and found.premultiplied:
            pixels = color.straight(pixels, alpha)
        if found.photometric == PALETTE:
            pixels, alpha = self._looked_up(pixels, alpha)
        elif found.photometric == WHITE_IS_ZERO:
            pixels = most - pixels
        elif found.photometric in (CMYK, LAB):
            eight = pixels if most == 255 else _in_eight(pixels)
            mode = "CMYK" if found.photometric == CMYK else "LAB"
            image = Image.frombytes(mode, (found.width, found.height), eight.tobytes(), "raw", mode)
            pixels, _, icc = color.to_arrays(image, icc)
            return pixels, alpha if alpha is None or most == 255 else _in_eight(alpha), icc
        return pixels, alpha, fitting_profile(icc, pixels.shape[2])

    def _looked_up(self, indices: color.Array, alpha: color.Array | None) -> tuple[color.Array, color.Array | None]:
        """Return a palette's colours (H, W, 3) for indices (H, W, 1), in the indices' dtype, and alpha to fit."""
        colors = np.array(self.layout.color_map, np.uint16).reshape(3, -1).T  # (colours, 3)
        if colors.max() < 256:
            colors *= 257
        if indices.dtype == np.uint8:
            return (colors >> 8).astype(np.uint8)[indices[:, :, 0]], _widened(alpha, self.layout.bits, 255)
        return colors[indices[:, :, 0]], _widened(alpha, self.layout.bits, 65535)

    def notes(self) -> tuple[str, ...]:
        """Return what of this page's pixels is not kept."""
        found, kept = self.layout, []
        if found.photometric in (CMYK, LAB) and found.bits > 8:
            kept.append(f"{'CMYK' if found.photometric == CMYK else 'LAB'} of {found.bits} bit became sRGB of 8 bit")
        elif found.is_float:
            kept.append(f"not kept: floating point of {found.bits} bit, read as 16 bit per channel")
        elif found.bits > 16:
            kept.append(f"not kept: {found.bits} bit per channel, read as 16")
        if found.further:
            kept.append(f"not kept: {found.further} further sample{'s'[: found.further > 1]} of each pixel")
        return tuple(kept)


def _in_eight(values: color.Array) -> color.Array:
    """Return uint16 over the full range as uint8, rounded."""
    return ((values.astype(np.uint32) + 128) // 257).astype(np.uint8)


def _widened(alpha: color.Array | None, bits: int, most: int) -> color.Array | None:
    """Stretch alpha that was read as a palette's index: it has as many bits."""
    if alpha is None:
        return None
    full = (1 << bits) - 1
    return ((alpha.astype(np.uint32) * most + full // 2) // full).astype(alpha.dtype)
