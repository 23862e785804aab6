"""The Vulkan backend's network: windows through the device's process one by one, each result doubted."""

import weakref
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import cast

import numpy as np
import torch
from torch import Tensor, nn

from jobs.engine.backends.base import Block, Window
from jobs.engine.backends.cuda import cut, host_pixels
from jobs.engine.backends.device import ComputeDevice
from jobs.engine.backends.pixel_module import Output, PixelModule, quantize
from jobs.engine.backends.torch_backend import TorchNetwork
from jobs.engine.backends.vulkan import devices
from jobs.engine.backends.vulkan.check import fault
from jobs.engine.backends.vulkan.graph import graph
from jobs.engine.backends.vulkan.process import PATIENCE, DeviceProcess
from jobs.engine.backends.vulkan.traced import traced
from jobs.engine.errors import OutOfMemory
from jobs.engine.tiling.cost import ITEM_BYTES
from modelstore.networks.families.foreign import ForeignNetwork
from modelstore.networks.spec import NetworkSpec

_FULL = {"uint8": 255.0, "uint16": 65535.0}
#: The least that a device computes, in Mflop/s: how long an answer may take. llvmpipe on two cores makes 20 times that.
_SLOWEST = 1000.0
#: After so many wrong tiles and no right one the device is asked no more.
_GIVE_UP_AFTER = 4


class VulkanNetwork:
    """One network on one Vulkan device. See `jobs.engine.backends.base.Network`.

    A tile that is not finite, of one colour, or far from the same pixels by torch is not passed on: in fp16 it counts
    as overflowed, so that the tile runner computes it in fp32; in fp32 it is computed by torch on the CPU. The block's
    notes tell. `check.fault` is asked for the first window of each run and of each size, and wherever a result is far
    from its source.
    """

    def __init__(self, network: nn.Module, spec: NetworkSpec, place: ComputeDevice) -> None:
        """:param network: fp32, on the CPU.

        :raises NotWritten: it is of a family that has no graph.
        :raises OutOfMemory: when the device has no room for the weights.
        :raises DeviceLost: when it cannot be used.
        """
        self.spec = spec
        self.place = place
        self.weight_bytes = spec.parameters * ITEM_BYTES[place.precision]
        self._device = _OnDevice(network, spec, place)
        self._module = PixelModule(self._device, channels=spec.channels, compute=torch.float32).eval()
        cpu = replace(place, device="cpu", backend="torch", precision="fp32", accelerator=None)
        self._exact = TorchNetwork(network, spec, cpu)
        self._right = self._wrong = 0
        try:
            self._device.load()
        except MemoryError as error:
            raise OutOfMemory(
                f"{place.name} has too little free memory for the network's weights, {self.weight_bytes / 1e6:.0f} MB: "
                f"{error}"
            ) from error

    def run(self, windows: Iterable[Window]) -> Iterator[Block]:
        """Compute each window (H, W, C). See `jobs.engine.backends.base.Network`.

        :raises MemoryError: memory was short; the device's process has ended, and the next window starts another.
        :raises DeviceLost: the driver failed, crashed or did not answer.
        """
        self._device.checked.clear()
        for window in windows:
            yield self._block(window)

    def release(self) -> bool:
        """Give back the memory of activations. See `jobs.engine.backends.base.Network`."""
        return self._device.process.release()

    def _block(self, window: Window) -> Block:
        if self._wrong >= _GIVE_UP_AFTER and not self._right:
            return self._by_torch(window, f"{self.place.device} gave wrong numbers only; computed on the CPU")
        block, doubt = self._on_device(window)
        if block.finite and not doubt:
            self._right += 1
            return block
        self._wrong += 1
        if self.place.precision != "fp32":
            note = f"{self.place.device} gave {doubt}; computed again in fp32" if doubt else ""
            return replace(block, finite=False, notes=(note,) if note else ())
        return self._by_torch(window, f"{self.place.device} gave {doubt or 'no numbers'} in fp32; computed on the CPU")

    def _on_device(self, window: Window) -> tuple[Block, str]:
        """Return the block as the device gives it, and what is wrong with it."""
        gray = window.pixels.shape[2] == 1
        pixels = torch.from_numpy(np.ascontiguousarray(window.pixels, np.float32)).unsqueeze(0)  # (1, H, W, C)
        with torch.inference_mode():
            out, total = self._module(pixels, _FULL[window.pixels.dtype.name], gray)  # (1, H*s, W*s, C) in [0, 1]
            made = quantize(cut(out[0], window), cast("Output", window.dtype.name))
        block = Block(
            pixels=np.ascontiguousarray(host_pixels(made, window)), finite=bool(total.isfinite().all())
        )  # (height, width, C)
        return block, self._device.doubt

    def _by_torch(self, window: Window, note: str) -> Block:
        block = next(iter(self._exact.run([window])))
        # Where torch has no finite numbers either, it is the network, and the runner says so.
        return replace(block, notes=(*block.notes, note)) if block.finite else block


class _OnDevice(nn.Module):
    """A network that computes on the device: (N, C, H, W) to (N, C, H*s, W*s), float32 on the host."""

    def __init__(self, network: nn.Module, spec: NetworkSpec, place: ComputeDevice) -> None:
        super().__init__()
        self._network = network
        self._spec = spec
        self._half = place.precision == "fp16"
        self.process: DeviceProcess = devices.process_of(place.device)
        self._number = self.process.number()
        #: Sizes of windows of which one was computed again.
        self.checked: set[tuple[int, ...]] = set()
        #: What is wrong with the last result; "" where nothing was seen.
        self.doubt = ""
        weakref.finalize(self, self.process.forget, self._number)

    def load(self) -> None:
        """Load the network where the process does not have it, as after its end.

        :raises MemoryError, DeviceLost, NotWritten: see `traced.traced`.
        """
        if not self.process.has(self._number):
            if isinstance(self._network, ForeignNetwork):
                text, weights = traced(self._network, self._spec)
            else:
                text, weights = graph(self._network)
            self.process.load(self._number, text, weights, half=self._half)

    def forward(self, pixels: Tensor) -> Tensor:
        """Compute pictures one by one, and look at the results. :raises MemoryError, DeviceLost."""
        self.load()
        height, width = pixels.shape[2:]
        if isinstance(self._network, ForeignNetwork):
            pixels = self._network.fitted(pixels)
        seconds = PATIENCE + self._spec.mflop_per_pixel * pixels.shape[2] * pixels.shape[3] / _SLOWEST
        results = [self.process.run(self._number, one.contiguous().numpy(), seconds) for one in pixels]
        result = torch.from_numpy(np.stack(results))  # (N, C, H'*s, W'*s)
        self.doubt = ""
        if result.isfinite().all():
            size = tuple(pixels.shape)
            self.doubt = fault(self._network, self._spec, pixels, result, always=size not in self.checked)
            if not self.doubt:
                self.checked.add(size)
        scale = self._spec.scale
        return result[:, :, : height * scale, : width * scale]
