"""The original `realesrgan` package behind the engine's interface, for parity tests and for users who want exactly it.

It is faithful to the original, faults included: dark halos around transparency, 16 bit guessed from the pixels, results
resized after rounding, 10 pixels around tiles. The report's notes say which of these happened to a picture.
"""

import contextlib
import io
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from math import ceil
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from jobs.engine.backends import reference_imports
from jobs.engine.backends.foreign import require_ours
from jobs.engine.backends.network_cache import NetworkPool, weights_errors
from jobs.engine.errors import ImageRejected, OutOfMemory, WeightsRejected
from jobs.engine.tiling.cost import BORDER, choose_tile
from jobs.engine.tiling.passes import LARGEST_SCALE, SMALLEST_SCALE
from jobs.engine.types import Frame, OnTile, Picture, Report, UpscaleOptions, Weights
from modelstore.networks.checkpoint import content, inspect
from modelstore.networks.spec import NetworkSpec

#: RealESRGANer's own default.
_TILE_PAD = 10

Array = NDArray[Any]


def upscale(
    pool: NetworkPool, picture: Picture, weights: Weights, options: UpscaleOptions, on_tile: OnTile | None
) -> tuple[Picture, Report]:
    """Upscale as `Upscaler.upscale` does, by RealESRGANer: (H, W, 1 or 3) frames in, (H*scale, W*scale, same) out.

    :raises DeviceUnavailable: when the package is not installed.
    :raises WeightsRejected: when it cannot load the file.
    :raises ImageRejected: when a side has 10 px or fewer.
    """
    if min(picture.width, picture.height) <= BORDER:
        raise ImageRejected(
            f"the image is {picture.width}×{picture.height} px; the reference needs more than {BORDER} px a side"
        )
    place = pool.place(options.precision)
    started = time.perf_counter()
    spec, engine = _engine(weights, place.device, half=place.precision == "fp16")
    loaded = time.perf_counter()
    scale = float(spec.scale) if options.outscale is None else options.outscale
    if not SMALLEST_SCALE <= scale <= LARGEST_SCALE:
        raise ValueError(f"a scale of {scale:g}; {SMALLEST_SCALE:g} to {LARGEST_SCALE:g} are possible")
    pad = _TILE_PAD if options.tile_pad is None else options.tile_pad
    tile = options.tile_size
    if tile is None:
        tile = choose_tile(spec, picture.width, picture.height, kind=place.kind, pad=pad, free_bytes=place.free_bytes())
    engine.tile_size, engine.tile_pad = tile, pad
    planes = sum(2 if frame.alpha is not None else 1 for frame in picture.frames)
    per_plane = ceil((picture.width + BORDER) / tile) * ceil((picture.height + BORDER) / tile) if tile else 1
    tiles = _Counter(per_plane * planes, on_tile)
    notes = list(picture.notes)
    frames = []
    for frame in picture.frames:
        if picture.bits == 16 and int(frame.color.max()) <= 256:
            notes.append("the reference reads this dark 16-bit picture as 8-bit")
        frames.append(_frame(engine, frame, scale, tiles))
        tiles.reach(per_plane * (2 if frame.alpha is not None else 1))
    if scale > spec.scale:
        notes.append("the reference interpolates above the network's own scale")
    report = Report(
        model=weights.name,
        device=place.device,
        device_name=place.name,
        backend="reference",
        precision=place.precision,
        scale=scale,
        tile_size=tile,
        tile_pad=pad if tile else 0,
        tiles=tiles.done,
        passes=1,
        seconds={"load": loaded - started, "infer": time.perf_counter() - loaded},
        notes=tuple(dict.fromkeys(notes)),
    )
    return replace(picture, frames=tuple(frames)), report


