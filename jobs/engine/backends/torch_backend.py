"""The torch backend: the CPU, and every accelerator that torch has."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import cast

import numpy as np
import torch
from torch import Tensor, nn

from jobs.engine.backends.base import Block, Window
from jobs.engine.backends.batching import Call, Kind, blocks_of, kind_of
from jobs.engine.backends.cuda import CudaExecutor, cut, host_pixels
from jobs.engine.backends.device import ComputeDevice
from jobs.engine.backends.device_errors import first_line, is_out_of_memory, memory_errors
from jobs.engine.backends.fused.choice import fuse
from jobs.engine.backends.pixel_module import Output, PixelModule, quantize
from jobs.engine.errors import OutOfMemory
from jobs.engine.tiling.cost import ITEM_BYTES, batch_size, network_bytes
from modelstore.networks.spec import NetworkSpec

_COMPUTE = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


class TorchNetwork:
    """One network on one device, in one precision, in the memory format that is fast there.

    Channels last is what oneDNN's and cuDNN's fast convolutions want: 1.45 times the speed of NCHW in fp32 on a CPU.
    An accelerator knows its own (`jobs.engine.backends.accelerator`), and whether it bears streams and graphs.

    ``batch`` is the number of windows per call; None, the default, lets it be chosen by device, network and the size of
    the windows (`jobs.engine.tiling.cost.batch_size`).
    """

    def __init__(
        self, network: nn.Module, spec: NetworkSpec, place: ComputeDevice, *, graphs: bool = True, fused: bool = True
    ) -> None:
        """:param graphs: record calls that come again as CUDA graphs.

        :param fused: compute fp16 on CUDA by the kernels of `jobs.engine.backends.fused` where these can; where they
            cannot, the next run's blocks say why.

        :raises OutOfMemory: when the device has no room for the weights.
        """
        self.spec = spec
        self.place = place
        self.device = torch.device(place.device)
        self.batch: int | None = None
        self.weight_bytes = spec.parameters * ITEM_BYTES[place.precision]
        self.fused = False
        #: For the first report to come.
        self.notes: tuple[str, ...] = ()
        compute = _COMPUTE[place.precision]
        accelerator = place.accelerator
        memory_format = torch.channels_last if accelerator is None else accelerator.memory_format
        if spec.traits is not None and not spec.traits.channels_last:
            memory_format = torch.contiguous_format
        fusing = fused and place.precision == "fp16" and accelerator is not None and accelerator.fused
        exact = network.state_dict() if fusing else None
        try:
            # Convert on the accelerator: on the host, converting the weights takes half the time of a network.
            network = network.to(device=self.device, dtype=compute, memory_format=memory_format)  # type: ignore[call-overload]  # torch's types lack it
            module = PixelModule(network, channels=spec.channels, compute=compute, memory_format=memory_format)
            self.module = module.to(self.device).eval()
            self.executor = self._open_executor(graphs=graphs)
            if exact is not None:
                self._fuse(network, exact)
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            raise OutOfMemory(
                f"{place.name} has too little free memory for the network's weights, {self.weight_bytes / 1e6:.0f} MB: "
                f"{first_line(error)}"
            ) from error

    def _open_executor(self, *, graphs: bool) -> CudaExecutor | None:
        accelerator = self.place.accelerator
        if accelerator is None or not accelerator.streams:
            return None
        # Neither function refers to this object: a reference cycle keeps device memory until Python's collector runs.
        call_bytes = partial(network_bytes, self.spec, item_bytes=ITEM_BYTES[self.place.precision])
        return CudaExecutor(
            partial(_compute, self.module), self.device, call_bytes, graphs=graphs and accelerator.graphs
        )

    def _fuse(self, network: nn.Module, state: Mapping[str, Tensor]) -> None:
        """:raises RuntimeError: memory is short."""
        executor = self.executor
        if executor is None:
            return
        with torch.inference_mode(), torch.cuda.device(self.device):
            fused, reason = fuse(network, state, self.spec, self.device, executor.compute)
        if fused is None:
            self.notes = (f"no fused convolutions: {reason}",)
            return
        self.fused = True
        executor.use(fused)
        del self.module  # its weights are in the fused form, and nothing computes with them any more

    def run(self, windows: Iterable[Window]) -> Iterator[Block]:
        """Compute the windows, (H, W, C) each, in batches of one kind. See `jobs.engine.backends.base.Network`."""
        notes, self.notes = self.notes, ()
        for block in self._blocks(list(windows)):
            yield replace(block, notes=block.notes + notes) if notes else block

    def _blocks(self, listed: list[Window]) -> Iterator[Block]:
        executor = self.executor
        if executor is None:
            yield from self._plainly(listed)
            return
        coming = Counter(kind_of(window) for window in listed)

        def launch(batch: Sequence[Window]) -> Call:
            kind = kind_of(batch[0])
            call = executor.launch(batch, coming[kind] // len(batch))
            coming[kind] -= len(batch)
            return call

        yield from blocks_of(listed, launch, most=self._sizes(), under_way=executor.under_way)

    def _plainly(self, listed: list[Window]) -> Iterator[Block]:
        """Yield the windows' blocks by the plain road: one call after the other, each waited for."""
        accelerator = self.place.accelerator
        try:
            yield from blocks_of(listed, self._launch, most=self._sizes(), under_way=1)
        finally:
            if accelerator is not None and accelerator.shares_memory:
                accelerator.give_back()

    def release(self) -> bool:
        """Drop CUDA graphs and torch's cache. See `jobs.engine.backends.base.Network`."""
        if self.executor is not None:
            return self.executor.release()
        if self.place.accelerator is not None:
            self.place.accelerator.give_back()
        return False

    def _sizes(self) -> Callable[[Kind], int]:
        """Return a function from a kind to its windows per call; free memory is read once per run."""
        if self.batch is not None:
            size = self.batch
            return lambda _: size
        free = self.place.free_bytes() if self.place.accelerator is not None else 0
        item = ITEM_BYTES[self.place.precision]
        return lambda kind: batch_size(self.spec, kind.pixels, kind=self.place.kind, free_bytes=free, item_bytes=item)

    def _launch(self, batch: Sequence[Window]) -> "_FinishedCall":
        kind = kind_of(batch[0])
        with torch.inference_mode(), memory_errors():
            pixels, finite = _compute(self.module, _on_host(batch).to(self.device), kind)
            flags = finite.tolist()  # waits for the device
            return _FinishedCall(
                [
                    Block(pixels=host_pixels(self._to_host(cut(pixels[index], window)), window), finite=flags[index])
                    for index, window in enumerate(batch)
                ]
            )

    def _to_host(self, part: Tensor) -> Tensor:
        """Return (height, width, C) pixels on the host; of an accelerator's, those that are wanted alone travel."""
        return part if self.place.accelerator is None else part.contiguous().to("cpu")


