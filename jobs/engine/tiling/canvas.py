"""Canvas: finished tiles put together, and the one resize from unrounded pixels, strip by strip."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

#: Lanczos with three lobes reaches this many source pixels at enlargement, times the ratio at reduction.
_LOBES = 3
#: Rows that are resampled at once: a strip of 12 MP wide rows stays in the megabytes.
_STRIP = 256


class Canvas:
    """A plane that takes blocks, row of tiles by row of tiles, and ends as ``result``: (H, W, C) of the wanted dtype.

    Without a resize the blocks are written into the result at once. With one, they are held unrounded (uint16 for an
    8-bit result, float32 for a 16-bit one), only for as many rows as the filter still needs.
    """

    def __init__(
        self,
        *,
        native: tuple[int, int],
        target: tuple[int, int],
        channels: int,
        dtype: np.dtype[Any],
    ) -> None:
        """:param native: (width, height) of the network's output, in pixels.

        :param target: (width, height) of the result, in pixels.
        """
        self.native_width, self.native_height = native
        self.width, self.height = target
        self.result: NDArray[Any] = np.empty((self.height, self.width, channels), dtype)
        self.resizing = native != target
        #: The dtype in which `put` takes blocks.
        self.block_dtype = dtype
        if self.resizing:
            self.block_dtype = np.dtype(np.uint16 if dtype == np.uint8 else np.float32)
        self._full = {"uint8": 255.0, "uint16": 65535.0, "float32": 1.0}
        self._band: NDArray[Any] = np.empty((0, self.native_width, channels), self.block_dtype)
        self._band_top = 0
        self._written = 0
        self._seam: _Seam | None = None

    def put(self, x: int, y: int, block: NDArray[Any], *, fade_left: int = 0, fade_top: int = 0) -> None:
        """Place a block (h, w, C) of ``block_dtype``, fading its first columns and rows over what lies there.

        The rows that fade wait until their row of tiles is complete: fading block by block would leave an edge in the
        corners, where four of them meet.

        :param x, y: where the block begins, in network-output px; parts beyond the plane are cut off.
        :param fade_left, fade_top: columns and rows over which the block fades in, from weight 0 to 1.
        """
        height = min(block.shape[0], self.native_height - y)
        width = min(block.shape[1], self.native_width - x)
        fade_top = min(fade_top, height)
        if fade_top:
            if self._seam is None:
                self._seam = _Seam(y, np.zeros((fade_top, self.native_width, self.result.shape[2]), self.block_dtype))
            _fade(self._seam.rows[:, x : x + width], block[:fade_top, :width], fade_left)
            self._seam.there[x : x + width] = True
        under = self._rows(y + fade_top, y + height)
        _fade(under[:, x : x + width], block[fade_top:height, :width], fade_left)

    def _rows(self, top: int, bottom: int) -> NDArray[Any]:
        """Return a view of rows of the network-size plane, (rows, W, C): in the result itself or in the band."""
        if not self.resizing:
            return self.result[top:bottom]
        if bottom - self._band_top > self._band.shape[0]:
            grown = np.empty((bottom - self._band_top, *self._band.shape[1:]), self.block_dtype)
            grown[: self._band.shape[0]] = self._band
            self._band = grown
        return self._band[top - self._band_top : bottom - self._band_top]

    def finish_rows(self, bottom: int) -> None:
        """Mark all rows above ``bottom`` (network-output pixels) as complete, and resample those that can be."""
        if self._seam is not None:
            seam, self._seam = self._seam, None
            under = self._rows(seam.top, seam.top + len(seam.rows))
            weights = _ramp(len(seam.rows))[:, np.newaxis] * seam.there[np.newaxis, :]
            _mix(under, seam.rows, weights)
        if not self.resizing:
            return
        bottom = min(bottom, self.native_height)
        ratio = self.native_height / self.height
        reach = _LOBES * max(1.0, ratio) + 1
        last = bottom >= self.native_height
        ready = self.height if last else max(self._written, int((bottom - reach) / ratio))
        while self._written < ready:
            rows = min(_STRIP, ready - self._written)
            self._resample(self._written, rows, ratio)
            self._written += rows
        keep = max(0, int(self._written * ratio - reach) - 1)
        if keep > self._band_top:
            self._band = self._band[keep - self._band_top :].copy()
            self._band_top = keep

    def _resample(self, top: int, rows: int, ratio: float) -> None:
        """Resample rows ``top`` to ``top + rows`` of the result with Lanczos.

        Pillow's resize takes a fractional source box, and looks beyond it for the filter: strips join exactly.
        """
        reach = int(_LOBES * max(1.0, ratio)) + 2
        first = max(self._band_top, int(top * ratio) - reach)
        end = min(self._band_top + self._band.shape[0], int((top + rows) * ratio) + reach + 1)
        strip = self._band[first - self._band_top : end - self._band_top]
        box = (
            0.0,
            top * ratio - first,
            float(self.native_width),
            min((top + rows) * ratio - first, float(end - first)),
        )
        scale = self._full[self.result.dtype.name] / self._full[self._band.dtype.name]
        for channel in range(self.result.shape[2]):
            plane = Image.fromarray(np.ascontiguousarray(strip[:, :, channel]).astype(np.float32))
            resized = np.asarray(plane.resize((self.width, rows), Image.Resampling.LANCZOS, box=box))  # (rows, W)
            out = np.rint(np.clip(resized * scale, 0.0, self._full[self.result.dtype.name]))
            self.result[top : top + rows, :, channel] = out


class _Seam:
    """Rows (h, W, C) that fade over those above them, and which of their columns are there already."""

    def __init__(self, top: int, rows: NDArray[Any]) -> None:
        self.top = top
        self.rows = rows
        self.there = np.zeros(rows.shape[1], np.float32)


def _fade(under: NDArray[Any], block: NDArray[Any], left: int) -> None:
    """Write ``block`` over ``under``, from weight 0 to 1 over its first ``left`` columns.

    Where both agree nothing changes, whatever the weight; so exact tiles stay exact.
    """
    left = min(left, block.shape[1])
    if left:
        _mix(under[:, :left], block[:, :left], _ramp(left)[np.newaxis, :].repeat(len(block), axis=0))
    under[:, left:] = block[:, left:]


def _ramp(length: int) -> NDArray[Any]:
    return (np.arange(length, dtype=np.float32) + np.float32(0.5)) / np.float32(max(length, 1))


def _mix(under: NDArray[Any], block: NDArray[Any], weights: NDArray[Any]) -> None:
    mixed = under + (block.astype(np.float32) - under) * weights[:, :, np.newaxis]
    under[:] = mixed if under.dtype == np.float32 else np.rint(mixed)