def _engine(weights: Weights, device: str, *, half: bool) -> tuple[NetworkSpec, Any]:
    realesrganer, rrdbnet, srvgg = reference_imports.load()
    # The package reads by path, so it gets copies of the bytes that were hashed.
    with tempfile.TemporaryDirectory(prefix="weights-") as folder, weights_errors():
        paths = []
        for index, (path, sha256) in enumerate(weights.files):
            paths.append(Path(folder, f"{index}-{path.name}"))
            paths[-1].write_bytes(content(path, sha256=sha256))
        spec = inspect(paths[0])
        require_ours(spec, "reference")
        return spec, _load(realesrganer, _network(spec, rrdbnet, srvgg), spec, paths, weights, device, half=half)


def _network(spec: NetworkSpec, rrdbnet: Any, srvgg: Any) -> Any:
    if spec.architecture == "srvggnet":
        return srvgg(3, 3, num_feat=spec.features, num_conv=spec.blocks, upscale=spec.scale, act_type="prelu")
    return rrdbnet(3, 3, spec.scale, num_feat=spec.features, num_block=spec.blocks, num_grow_ch=spec.growth)


def _load(
    realesrganer: Any, network: Any, spec: NetworkSpec, paths: list[Path], weights: Weights, device: str, *, half: bool
) -> Any:
    mixed = len(paths) > 1
    try:
        return realesrganer(
            scale=spec.scale,
            model_path=[str(path) for path in paths] if mixed else str(paths[0]),
            dni_weight=[weights.blend, 1 - weights.blend] if mixed else None,
            model=network,
            pre_pad=BORDER,
            half=half,
            device=torch.device(device),
        )
    except (RuntimeError, KeyError, TypeError, OSError, EOFError, ValueError) as error:
        raise WeightsRejected(
            f"the reference package cannot load {weights.path.name}: it reads .pth files with today's key names only"
        ) from error


def _frame(engine: Any, frame: Frame, scale: float, tiles: "_Counter") -> Frame:
    gray = frame.color.shape[2] == 1
    source: Array = frame.color[:, :, 0]  # (H, W)
    if frame.alpha is not None:
        color: Array = np.repeat(frame.color, 3, axis=2) if gray else frame.color[:, :, ::-1]  # (H, W, 3) BGR
        source = np.dstack((color, frame.alpha))  # (H, W, 4) BGRA
    elif not gray:
        source = cv2.cvtColor(frame.color, cv2.COLOR_RGB2BGR)  # (H, W, 3) BGR
    with _listening(tiles), torch.no_grad():
        out, _ = engine.enhance(source, outscale=scale)
    out = out.astype(frame.color.dtype, copy=False)
    if out.ndim == 2:
        return replace(frame, color=out[:, :, np.newaxis])
    alpha = np.ascontiguousarray(out[:, :, 3]) if frame.alpha is not None else None
    color = out[:, :, :1] if gray else out[:, :, 2::-1]
    return replace(frame, color=np.ascontiguousarray(color), alpha=alpha)


class _Counter:
    """A counter of finished tiles that calls the caller's callback."""

    def __init__(self, total: int, on_tile: OnTile | None) -> None:
        self.done = 0
        self.total = total
        self._on_tile = on_tile
        self._floor = 0

    def step(self) -> None:
        self.done += 1
        if self._on_tile is not None:
            self._on_tile(self.done, self.total)

    def reach(self, count: int) -> None:
        """Count up to the end of a frame of that many tiles: without tiling, the package prints none."""
        self._floor += count
        while self.done < self._floor:
            self.step()


class _Listener(io.TextIOBase):
    """A text stream that reads what RealESRGANer prints: tiles, and errors that it then ignores."""

    def __init__(self, tiles: _Counter) -> None:
        self._tiles = tiles

    def write(self, text: str) -> int:
        if text.startswith("\tTile "):
            self._tiles.step()
        elif text == "Error":
            # The package would go on and paste the previous tile in the place of this one.
            raise OutOfMemory("the reference package failed on a tile, most likely for want of memory")
        return len(text)


@contextlib.contextmanager
def _listening(tiles: _Counter) -> Iterator[None]:
    with contextlib.redirect_stdout(_Listener(tiles)):
        yield
