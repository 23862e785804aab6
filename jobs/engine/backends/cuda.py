"""Batches on a CUDA device: pinned host buffers, a stream that copies results out, calls replayed as CUDA graphs.

One thread uses a `CudaExecutor`. Everything that computes, and every copy to the device, runs on the current stream, so
the static buffers of a CUDA graph need no second copy: the next call's pixels are copied in after the last one was
computed, and results are taken out of a graph's buffers before it is replayed. Only copies to the host run beside the
computing.
"""

import contextlib
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from jobs.engine.backends.accelerator import give_back_cached_memory
from jobs.engine.backends.base import Block, Window
from jobs.engine.backends.batching import Kind, kind_of
from jobs.engine.backends.cuda_graphs import GraphCache, Key, RecordingFailedError
from jobs.engine.backends.device_errors import first_line, forget_frames, is_out_of_memory, memory_errors

#: (N, H, W, C) source pixels -> (N, H*s, W*s, C) finished pixels and (N,) bool, True where finite. Never waits.
Compute = Callable[[Tensor, Kind], tuple[Tensor, Tensor]]

#: From so many calls of one kind in a plan on, cuDNN may search for its fastest algorithms, which takes it a second or
#: two per kind; below, its own guess is taken. Torch keeps whichever it used first for a kind. Not measured yet.
SEARCH_FROM = 8
#: The part of a device's memory that recordings of one network may hold.
RECORDED_SHARE = 8


class CudaExecutor:
    """Hands batches to one CUDA device."""

    #: One call computes, one copies its result out, one copies its pixels in.
    under_way = 3

    def __init__(
        self, compute: Compute, device: torch.device, call_bytes: Callable[[int], int], *, graphs: bool
    ) -> None:
        """:param call_bytes: returns the bytes of device memory that a call takes, given its input pixels."""
        self.device = device
        self.compute = compute
        self.call_bytes = call_bytes
        with torch.cuda.device(device):
            self._out = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]  # torch's
            self._side = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]  # torch's
            memory = torch.cuda.get_device_properties(device).total_memory
        # Nothing here refers back to the executor or its network: a cycle keeps device memory until Python collects it.
        self.graph_cache: GraphCache[_Recording] = GraphCache(
            partial(_record, compute, device, self._side), most_bytes=memory // RECORDED_SHARE, enabled=graphs
        )

    def use(self, compute: Compute) -> None:
        """Compute otherwise from now on. Nothing is recorded yet."""
        self.compute = compute
        self.graph_cache.record_by(partial(_record, compute, self.device, self._side))

    def launch(self, batch: Sequence[Window], coming: int) -> "_CudaCall":
        """Hand a batch of (H, W, C) windows of one kind to the device; wait only where a CUDA graph is recorded.

        :param coming: how often a batch of this kind and length comes in the plan, this one included.
        :raises MemoryError: when it does not fit.
        """
        kind = kind_of(batch[0])
        with torch.inference_mode(), torch.cuda.device(self.device), memory_errors():
            pinned = torch.empty(
                (len(batch), kind.height, kind.width, kind.channels), dtype=_SOURCE[kind.source], pin_memory=True
            )  # (N, H, W, C)
            view = pinned.numpy()
            for index, window in enumerate(batch):
                view[index] = window.pixels.view(view.dtype)
            with _cudnn(search=coming >= SEARCH_FROM):
                recording, notes = self.graph_cache.take(
                    (kind, len(batch)), coming=coming, expected_bytes=self.call_bytes(kind.pixels * len(batch))
                )
                if recording is not None:
                    pixels, finite = recording.replay(pinned)
                else:
                    pixels, finite = self.compute(pinned.to(self.device, non_blocking=True), kind)
            return self._copy_out(batch, pixels, finite, notes)

    def release(self) -> bool:
        """Give back memory that can be had again: CUDA graphs and torch's cache. Return True if there were graphs."""
        with torch.cuda.device(self.device):
            dropped = self.graph_cache.clear()
            give_back_cached_memory()
        return dropped

    def _copy_out(self, batch: Sequence[Window], pixels: Tensor, finite: Tensor, notes: tuple[str, ...]) -> "_CudaCall":
        # Copies in any case: a recording's output is written again by the next replay.
        views = [cut(pixels[index], window) for index, window in enumerate(batch)]  # (height, width, C) each
        parts = [view.clone(memory_format=torch.contiguous_format) for view in views]
        flags = finite.clone()
        # Pinned memory comes from torch's caching host allocator, so this allocates only for the first calls.
        pinned = [torch.empty(part.shape, dtype=part.dtype, pin_memory=True) for part in parts]
        pinned_flags = torch.empty(flags.shape, dtype=flags.dtype, pin_memory=True)
        # blocking=True sleeps instead of spinning: other threads encode meanwhile.
        done = torch.cuda.Event(blocking=True)  # type: ignore[no-untyped-call]  # torch's
        self._out.wait_stream(torch.cuda.current_stream(self.device))
        with torch.cuda.stream(self._out):
            for host, part in zip(pinned, parts, strict=True):
                host.copy_(part, non_blocking=True)
            pinned_flags.copy_(flags, non_blocking=True)
            done.record(self._out)
        return _CudaCall(batch, pinned, pinned_flags, done, notes, [*parts, flags])


