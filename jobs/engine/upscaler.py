"""The upscaler: a picture through a network, tile by tile, with a report of what happened."""

import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from jobs.engine import linear_light
from jobs.engine.backends.device_errors import device_errors
from jobs.engine.backends.network_cache import NetworkPool
from jobs.engine.tile_runner import Run, fill
from jobs.engine.tiling import alpha as transparency
from jobs.engine.tiling import flat, gain_map
from jobs.engine.tiling.canvas import Canvas
from jobs.engine.tiling.cost import ITEM_BYTES, plan_plane, wants_whole
from jobs.engine.tiling.passes import plan_passes
from jobs.engine.tiling.tiles import TilePlan
from jobs.engine.types import Frame, OnTile, Picture, Report, UpscaleOptions, Weights

Array = NDArray[Any]


#: Frames are computed together up to so many input pixels.
_PIXELS_AT_ONCE = 1 << 20


class Upscaler:
    """Runs networks of one pool over pictures. Holds nothing of a picture after the call."""

    def __init__(self, pool: NetworkPool) -> None:
        self.pool = pool

    @device_errors()
    def upscale(
        self,
        picture: Picture,
        weights: Weights,
        options: UpscaleOptions | None = None,
        on_tile: OnTile | None = None,
    ) -> tuple[Picture, Report]:
        """Return the picture enlarged, with the bit depth, channels, alpha, frames and metadata that it came with.

        Frames of (H, W, 1 or 3) become (H*scale, W*scale, same channels) of the same dtype, RGB or gray, full range. A
        gain map grows beside them.

        :param on_tile: called after every tile with (done, total); what it raises, such as Cancelled, passes through.
            The total grows only when the device runs out of memory and tiles are halved.
        :raises WeightsRejected: when the weights are unusable.
        :raises DeviceUnavailable: when this machine lacks the device or the precision.
        :raises OutOfMemory: when even the smallest tile does not fit.
        :raises DeviceLost: when the device failed; the process must end.
        """
        options = options or UpscaleOptions()
        started = time.perf_counter()
        if self.pool.runtime.backend == "reference":
            from jobs.engine.backends.reference import upscale as by_reference  # noqa: PLC0415 - the package behind it is optional

            result, report = by_reference(self.pool, picture, weights, options, on_tile)
            return _with_gain_map(picture, result), report
        network = self.pool.get(weights, options.precision)
        loaded = time.perf_counter()
        run = Run(pool=self.pool, network=network, weights=weights, options=options, on_tile=on_tile)
        if self.pool.gave_up(weights):
            asked = self.pool.place(options.precision).precision
            reduced = "bf16" if asked == "fp32" else asked  # "auto" begins in fp32 on a CPU
            run.notes.append(f"{reduced} overflowed for this network before; computed in fp32")
        passes = plan_passes(picture.width, picture.height, network.spec.scale, options.outscale)
        plans = [self._plan(run, width, height) for width, height in passes.inputs]
        run.tile, run.pad = plans[-1].tile, plans[-1].pad
        seen = linear_light.as_srgb(picture)
        if seen:
            run.notes.append("linear light: the network saw the picture as sRGB")
        groups = _groups(seen or picture)
        for group in groups:
            for planes in (len(group), sum(_alpha_varies(frame) for frame in group)):
                for plan in plans:
                    run.expect([tile for row in plan.rows for tile in row] * planes)
        size = (passes.width, passes.height)
        frames = tuple(frame for group in groups for frame in self._frames(run, group, plans, size))
        if seen:
            frames = linear_light.as_linear(frames, picture)
        place = network.place
        report = Report(
            model=weights.name,
            device=place.device,
            device_name=place.name,
            backend=place.backend,
            precision=place.precision,
            scale=passes.scale,
            tile_size=run.tile,
            tile_pad=run.pad,
            tiles=run.done,
            passes=len(passes.inputs),
            fp32_redone_tiles=run.redone,
            out_of_memory_shrinks=run.shrinks,
            seconds={"load": loaded - started, "infer": time.perf_counter() - loaded},
            choice=place.choice,
            notes=(*([place.note] if place.note else []), *picture.notes, *dict.fromkeys(run.notes)),
        )
        return _with_gain_map(picture, replace(picture, frames=frames)), report

    def _plan(self, run: Run, width: int, height: int) -> TilePlan:
        place = run.network.place
        asked = run.options.tile_size
        plan = plan_plane(
            run.network.spec,
            width,
            height,
            tile_size=run.options.tile_size,
            tile_pad=run.options.tile_pad,
            kind=place.kind,
            free_bytes=place.free_bytes(),
            item_bytes=ITEM_BYTES[place.precision],
        )
        if asked is not None and plan.tile and (asked == 0 or plan.tile < asked):
            run.notes.append(f"tiles of {plan.tile} px: {place.name} takes no more in one call")
        elif plan.tile and wants_whole(run.network.spec):
            run.notes.append(f"tiles of {plan.tile} px, though this network wants the whole picture: memory is short")
        return plan

    def _frames(self, run: Run, frames: Sequence[Frame], plans: list[TilePlan], target: tuple[int, int]) -> list[Frame]:
        opaque = [
            frame.color if frame.alpha is None else transparency.bleed(frame.color, frame.alpha) for frame in frames
        ]
        colors = self._planes(run, opaque, plans, target)
        for color, source in zip(colors, opaque, strict=True):
            if run.options.hold_flat == "areas":
                flat.hold(color, source)
            elif run.options.hold_flat == "whole" and (source == source[0, 0]).all():
                color[:] = source[0, 0]
        varying = [
            frame.alpha[:, :, np.newaxis] for frame in frames if frame.alpha is not None and _alpha_varies(frame)
        ]
        alphas = iter(self._planes(run, varying, plans, target))
        return [
            replace(frame, color=color, alpha=_alpha(frame.alpha, color, alphas, target))
            for frame, color in zip(frames, colors, strict=True)
        ]

    def _planes(
        self, run: Run, planes: Sequence[Array], plans: list[TilePlan], target: tuple[int, int]
    ) -> Sequence[Array]:
        """Run all passes over (H, W, C) planes. Between passes they are uint16, 257 times finer than 8 bit."""
        if not planes:
            return ()
        dtype = planes[0].dtype
        scale = run.network.spec.scale
        for index, step in enumerate(plans):
            last = index == len(plans) - 1
            native = (step.width * scale, step.height * scale)
            canvases = [
                Canvas(
                    native=native,
                    target=target if last else native,
                    channels=plane.shape[2],
                    dtype=dtype if last else np.dtype(np.uint16),
                )
                for plane in planes
            ]
            fill(run, planes, step, canvases)
            planes = [canvas.result for canvas in canvases]
        return planes


