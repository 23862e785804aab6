"""The upscaler: a picture through a network, or a chain of them, tile by tile, with a report of what happened."""

import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from jobs.engine import linear_light
from jobs.engine.backends.device_errors import device_errors
from jobs.engine.backends.network_cache import NetworkPool
from jobs.engine.errors import DeviceUnavailable
from jobs.engine.reports import report_of
from jobs.engine.tile_runner import Progress, Run, fill
from jobs.engine.tiling import alpha as transparency
from jobs.engine.tiling import flat, gain_map
from jobs.engine.tiling.canvas import Canvas
from jobs.engine.tiling.cost import ITEM_BYTES, frames_at_once, plan_plane, wants_whole
from jobs.engine.tiling.passes import plan_passes
from jobs.engine.tiling.tiles import TilePlan
from jobs.engine.types import Frame, OnTile, Picture, Report, UpscaleOptions, Weights

Array = NDArray[Any]


class _Chain:
    """The networks of one call in their order, each with its own state, and the steps that they take in turn."""

    def __init__(
        self,
        pool: NetworkPool,
        members: Sequence[Weights],
        picture: Picture,
        options: UpscaleOptions,
        on_tile: OnTile | None,
    ) -> None:
        progress = Progress(on_tile)
        self.runs = [_loaded(pool, weights, options, progress) for weights in members]
        self.passes = plan_passes(
            picture.width, picture.height, [run.network.spec.scale for run in self.runs], options.outscale
        )
        self.steps: list[tuple[Run, TilePlan]] = []
        for member, size in zip(self.passes.members, self.passes.inputs, strict=True):
            run = self.runs[member]
            plan = _plan(run, *size)
            run.tile, run.pad, run.passes = plan.tile, plan.pad, run.passes + 1
            self.steps.append((run, plan))

    @property
    def size(self) -> tuple[int, int]:
        """The result's (width, height) in pixels."""
        return self.passes.width, self.passes.height


class Upscaler:
    """Runs networks of one pool over pictures. Holds nothing of a picture after the call."""

    def __init__(self, pool: NetworkPool) -> None:
        self.pool = pool

    @device_errors()
    def upscale(
        self,
        picture: Picture,
        weights: Weights | Sequence[Weights],
        options: UpscaleOptions | None = None,
        on_tile: OnTile | None = None,
    ) -> tuple[Picture, Report]:
        """Return the picture enlarged, with the bit depth, channels, alpha, frames and metadata that it came with.

        Frames of (H, W, 1 or 3) become (H*scale, W*scale, same channels) of the same dtype, RGB or gray, full range. A
        gain map grows beside them.

        :param weights: of one network, or of a chain: the picture goes through all of them in their order, in 16 bit
            between them. What is done beside the networks (alpha, one colour, linear light, the resize) is done once.
        :param on_tile: called after every tile with (done, total); what it raises, such as Cancelled, passes through.
            The total grows only when the device runs out of memory and tiles are halved.
        :raises WeightsRejected: when the weights are unusable.
        :raises DeviceUnavailable: when this machine lacks the device or the precision, or a backend computes no chains.
        :raises OutOfMemory: when even the smallest tile does not fit.
        :raises DeviceLost: when the device failed; the process must end.
        :raises ValueError: when the scale is out of range, or there is no network at all.
        """
        options = options or UpscaleOptions()
        members = (weights,) if isinstance(weights, Weights) else tuple(weights)
        if not members:
            raise ValueError("a chain of no networks")
        if self.pool.runtime.backend == "reference":
            result, report = self._by_reference(picture, members, options, on_tile)
            return _with_gain_map(picture, result), report
        chain = _Chain(self.pool, members, picture, options, on_tile)
        started = time.perf_counter()
        seen = linear_light.as_srgb(picture)
        groups = _groups(seen or picture)
        for group in groups:
            for planes in (len(group), sum(_alpha_varies(frame) for frame in group)):
                for run, plan in chain.steps:
                    run.expect([tile for row in plan.rows for tile in row] * planes)
        frames = tuple(frame for group in groups for frame in self._frames(chain, group, options))
        if seen:
            frames = linear_light.as_linear(frames, picture)
        notes = (*picture.notes, *(["linear light: the network saw the picture as sRGB"] if seen else []))
        report = report_of(chain.runs, chain.passes, notes=notes, infer_seconds=time.perf_counter() - started)
        return _with_gain_map(picture, replace(picture, frames=frames)), report

    def _by_reference(
        self, picture: Picture, members: Sequence[Weights], options: UpscaleOptions, on_tile: OnTile | None
    ) -> tuple[Picture, Report]:
        if len(members) > 1:
            raise DeviceUnavailable(
                "the reference backend computes one model at a time, and rounds its result to 8 bit; a chain needs "
                "another (ENGINE_BACKEND=auto)"
            )
        from jobs.engine.backends.reference import upscale as by_reference  # noqa: PLC0415 - the package behind it is optional

        return by_reference(self.pool, picture, members[0], options, on_tile)

    def _frames(self, chain: _Chain, frames: Sequence[Frame], options: UpscaleOptions) -> list[Frame]:
        opaque = [
            frame.color if frame.alpha is None else transparency.bleed(frame.color, frame.alpha) for frame in frames
        ]
        colors = _planes(chain, opaque)
        for color, source in zip(colors, opaque, strict=True):
            if options.hold_flat == "areas":
                flat.hold(color, source)
            elif options.hold_flat == "whole" and (source == source[0, 0]).all():
                color[:] = source[0, 0]
        varying = [
            frame.alpha[:, :, np.newaxis] for frame in frames if frame.alpha is not None and _alpha_varies(frame)
        ]
        alphas = iter(_planes(chain, varying))
        return [
            replace(frame, color=color, alpha=_alpha(frame.alpha, color, alphas, chain.size))
            for frame, color in zip(frames, colors, strict=True)
        ]


