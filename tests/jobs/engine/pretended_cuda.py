"""A pretended CUDA, so that the executor's own code runs where there is no device. It shows nothing about CUDA itself.

What is copied to the host arrives only when it is waited for, as on a device: an executor that lets a buffer be written
again too early gives wrong pixels here too.
"""

import contextlib
import itertools
import weakref
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from jobs.engine.backends import accelerator, accelerator_trial, accelerators, cuda_devices, device, torch_backend
from jobs.engine.backends import cuda as cuda_lane
from jobs.engine.backends.network_cache import NetworkPool
from jobs.engine.backends.torch_backend import TorchNetwork
from jobs.engine.tiling.cost import ITEM_BYTES, network_bytes
from jobs.engine.types import Runtime
from jobs.engine.upscaler import Upscaler

#: What a pretended card has.
MEMORY = 8 << 30


class PretendedCuda:
    """Stands in for the module ``torch`` inside of the engine's modules that speak to a device.

    Memory is counted as the estimates tell, per call and per recording: a card that has less refuses, in torch's words.
    """

    def __init__(self) -> None:
        self.log: list[str] = []
        self.cards = [SimpleNamespace(name="Pretended", major=9, minor=0, uuid="0000", total_memory=MEMORY)]
        self.architectures = ["sm_80", "sm_90", "compute_90"]
        self.version = SimpleNamespace(cuda="13.0", hip=None)
        self.driver_error = ""
        self.allowed = MEMORY
        self.weights = 0
        #: Pools of recordings, by their number: bytes held.
        self.pools: dict[int, int] = {}
        self.numbers = itertools.count(1)
        self.host_cached = 0
        self.capturing: Any = None
        self.on_copy_stream = False
        self.copies: list[Callable[[], object]] = []
        self.fault: RuntimeError | None = None
        outer = self

        class Stream:
            def __init__(self, *_: Any) -> None: ...

            def wait_stream(self, _: Any) -> None: ...

        class Event:
            def __init__(self, **_: Any) -> None: ...

            def record(self, _: Any) -> None:
                self.copies, outer.copies = outer.copies, []

            def synchronize(self) -> None:
                outer.log.append("wait")
                with torch.inference_mode():
                    while self.copies:
                        self.copies.pop(0)()

        class Graph:
            def __init__(self) -> None:
                self.calls: list[tuple[Callable[..., Any], Any, Any]] = []
                self.pool = 0

            def replay(self) -> None:
                outer.log.append("replay")
                for compute, arguments, results in self.calls:
                    for static, new in zip(results, compute(*arguments), strict=True):
                        static.copy_(new)

            def reset(self) -> None:
                outer.log.append("reset")
                outer.pools.pop(self.pool, None)

        self.stream = Stream()
        self.cuda = SimpleNamespace(
            Stream=Stream, Event=Event, CUDAGraph=Graph, graph=self._graph, device=self._nothing, stream=self._side,
            current_stream=lambda *_: self.stream, default_stream=lambda *_: self.stream,
            graph_pool_handle=lambda: (0, next(self.numbers)),
            set_stream=lambda _: None, synchronize=lambda *_: None, init=self._init,
            is_available=lambda: bool(self.cards) and not self.driver_error, device_count=lambda: len(self.cards),
            get_arch_list=lambda: self.architectures,
            get_device_properties=self._card, get_device_name=lambda which=0: self._card(which).name,
            is_bf16_supported=lambda **_: self.cards[0].major >= 8,
            empty_cache=lambda: None, memory_reserved=lambda *_: self.held, mem_get_info=self._free,
            memory_snapshot=self._segments, set_per_process_memory_fraction=self._allow,
        )  # fmt: skip
        self.accelerator = SimpleNamespace(empty_host_cache=self._empty_host_cache)
        self._C = SimpleNamespace(_cuda_releasePool=lambda _, pool: self.pools.pop(pool[1]))

    def __getattr__(self, name: str) -> Any:
        return getattr(torch, name)

    @staticmethod
    def device(name: Any) -> torch.device:
        """The processor in the place of the card, by the card's number."""
        kind, _, index = str(name).partition(":")
        return torch.device("cpu", int(index or 0)) if kind == "cuda" else torch.device(name)

    @property
    def held(self) -> int:
        """Bytes of the card that are in use between calls."""
        return self.weights + sum(self.pools.values())

    def _card(self, which: Any = 0) -> Any:
        index = which.index if isinstance(which, torch.device) else str(which).rpartition(":")[2]
        return self.cards[int(index or 0)]

    def _init(self) -> None:
        if self.driver_error:
            raise RuntimeError(self.driver_error)

    def _allow(self, fraction: float, *_: Any) -> None:
        self.allowed = int(fraction * MEMORY)

    def _free(self, _: Any) -> tuple[int, int]:
        return MEMORY - self.held, MEMORY

    def _segments(self) -> list[dict[str, Any]]:
        return [
            {"device": 0, "segment_pool_id": (0, number), "total_size": size, "active_size": 0}
            for number, size in self.pools.items()
        ]

    def _empty_host_cache(self) -> None:
        self.host_cached = 0

    def need(self, size: int) -> None:
        """:raises torch.OutOfMemoryError: the card has not so many bytes left."""
        if self.held + size > self.allowed:
            raise torch.OutOfMemoryError(f"CUDA out of memory. Tried to allocate {size} bytes.\nAdvice for developers")

    def forget(self, size: int) -> None:
        """A network of so many bytes is gone."""
        self.weights -= size

    def empty(self, *arguments: Any, pin_memory: bool, **named: Any) -> Any:
        made = torch.empty(*arguments, **named)
        self.host_cached += made.nbytes
        if not self.on_copy_stream:
            return _Late(made, self)
        return made

    @contextlib.contextmanager
    def _nothing(self, *_: Any) -> Iterator[None]:
        yield

    @contextlib.contextmanager
    def _side(self, *_: Any) -> Iterator[None]:
        self.on_copy_stream = True
        try:
            yield
        finally:
            self.on_copy_stream = False

    @contextlib.contextmanager
    def _graph(self, graph: Any, *, pool: Any, **_: Any) -> Iterator[None]:
        graph.pool = pool[1]
        if self.fault is not None:
            self.pools[graph.pool] = 1 << 20  # what was allocated so far; torch forgets to give it back
            raise self.fault
        self.capturing = graph
        try:
            yield
        finally:
            self.capturing = None

    def compute(self, real: Callable[..., Any], call_bytes: Callable[[int], int]) -> Callable[..., Any]:
        """The network's computation, written down while it is recorded."""

        def computing(source: Any, kind: Any) -> Any:
            size = call_bytes(kind.pixels * source.shape[0])
            self.need(size)
            results = real(source, kind)
            if self.capturing is not None:
                self.capturing.calls.append((real, (source, kind), results))
                self.pools[self.capturing.pool] = size
            return results

        return computing