def _compute(module: PixelModule, source: Tensor, kind: Kind) -> tuple[Tensor, Tensor]:
    """Compute (N, H, W, C) pixels without waiting for the device or copying from the host.

    See `jobs.engine.backends.cuda.Compute`.
    """
    full = 65535.0 if kind.source == "uint16" else 255.0
    if source.dtype == torch.int16:
        source = source.to(torch.int32) & 0xFFFF  # uint16 that travelled as int16
    out, total = module(source, full, kind.channels == 1)  # (N, H*s, W*s, C) in [0, 1], and (N,)
    return quantize(out, cast("Output", kind.output)), total.isfinite()


class _FinishedCall:
    """A call that is computed already. See `jobs.engine.backends.batching.Call`."""

    def __init__(self, blocks: list[Block]) -> None:
        self._blocks = blocks

    def blocks(self) -> list[Block]:
        return self._blocks

    def abandon(self) -> None:
        return


def _on_host(batch: Sequence[Window]) -> Tensor:
    """Stack the windows' pixels into (N, H, W, C); those of a single window are not copied where that can be helped."""
    arrays = [window.pixels.view(np.int16) if window.pixels.dtype == np.uint16 else window.pixels for window in batch]
    if len(arrays) > 1:
        return torch.from_numpy(np.stack(arrays))  # (N, H, W, C)
    # "W": torch warns of memory that it may not write to.
    return torch.from_numpy(np.require(arrays[0], requirements=["C", "W"])).unsqueeze(0)  # (1, H, W, C)
