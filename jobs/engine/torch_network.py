"""The torch backend: CPU and CUDA."""

from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from jobs.engine.device import ITEM_BYTES, Place
from jobs.engine.network import Block, Window
from jobs.engine.pixel_module import Output, PixelModule, quantize
from modelstore.networks.spec import NetworkSpec

_COMPUTE = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}

#: Calls that may be under way on a CUDA device: one computes, one copies its result out, one copies its pixels in.
_UNDER_WAY = 3


class TorchNetwork:
    """One network on one device, in one precision, channels last.

    Channels last is what oneDNN's and cuDNN's fast convolutions want: 1.45 times the speed of NCHW in fp32 on a CPU.
    """

    def __init__(self, network: nn.Module, spec: NetworkSpec, place: Place) -> None:
        self.spec = spec
        self.place = place
        self.device = torch.device(place.device)
        compute = _COMPUTE[place.precision]
        # On the accelerator, not on the host: half a network's time would go into converting its weights there.
        network = network.to(device=self.device, dtype=compute, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.module = PixelModule(network, channels=spec.channels, compute=compute).eval()
        self.weight_bytes = spec.parameters * ITEM_BYTES[place.precision]

    def run(self, windows: Iterable[Window]) -> Iterator[Block]:
        """See `jobs.engine.network.Network`."""
        return self._run_cuda(windows) if self.device.type == "cuda" else self._run_cpu(windows)

    def _run_cpu(self, windows: Iterable[Window]) -> Iterator[Block]:
        for window in windows:
            with torch.inference_mode(), _memory_errors():
                pixels, total = self._compute(_tensor(window.pixels), window)
                block = _block(pixels.numpy(), bool(total.isfinite()), window)
            yield block

    def _run_cuda(self, windows: Iterable[Window]) -> Iterator[Block]:
        """Copies in, computing and copies out overlap: the host only waits for the oldest of a few calls."""
        waiting: deque[tuple[Window, Tensor, Tensor, torch.cuda.Event]] = deque()
        for window in windows:
            with torch.inference_mode(), torch.cuda.device(self.device), _cudnn(), _memory_errors():
                source = _tensor(window.pixels).pin_memory().to(self.device, non_blocking=True)
                pixels, total = self._compute(source, window)
                # Pinned memory comes from torch's caching host allocator, so this allocates only for the first tiles.
                pinned = torch.empty(pixels.shape, dtype=pixels.dtype, pin_memory=True)
                pinned.copy_(pixels, non_blocking=True)
                flag = torch.empty((), dtype=torch.bool, pin_memory=True)
                flag.copy_(total.isfinite(), non_blocking=True)
                done = torch.cuda.Event()  # type: ignore[no-untyped-call]
                done.record()
            waiting.append((window, pinned, flag, done))
            if len(waiting) >= _UNDER_WAY:
                yield _finish(*waiting.popleft())
        while waiting:
            yield _finish(*waiting.popleft())

    def _compute(self, source: Tensor, window: Window) -> tuple[Tensor, Tensor]:
        gray = window.pixels.shape[2] == 1
        full = 65535.0 if window.pixels.dtype == np.uint16 else 255.0
        if source.dtype == torch.int16:
            source = source.to(torch.int32) & 0xFFFF  # uint16 that travelled as int16: see _tensor
        out, total = self.module(source.unsqueeze(0), full, gray)
        part = out[0, window.top : window.top + window.height, window.left : window.left + window.width]
        return quantize(part, cast("Output", window.dtype.name)).contiguous(), total


def _tensor(pixels: NDArray[Any]) -> Tensor:
    """Torch computes little in uint16, so those bytes travel as int16 and are widened on the device."""
    pixels = np.require(pixels, requirements=["C", "W"])  # torch warns of memory that it may not write to
    return torch.from_numpy(pixels.view(np.int16) if pixels.dtype == np.uint16 else pixels)


def _finish(window: Window, pinned: Tensor, flag: Tensor, done: "torch.cuda.Event") -> Block:
    with _memory_errors():
        done.synchronize()
    return _block(pinned.numpy(), bool(flag), window)


def _block(pixels: NDArray[Any], finite: bool, window: Window) -> Block:
    return Block(pixels=pixels.astype(window.dtype, copy=False), finite=finite)


def _cudnn() -> AbstractContextManager[None]:
    """Windows have one shape, so cuDNN's search for the fastest algorithm pays. fp32 means fp32, not TF32."""
    return torch.backends.cudnn.flags(enabled=True, benchmark=True, allow_tf32=False)


class _memory_errors:  # noqa: N801 - reads as a statement
    """Turns torch's out-of-memory errors, which differ by device, into MemoryError; others pass."""

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: object) -> None:
        if error is None:
            return
        if isinstance(error, torch.OutOfMemoryError):
            torch.cuda.empty_cache()
            raise MemoryError(str(error)) from error  # noqa: TRY004 - one error is turned into another
        text = str(error)
        if isinstance(error, RuntimeError) and ("can't allocate memory" in text or "not enough memory" in text):
            raise MemoryError(text) from error
