"""The winograd backend: windows through the compiled kernels, one after the other, each on all threads."""

import ctypes
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from jobs.engine.backends.base import Block, Window
from jobs.engine.backends.device import ComputeDevice
from jobs.engine.backends.torch_backend import TorchNetwork
from jobs.engine.backends.winograd.library import CLEAR, Library, Pixels, Plane, Pool, Step, pool
from jobs.engine.backends.winograd.plan import ENTRY, Layer, Plan, slope_bits
from modelstore.networks.spec import NetworkSpec

_FULL = {"uint8": 255.0, "uint16": 65535.0, "float32": 1.0}
#: Of a core's second cache, for the numbers of a part of a layer; its weights pass through the rest.
_CACHE_SHARE = 0.25
_SMALL_CACHE = 512 * 1024


class WinogradNetwork:
    """One network in fp32 on the CPU, its weights transformed. See `jobs.engine.backends.base.Network`.

    Its memory is that of the planes, at most 8.3 kB per input pixel for RealESRGAN_x4plus and 0.8 for animevideov3,
    and about a megabyte per thread; it is kept for the next window until `release`.
    """

    def __init__(self, network: nn.Module, spec: NetworkSpec, place: ComputeDevice, library: Library) -> None:
        """:param network: an RRDBNet or SRVGGNetCompact, fp32, on the CPU."""
        self.spec = spec
        self.place = place
        self._library = library
        plan = Plan(network, spec, library.vector)
        self._planes, self._spans = plan.planes, plan.lifetimes()
        self._last, self._shuffle, self._base = plan.last, plan.shuffle, plan.base
        self._exact = TorchNetwork(network, spec, replace(place, backend="torch"))
        self._kept: list[Any] = []  # what the steps point to
        # On all cores: for RealESRGAN_x4plus it is a third of a second, half of its loading.
        with ThreadPoolExecutor(pool(library).threads) as threads:
            weights = list(threads.map(self._transformed, plan.layers))
        self._steps = (Step * len(plan.layers))(*map(self._step, plan.layers, weights))
        self.weight_bytes = self._exact.weight_bytes + sum(array.nbytes for array in self._kept)
        second = int(torch.cpu.get_capabilities().get("l2_cache_size") or _SMALL_CACHE)
        self._cache = int(second * _CACHE_SHARE)
        self._scratch_floats = int(
            library.calls.winograd_scratch(self._steps, _int(len(self._steps)), _int(self._cache))
        )
        self._arena: NDArray[np.float32] | None = None

    def run(self, windows: Iterable[Window]) -> Iterator[Block]:
        """Compute each window (H, W, C). One that overflows is computed by torch, more slowly, and its note says so."""
        for window in windows:
            block = self.compute(window)
            if not block.finite:
                note = "numbers overflowed in Winograd's transform; computed by torch"
                block = next(iter(self._exact.run([window])))
                block = replace(block, notes=(*block.notes, note))
            yield block

    def release(self) -> bool:
        """Drop the planes; the next window makes its own. See `jobs.engine.backends.base.Network`."""
        with pool(self._library).lock:
            held, self._arena = self._arena is not None, None
        return held

    def _transformed(self, layer: Layer) -> NDArray[np.float32] | None:
        """Return a layer's weights as the kernels read them, float32 in one piece; None for one without weights."""
        if layer.kind == CLEAR:
            return None
        outputs, inputs = layer.weight.shape[:2]
        shape = (_int(layer.kind), _int(inputs), _int(outputs))
        weights = np.zeros(self._library.calls.winograd_packed(*shape), np.float32)
        given = np.ascontiguousarray(layer.weight.numpy(), np.float32)
        self._library.calls.winograd_pack(*shape, _address(given), _address(weights))
        return weights

    def _step(self, layer: Layer, weights: NDArray[np.float32] | None) -> Step:
        if weights is None:
            return Step(kind=CLEAR, target=layer.target)
        outputs, inputs = layer.weight.shape[:2]
        padded = -(-outputs // self._library.vector) * self._library.vector
        bias = np.zeros(padded, np.float32)
        bias[:outputs] = layer.bias.numpy()
        slope = None if layer.slope is None else slope_bits(layer.slope, padded)
        self._kept += [array for array in (weights, bias, slope) if array is not None]
        return Step(
            kind=layer.kind, source=layer.source, inputs=inputs, target=layer.target, at=layer.at, outputs=outputs,
            doubled=layer.doubled, weights=_address(weights), bias=_address(bias),
            slope=None if slope is None else _address(slope),
            added=layer.added, added_outer=layer.outer, scale=layer.scale, outer_scale=layer.scale,
        )  # fmt: skip

    def compute(self, window: Window) -> Block:
        """Compute one window (H, W, C) by the kernels alone, whatever comes of it.

        :raises MemoryError: there is no room for the planes.
        """
        threads = pool(self._library)
        out = np.empty((window.height, window.width, window.pixels.shape[2]), window.dtype)
        source = _plain(window.pixels)
        with threads.lock:
            # A gray network takes the channels of an RGB picture one by one.
            rounds = source.shape[2] if self.spec.channels == 1 else 1
            finite = [self._round(threads, source, out, window, channel) for channel in range(rounds)]
        return Block(pixels=out, finite=all(finite))

    def _round(self, threads: Pool, source: NDArray[Any], out: NDArray[Any], window: Window, channel: int) -> bool:
        """Compute a window (H, W, C) into its block, or one channel of it. :returns: whether all is finite."""
        calls, spec = self._library.calls, self.spec
        planes, scratch = self._place(
            source.shape[0] // spec.unshuffle, source.shape[1] // spec.unshuffle, threads.threads
        )
        handle = ctypes.c_void_p(threads.handle)
        entering = Pixels(
            data=_address(source), row=source.strides[0] // source.itemsize, channels=source.shape[2], first=channel,
            used=spec.channels, bytes=source.itemsize, full=_FULL[source.dtype.name],
        )  # fmt: skip
        calls.winograd_enter(handle, planes, ctypes.byref(entering), _int(spec.unshuffle))
        calls.winograd_layers(
            handle, planes, self._steps, _int(len(self._steps)), scratch, _int(self._scratch_floats), _int(self._cache)
        )
        leaving = Pixels(
            data=_address(out), row=out.shape[1] * out.shape[2], channels=out.shape[2], first=channel,
            used=spec.channels, bytes=out.itemsize, full=_FULL[out.dtype.name],
            top=window.top, left=window.left, height=window.height, width=window.width,
        )  # fmt: skip
        return bool(
            calls.winograd_leave(
                handle,
                ctypes.byref(planes[self._last]),
                ctypes.byref(planes[ENTRY]) if self._base else None,
                ctypes.byref(leaving),
                _int(self._shuffle),
            )
        )

    def _place(self, height: int, width: int, threads: int) -> tuple[Any, ctypes.c_void_p]:
        """Return the planes for an entry of (height, width) pixels, and the threads' scratch memory.

        Planes that are not needed at the same time share memory.
        """
        sizes = []
        for plane in self._planes:
            floats = self._library.calls.winograd_plane(
                _int(height * plane.times), _int(width * plane.times), _int(plane.stride)
            )
            sizes.append(-(-floats // 16) * 16)
        offsets = _packed(sizes, self._spans)
        end = max(offset + size for offset, size in zip(offsets, sizes, strict=True))
        total = end + threads * self._scratch_floats
        if self._arena is None or self._arena.size < total + 16:
            self._arena = None  # first: both would not fit where memory is short
            self._arena = np.zeros(total + 16, np.float32)
        start = -(-self._arena.ctypes.data // 64) * 64
        planes = (Plane * len(sizes))()
        for each, plane, offset in zip(planes, self._planes, offsets, strict=True):
            each.height, each.width, each.stride = height * plane.times, width * plane.times, plane.stride
            each.row = (-(-each.width // 4) * 4 + 2) * plane.stride
            each.data = start + 4 * (offset + each.row + plane.stride)
        return planes, ctypes.c_void_p(start + 4 * end)


def _packed(sizes: list[int], spans: list[tuple[int, int]]) -> list[int]:
    """Return an offset for each plane so that planes whose spans meet do not overlap.

    The largest come first, each into the first gap that fits.
    """
    offsets = [0] * len(sizes)
    done: list[int] = []
    for number in sorted(range(len(sizes)), key=lambda one: -sizes[one]):
        at = 0
        for other in sorted(done, key=lambda one: offsets[one]):
            apart = spans[other][1] < spans[number][0] or spans[number][1] < spans[other][0]
            if not apart and at < offsets[other] + sizes[other] and offsets[other] < at + sizes[number]:
                at = offsets[other] + sizes[other]
        offsets[number] = at
        done.append(number)
    return offsets


def _plain(pixels: NDArray[Any]) -> NDArray[Any]:
    """Return (H, W, C) pixels whose rows are in one piece each; those of a window mostly are already."""
    _, column, channel = pixels.strides
    rows_plain = channel == pixels.itemsize and column == pixels.shape[2] * pixels.itemsize
    return pixels if rows_plain and pixels.strides[0] % pixels.itemsize == 0 else np.ascontiguousarray(pixels)


def _address(array: NDArray[Any]) -> ctypes.c_void_p:
    return ctypes.c_void_p(array.ctypes.data)


def _int(value: int) -> ctypes.c_int64:
    return ctypes.c_int64(value)
