"""Upscaler: a picture through a network, tile by tile, with an account of what really happened."""

import time
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from jobs.engine import transparency
from jobs.engine.canvas import Canvas
from jobs.engine.device import ITEM_BYTES
from jobs.engine.device_errors import device_errors
from jobs.engine.errors import OutOfMemory, WeightsRejected
from jobs.engine.estimate import BORDER, default_pad, plan_plane
from jobs.engine.network import Block, Network, Window
from jobs.engine.passes import plan_passes
from jobs.engine.pool import NetworkPool
from jobs.engine.tiles import Plan, Tile, split
from jobs.engine.types import Frame, OnTile, Picture, Report, UpscaleOptions, Weights

Array = NDArray[Any]


@dataclass
class _Run:
    """The state of one call: counters that end up in the report."""

    network: Network
    weights: Weights
    options: UpscaleOptions
    on_tile: OnTile | None
    done: int = 0
    total: int = 0
    tile: int = 0
    pad: int = 0
    redone: int = 0
    shrinks: int = 0
    notes: list[str] = field(default_factory=list)

    def finished(self, count: int = 1) -> None:
        self.done += count
        if self.on_tile is not None:
            self.on_tile(self.done, self.total)


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
        """The picture enlarged, in the bit depth, gray or colour, alpha, frames and metadata that it came with.

        :param on_tile: called after every tile with (done, total); what it raises, such as Cancelled, passes through.
            The total grows only when the device runs out of memory and tiles are halved.
        :raises WeightsRejected: the weights are unusable. :raises DeviceUnavailable: device or precision is not there.
        :raises OutOfMemory: even the smallest tile does not fit. :raises DeviceLost: end this process.
        """
        options = options or UpscaleOptions()
        started = time.perf_counter()
        if self.pool.runtime.backend == "reference":
            from jobs.engine.reference import upscale as by_reference  # noqa: PLC0415 - the package behind it is optional

            return by_reference(self.pool, picture, weights, options, on_tile)
        network = self.pool.get(weights, options.precision)
        loaded = time.perf_counter()
        run = _Run(network=network, weights=weights, options=options, on_tile=on_tile)
        passes = plan_passes(picture.width, picture.height, network.spec.scale, options.outscale)
        plans = [self._plan(run, width, height) for width, height in passes.inputs]
        run.tile, run.pad = plans[-1].tile, plans[-1].pad
        per_plane = sum(plan.tiles for plan in plans)
        run.total = per_plane * sum(1 + (_alpha_varies(frame)) for frame in picture.frames)
        frames = tuple(self._frame(run, frame, plans, (passes.width, passes.height)) for frame in picture.frames)
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
            notes=tuple(dict.fromkeys(run.notes)),
        )
        return replace(picture, frames=frames), report

    def _plan(self, run: _Run, width: int, height: int) -> Plan:
        place = run.network.place
        return plan_plane(
            run.network.spec,
            width,
            height,
            tile_size=run.options.tile_size,
            tile_pad=run.options.tile_pad,
            kind=place.kind,
            free_bytes=place.free_bytes(),
            item_bytes=ITEM_BYTES[place.precision],
        )

    def _frame(self, run: _Run, frame: Frame, plans: list[Plan], target: tuple[int, int]) -> Frame:
        if frame.alpha is None:
            return replace(frame, color=self._plane(run, frame.color, plans, target))
        source = frame.alpha
        color = self._plane(run, transparency.bleed(frame.color, source), plans, target)
        value = transparency.constant(source)
        if value is not None:
            alpha = np.full((target[1], target[0]), value, source.dtype)
        else:
            alpha = self._plane(run, source[:, :, np.newaxis], plans, target)[:, :, 0]
            transparency.restore_extremes(alpha, source)
            color[alpha == 0] = 0  # nothing is hidden under full transparency
        return replace(frame, color=color, alpha=alpha)

    def _plane(self, run: _Run, plane: Array, plans: list[Plan], target: tuple[int, int]) -> Array:
        """All passes over (H, W, C). Between passes the plane is uint16: 257 times finer than an 8-bit result."""
        dtype = plane.dtype
        scale = run.network.spec.scale
        for index, step in enumerate(plans):
            last = index == len(plans) - 1
            native = (step.width * scale, step.height * scale)
            canvas = Canvas(
                native=native,
                target=target if last else native,
                channels=plane.shape[2],
                dtype=dtype if last else np.dtype(np.uint16),
            )
            self._fill(run, plane, step, canvas)
            plane = canvas.result
        return plane

    def _fill(self, run: _Run, plane: Array, step: Plan, canvas: Canvas) -> None:
        spec = run.network.spec
        padded = with_border(plane, spec.unshuffle)
        for row in step.rows:
            remaining = list(row)
            while remaining:
                remaining = self._tiles(run, padded, remaining, canvas)
                if remaining:
                    remaining = self._halve(run, remaining, padded)
            # Rows that the next row of tiles fades into are not finished yet.
            canvas.finish_rows((row[0].y + row[0].height - row[0].overlap[3]) * spec.scale)

    def _tiles(self, run: _Run, padded: Array, tiles: list[Tile], canvas: Canvas) -> list[Tile]:
        """Runs tiles until all are done or memory ends. :returns: those that are not done."""
        scale = run.network.spec.scale
        windows = [_window(padded, tile, scale, canvas.block_dtype) for tile in tiles]
        finished = 0
        blocks = run.network.run(iter(windows))
        while finished < len(tiles):
            try:
                block = next(blocks)
            except MemoryError:
                return tiles[finished:]
            if not block.finite:
                block = self._redo(run, windows[finished])
            tile = tiles[finished]
            left, top, _, _ = tile.overlap
            canvas.put(
                (tile.x - left) * scale,
                (tile.y - top) * scale,
                block.pixels,
                fade_left=2 * left * scale,
                fade_top=2 * top * scale,
            )
            finished += 1
            run.finished()
        return []

    def _halve(self, run: _Run, tiles: list[Tile], padded: Array) -> list[Tile]:
        pieces: list[Tile] = []
        spec = run.network.spec
        pad = run.options.tile_pad if run.options.tile_pad is not None else default_pad(spec)
        for tile in tiles:
            halves = split(tile, full_width=padded.shape[1], full_height=padded.shape[0], pad=pad, align=spec.unshuffle)
            if not halves:
                raise OutOfMemory(
                    f"{run.network.place.name} has too little free memory for a tile of {tile.width}×{tile.height} px"
                )
            pieces += halves
        run.shrinks += 1
        run.total += len(pieces) - len(tiles)
        run.tile = max(max(piece.width, piece.height) for piece in pieces)
        run.pad = pad
        return pieces

    def _redo(self, run: _Run, window: Window) -> Block:
        """Half precision overflowed (or the weights do): the same tile in fp32, counted in the report."""
        run.redone += 1
        precise = self.pool.get(run.weights, "fp32")
        block = next(iter(precise.run(iter([window]))))
        if not block.finite:
            raise WeightsRejected(f"the network {run.weights.name} gives numbers that are not finite, even in fp32")
        return block


def with_border(plane: Array, align: int) -> Array:
    """The plane mirrored beyond its right and bottom border: by 10 pixels, then to a multiple of ``align``.

    Exactly what the reference's ``pre_process`` does, in its two steps; see `jobs.engine.estimate.BORDER`.
    """
    plane = np.pad(plane, ((0, BORDER), (0, BORDER), (0, 0)), mode="reflect")
    bottom, right = -plane.shape[0] % align, -plane.shape[1] % align
    if bottom or right:
        plane = np.pad(plane, ((0, bottom), (0, right), (0, 0)), mode="reflect")
    return plane


def _window(padded: Array, tile: Tile, scale: int, dtype: np.dtype[Any]) -> Window:
    left, top, right, bottom = tile.overlap
    return Window(
        pixels=padded[
            tile.window_y : tile.window_y + tile.window_height, tile.window_x : tile.window_x + tile.window_width
        ],
        top=(tile.inset_y - top) * scale,
        left=(tile.inset_x - left) * scale,
        height=(top + tile.height + bottom) * scale,
        width=(left + tile.width + right) * scale,
        dtype=dtype,
    )


def _alpha_varies(frame: Frame) -> bool:
    return frame.alpha is not None and transparency.constant(frame.alpha) is None
