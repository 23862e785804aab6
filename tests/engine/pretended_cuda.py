"""A pretended CUDA, so that the lane's own code runs where there is no device. It shows nothing about CUDA itself.

What is copied to the host arrives only when it is waited for, as on a device: a lane that lets a buffer be written
again too early gives wrong pixels here too.
"""

import contextlib
from collections.abc import Callable, Iterator
from functools import partial
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from jobs.engine import cuda_lane, torch_network
from jobs.engine.torch_network import TorchNetwork


class PretendedCuda:
    """Stands in for the module ``torch`` inside of `jobs.engine.cuda_lane`."""

    def __init__(self) -> None:
        self.log: list[str] = []
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

            def replay(self) -> None:
                outer.log.append("replay")
                for compute, arguments, results in self.calls:
                    for static, new in zip(results, compute(*arguments), strict=True):
                        static.copy_(new)

            def reset(self) -> None:
                outer.log.append("reset")

        self.stream = Stream()
        self.cuda = SimpleNamespace(
            Stream=Stream, Event=Event, CUDAGraph=Graph, graph=self._graph, device=self._nothing, stream=self._side,
            current_stream=lambda _: self.stream, graph_pool_handle=lambda: (0, 1),
            set_stream=lambda _: None, synchronize=lambda _: None,
            empty_cache=lambda: None, memory_reserved=lambda _: 0,
            get_device_properties=lambda _: SimpleNamespace(total_memory=8 << 30),
        )  # fmt: skip

    def __getattr__(self, name: str) -> Any:
        return getattr(torch, name)

    def empty(self, *arguments: Any, pin_memory: bool, **named: Any) -> Any:
        made = torch.empty(*arguments, **named)
        if not self.on_copy_stream:
            return _Late(made, self)
        return made

    @contextlib.contextmanager
    def _nothing(self, *_: Any) -> Iterator[None]:
        yield

    @contextlib.contextmanager
    def _side(self, *_: Any) -> Iterator[None]:
        self.on_copy_stream = True
        yield
        self.on_copy_stream = False

    @contextlib.contextmanager
    def _graph(self, graph: Any, **_: Any) -> Iterator[None]:
        if self.fault is not None:
            raise self.fault
        self.capturing = graph
        yield
        self.capturing = None

    def compute(self, real: Callable[..., Any]) -> Callable[..., Any]:
        """The network's computation, written down while it is recorded."""

        def computing(*arguments: Any) -> Any:
            results = real(*arguments)
            if self.capturing is not None:
                self.capturing.calls.append((real, arguments, results))
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


def pretend(monkeypatch: pytest.MonkeyPatch, *, graphs: bool = True) -> PretendedCuda:
    """From now on torch networks on the CPU go by a CUDA lane."""
    cuda = PretendedCuda()
    monkeypatch.setattr(cuda_lane, "torch", cuda)
    real_replay = cuda_lane._Recording.replay

    def replay(self: Any, pinned: Any) -> Any:
        return real_replay(self, pinned.tensor)

    monkeypatch.setattr(cuda_lane._Recording, "replay", replay)

    def open_lane(self: TorchNetwork, *, graphs: bool) -> Any:
        compute = cuda.compute(partial(torch_network._compute, self.module))
        return cuda_lane.CudaLane(compute, self.device, lambda pixels: pixels, graphs=graphs)

    monkeypatch.setattr(TorchNetwork, "_open_lane", open_lane)
    return cuda