def _with_gain_map(before: Picture, after: Picture) -> Picture:
    """Let the gain map grow beside the picture."""
    if before.gain_map is None:
        return after
    sizes = (before.width, before.height), (after.width, after.height)
    return replace(after, gain_map=gain_map.enlarged(before.gain_map, *sizes))


def _groups(picture: Picture) -> list[tuple[Frame, ...]]:
    """Group frames that are computed together: one small frame alone leaves a large device idle."""
    count = max(1, _PIXELS_AT_ONCE // (picture.width * picture.height))
    return [picture.frames[start : start + count] for start in range(0, len(picture.frames), count)]


def _alpha(source: Array | None, color: Array, upscaled: Iterator[Array], target: tuple[int, int]) -> Array | None:
    """Return the frame's new alpha (H*s, W*s): upscaled, or its one value. Clear colour where alpha is 0, in place."""
    if source is None:
        return None
    value = transparency.constant(source)
    if value is not None:
        return np.full((target[1], target[0]), value, source.dtype)
    alpha = next(upscaled)[:, :, 0]  # (H*s, W*s)
    transparency.restore_extremes(alpha, source)
    color[alpha == 0] = 0  # nothing is hidden under full transparency
    return alpha


def _alpha_varies(frame: Frame) -> bool:
    return frame.alpha is not None and transparency.constant(frame.alpha) is None