def _loaded(pool: NetworkPool, weights: Weights, options: UpscaleOptions, progress: Progress) -> Run:
    """Load one network and begin its account."""
    started = time.perf_counter()
    network = pool.get(weights, options.precision)
    run = Run(pool, network, weights, options, progress, load_seconds=time.perf_counter() - started)
    if pool.gave_up(weights):
        asked = pool.place(options.precision).precision
        reduced = "bf16" if asked == "fp32" else asked  # "auto" begins in fp32 on a CPU
        run.notes.append(f"{reduced} overflowed for this network before; computed in fp32")
    return run


def _plan(run: Run, width: int, height: int) -> TilePlan:
    """Return the tiles of one pass of a network over planes of that size."""
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


def _planes(chain: _Chain, planes: Sequence[Array]) -> Sequence[Array]:
    """Run all passes over (H, W, C) planes.

    Between passes they are uint16, 257 times finer than 8 bit. Against float32 that costs nothing that a result of 8
    bit shows: measured in tests/jobs/engine/test_chains.py.
    """
    if not planes:
        return ()
    dtype = planes[0].dtype
    for index, (run, step) in enumerate(chain.steps):
        started = time.perf_counter()
        last = index == len(chain.steps) - 1
        scale = run.network.spec.scale
        native = (step.width * scale, step.height * scale)
        canvases = [
            Canvas(
                native=native,
                target=chain.size if last else native,
                channels=plane.shape[2],
                dtype=dtype if last else np.dtype(np.uint16),
            )
            for plane in planes
        ]
        fill(run, planes, step, canvases)
        planes = [canvas.result for canvas in canvases]
        run.infer_seconds += time.perf_counter() - started
    return planes


def _with_gain_map(before: Picture, after: Picture) -> Picture:
    """Let the gain map grow beside the picture."""
    if before.gain_map is None:
        return after
    sizes = (before.width, before.height), (after.width, after.height)
    return replace(after, gain_map=gain_map.enlarged(before.gain_map, *sizes))


def _groups(picture: Picture) -> list[tuple[Frame, ...]]:
    """Group frames that are computed together."""
    count = frames_at_once(picture.width, picture.height)
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