class _Late:
    """A pinned tensor: what is copied into it on the copying stream arrives later."""

    def __init__(self, tensor: Any, cuda: PretendedCuda) -> None:
        self.tensor, self.cuda = tensor, cuda

    def copy_(self, source: Any, *, non_blocking: bool) -> None:
        assert non_blocking
        assert self.cuda.on_copy_stream
        self.cuda.copies.append(lambda: self.tensor.copy_(source))

    def to(self, _: Any, *, non_blocking: bool) -> Any:
        assert non_blocking
        return self.tensor.clone()

    def __getattr__(self, name: str) -> Any:
        return getattr(self.tensor, name)


def pretend(monkeypatch: pytest.MonkeyPatch) -> PretendedCuda:
    """From now on there is a card, the engine takes it for one, and torch networks on it compute by a CUDA executor.

    Networks on the CPU use that executor too, so that a test may ask for fp32, which every processor computes fast.
    """
    cuda = PretendedCuda()
    for module in (accelerator, accelerator_trial, accelerators, cuda_devices, cuda_lane, device, torch_backend):
        monkeypatch.setattr(module, "torch", cuda)
    cuda_devices.trouble.cache_clear()
    accelerator_trial.trouble.cache_clear()
    kind = device._KINDS["cuda"]  # pretended cards have no kernels of ours
    unfused = replace(kind, find=lambda index: replace(kind.find(index), fused=False))
    monkeypatch.setitem(device._KINDS, "cuda", unfused)
    real_replay = cuda_lane._Recording.replay

    def replay(self: Any, pinned: Any) -> Any:
        return real_replay(self, pinned.tensor)

    monkeypatch.setattr(cuda_lane._Recording, "replay", replay)

    def open_lane(self: TorchNetwork, *, graphs: bool) -> Any:
        cuda.need(self.weight_bytes)
        cuda.weights += self.weight_bytes
        weakref.finalize(self, cuda.forget, self.weight_bytes)
        call_bytes = partial(network_bytes, self.spec, item_bytes=ITEM_BYTES[self.place.precision])
        compute = cuda.compute(partial(torch_backend._compute, self.module), call_bytes)
        return cuda_lane.CudaExecutor(compute, torch.device("cpu", 0), call_bytes, graphs=graphs)

    monkeypatch.setattr(TorchNetwork, "_open_executor", open_lane)
    return cuda


def engine_on(device: str, *, graphs: bool = True, **runtime: Any) -> Upscaler:
    """An upscaler of its own there."""
    return Upscaler(NetworkPool(Runtime(device=device, **runtime), graphs=graphs))
