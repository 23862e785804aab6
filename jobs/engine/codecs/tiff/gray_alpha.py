"""TIFF that Pillow refuses: gray with alpha at 16 bit, which OpenCV reads as 8-bit gray without it; 10 to 14 bit."""

import sys
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from PIL.TiffImagePlugin import TiffImageFile

from jobs.engine.codecs.foreign import RAW
from jobs.engine.codecs.tiff import directories
from jobs.engine.errors import FormatUnsupported

_BITS, _PHOTOMETRIC, _SAMPLES, _PLANAR, _EXTRA, _FORMAT = 258, 262, 277, 284, 338, 339
_UNASSOCIATED = 2


class DeepGrayAlphaTiff(TiffImageFile):
    """A TIFF plugin that opens such a file as RGBA of 8 bit (as many bytes per pixel), and any other as Pillow does.

    So Pillow's own code does strips and tiles, every compression, and the turning by orientation. ``pages`` are the
    numbers of the directories that are pictures by themselves; the image stands at the first of them.
    """

    def __init__(self, file: IO[bytes], filename: str = "") -> None:
        found = directories.read(file)
        if found.is_raw:
            raise FormatUnsupported(RAW)
        self.pages = found.pages
        super().__init__(file, filename)
        if self.pages[0]:
            self.seek(self.pages[0])

    def _setup(self) -> None:
        tags = self.tag_v2
        kind = (tags.get(_BITS), tags.get(_SAMPLES), tags.get(_PLANAR, 1), tags.get(_PHOTOMETRIC))
        extra = tags.get(_EXTRA, ())
        #: The meaning of the second sample (TIFF 6.0, ExtraSamples): 0 unspecified, 1 premultiplied, 2 alpha.
        self.deep_gray: int | None = None
        self.is_packed = False
        if kind in (((16,), 1, 1, 0), ((16,), None, 1, 0)):
            pretended: dict[int, Any] = {_PHOTOMETRIC: 1}  # white is zero: Pillow opens it in one byte order only
        elif kind in (((16, 16), 2, 1, 0), ((16, 16), 2, 1, 1)) and len(extra) == 1:
            pretended = {_BITS: (8,) * 4, _SAMPLES: 4, _PHOTOMETRIC: 2, _EXTRA: (_UNASSOCIATED,)}
            self.deep_gray = int(extra[0])
        elif _is_packed(tags):
            self.is_packed = True
            pretended = {_BITS: (8,) * len(tags[_BITS])}
            if tags.get(_PHOTOMETRIC) == 0:
                pretended[_PHOTOMETRIC] = 1
        else:
            super()._setup()
            return
        real = {tag: tags[tag] for tag in pretended}
        for tag, value in pretended.items():
            tags[tag] = value
        super()._setup()
        for tag, value in real.items():
            tags[tag] = value

    def load(self) -> Any:
        """Load the pixels; those of 10 to 14 bit OpenCV decodes, and here they are opened only."""
        if self.is_packed:
            raise OSError("samples of 10 to 14 bit")
        return super().load()

    def samples(self) -> tuple[NDArray[np.uint16], NDArray[np.uint16] | None]:
        """Return the loaded file's gray (H, W, 1) and alpha (H, W) or None, uint16 as stored, black always 0."""
        # libtiff gives the machine's byte order, uncompressed strips come in the file's.
        native = "<" if sys.byteorder == "little" else ">"
        order = native if self.use_load_libtiff else "<" if self.tag_v2.prefix == b"II" else ">"
        both: NDArray[Any] = np.asarray(self).view(f"{order}u2").astype(np.uint16)  # (H, W, 4) u1 -> (H, W, 2) u2
        gray, second = both[:, :, :1].copy(), both[:, :, 1].copy()
        if self.tag_v2.get(_PHOTOMETRIC) == 0:
            gray = np.uint16(65535) - gray
        return gray, second if self.deep_gray else None


def _is_packed(tags: Any) -> bool:
    """Return True for gray and RGB of 10, 12 or 14 bit, sample behind sample; no for the kind that Pillow opens."""
    bits, samples = tags.get(_BITS, ()), tags.get(_SAMPLES, 1)
    fits = (samples, tags.get(_PHOTOMETRIC)) in ((1, 0), (1, 1), (3, 2)) and tags.get(_PLANAR, 1) == 1
    if tags.prefix == b"II" and bits == (12,) and tags.get(_PHOTOMETRIC) == 1:
        return False
    return fits and bits in tuple((depth,) * samples for depth in (10, 12, 14)) and set(tags.get(_FORMAT, (1,))) == {1}


def deep_gray_alpha(image: Image.Image) -> bool:
    """Return True if ``image`` is one of these."""
    return isinstance(image, DeepGrayAlphaTiff) and image.deep_gray is not None