def _record(compute: Compute, device: torch.device, side: "torch.cuda.Stream", key: Key) -> "_Recording":
    """:raises RecordingFailedError: and the call can be made without."""
    kind, count = key
    current = torch.cuda.current_stream(device)
    pool = torch.cuda.graph_pool_handle()
    try:
        return _Recording(compute, kind, count, device, side, pool)
    except (RuntimeError, MemoryError) as error:
        causes = _causes(error)
        reason, lasting = first_line(causes[-1]), not any(is_out_of_memory(cause) for cause in causes)
        del causes
        forget_frames(error)  # they hold on to the memory of the recording
    finally:
        torch.cuda.set_stream(current)  # torch leaves its own behind when it cannot end a recording
    if torch.__version__ < "2.12":  # compared as versions
        # Before 2.12 the allocator believes for ever that it records, and gives no memory back (pytorch#180395).
        with contextlib.suppress(RuntimeError):  # it was ended, then
            torch._C._cuda_endAllocateToPool(device.index, pool)  # noqa: SLF001 - nothing public does it
    # A dead CUDA context raises here; it must not be mistaken for a failed recording.
    torch.cuda.synchronize(device)
    _free_pool(device, pool)
    raise RecordingFailedError(reason, lasting=lasting)


def _free_pool(device: torch.device, pool: Any) -> None:
    """Free a recording's pool that was never ended: torch counts it as in use for ever (pytorch#190348).

    The pool's state decides, not torch's version: releasing a pool that was released already is an error.
    """
    with contextlib.suppress(RuntimeError):
        torch.cuda.empty_cache()
        left = [
            segment["active_size"]
            for segment in torch.cuda.memory_snapshot()  # type: ignore[no-untyped-call]  # torch's
            if tuple(segment.get("segment_pool_id", ())) == tuple(pool)
        ]
        if left and not any(left):
            torch._C._cuda_releasePool(device.index, pool)  # noqa: SLF001 - nothing public does it
            torch.cuda.empty_cache()


def _causes(error: BaseException) -> list[BaseException]:
    """Return the error and those before it: "the recording cannot be ended" hides why it could not be made."""
    causes = [error]
    while causes[-1].__context__ is not None:
        causes.append(causes[-1].__context__)
    return causes


class _Recording:
    """A call with its static input and output, replayed as one CUDA graph. See torch's notes on CUDA semantics."""

    def __init__(
        self, compute: Compute, kind: Kind, count: int, device: torch.device, side: "torch.cuda.Stream", pool: Any
    ) -> None:
        self._device = device
        shape = (count, kind.height, kind.width, kind.channels)
        self.source = torch.zeros(shape, dtype=_SOURCE[kind.source], device=device)  # (N, H, W, C)
        current = torch.cuda.current_stream(device)
        side.wait_stream(current)
        with torch.cuda.stream(side):
            compute(self.source, kind)  # warm-up: the libraries' workspaces of this stream must exist before
        current.wait_stream(side)
        torch.cuda.synchronize(device)
        torch.cuda.empty_cache()
        before = torch.cuda.memory_reserved(device)
        self.graph = torch.cuda.CUDAGraph()
        # thread_local: other threads of the process may meanwhile do what only the recording thread must not.
        with torch.cuda.graph(self.graph, pool=pool, stream=side, capture_error_mode="thread_local"):
            self.pixels, self.finite = compute(self.source, kind)
        self.held_bytes = max(0, torch.cuda.memory_reserved(device) - before)

    def replay(self, pinned: Tensor) -> tuple[Tensor, Tensor]:
        """Run the graph on pinned (N, H, W, C) source pixels. Return its static output, good until the next replay."""
        self.source.copy_(pinned, non_blocking=True)
        self.graph.replay()
        return self.pixels, self.finite

    def drop(self) -> None:
        """See `jobs.engine.backends.cuda_graphs.Recording`."""
        torch.cuda.synchronize(self._device)  # a graph must not be destroyed, and its memory reused, while it runs
        self.graph.reset()
        del self.source, self.pixels, self.finite


@dataclass
class _CudaCall:
    """See `jobs.engine.backends.batching.Call`."""

    batch: Sequence[Window]
    pinned: list[Tensor]
    flags: Tensor
    done: "torch.cuda.Event"
    notes: tuple[str, ...]
    #: Memory that the copying stream still reads; the allocator knows only of the stream that computed.
    sources: list[Tensor] = field(default_factory=list)

    def blocks(self) -> list[Block]:
        with memory_errors():
            self.done.synchronize()
        self.sources.clear()
        return [
            Block(pixels=host_pixels(host, window), finite=flag, notes=self.notes)
            for host, window, flag in zip(self.pinned, self.batch, self.flags.tolist(), strict=True)
        ]

    def abandon(self) -> None:
        with contextlib.suppress(RuntimeError):  # the next call reports a lost device
            self.done.synchronize()
        self.sources.clear()


#: Torch computes little in uint16, so those bytes travel as int16 and are widened on the device.
_SOURCE = {"uint8": torch.uint8, "uint16": torch.int16}


def cut(pixels: Tensor, window: Window) -> Tensor:
    """Return the window's wanted rectangle, (height, width, C), as a view of its whole result, (H*s, W*s, C)."""
    return pixels[window.top : window.top + window.height, window.left : window.left + window.width]


def host_pixels(tensor: Tensor, window: Window) -> NDArray[Any]:
    """Return a host tensor (height, width, C) as an array of the window's dtype, int16 bits as uint16; no copy."""
    pixels: NDArray[Any] = tensor.numpy()
    return pixels.view(np.uint16) if window.dtype == np.uint16 else pixels


def _cudnn(*, search: bool) -> AbstractContextManager[None]:
    """Choose cuDNN's way to find algorithms: by search, or by its own guess. fp32 stays fp32, never TF32."""
    return torch.backends.cudnn.flags(enabled=True, benchmark=search, allow_tf32=False)
