"""Pretended GPUs of AMD, Intel and Apple: the engine takes the processor for one. They show nothing of real ones.

Each answers as torch does for its kind, with its own words when memory is short, and counts its memory by the engine's
estimates.
"""

from types import SimpleNamespace
from typing import Any

import pytest
import torch

from jobs.engine.backends import (
    accelerator,
    accelerator_trial,
    accelerators,
    cuda_devices,
    device,
    device_errors,
    torch_backend,
)
from jobs.engine.backends.network_cache import NetworkPool
from jobs.engine.backends.torch_backend import TorchNetwork
from jobs.engine.tiling.cost import ITEM_BYTES, network_bytes
from jobs.engine.types import Runtime
from jobs.engine.upscaler import Upscaler

MEMORY = 4 << 30
#: By kind of device: what its driver says when memory is short, and when it is lost.
SHORT = {
    "rocm": torch.OutOfMemoryError("HIP out of memory. Tried to allocate 2.00 GiB\nAdvice for developers"),
    "xpu": RuntimeError("Native API failed. Native API returns: 39 (UR_RESULT_ERROR_OUT_OF_DEVICE_MEMORY)"),
    "mps": RuntimeError("MPS backend out of memory (MPS allocated: 6.04 GB, other allocations: 1.04 GB, max allowed …"),
}
LOST = {
    "rocm": RuntimeError(
        "HIP error: the operation cannot be performed in the present state\nHIP kernel errors might …"
    ),
    "xpu": RuntimeError("level_zero backend failed with error: 20 (UR_RESULT_ERROR_DEVICE_LOST)"),
    "mps": RuntimeError(
        "Error: command buffer exited with error status.\n\tThe Metal Performance Shaders operations …"
    ),
}
#: By kind: the word for it in DEVICE, and the engine's name of the first one.
NAMED = {"rocm": ("cuda", "cuda:0"), "xpu": ("xpu", "xpu:0"), "mps": ("mps", "mps")}


class Pretended:
    """Stands in for the module ``torch`` in the engine's modules, and has some devices of one kind."""

    def __init__(self, family: str, count: int = 1) -> None:
        self.family = family
        self.names = [f"Pretended {family} {number}" for number in range(count)]
        self.architecture = "gfx1100"
        self.built_for = ["gfx1100", "gfx942"]
        self.allowed = MEMORY
        self.emptied = 0
        self.formats: set[torch.memory_format] = set()
        self.sources: set[str] = set()
        self.calls = 0
        #: Raised by the next computation.
        self.fault: BaseException | None = None
        #: Raised by the devices' first kernel, by their number.
        self.unusable: dict[int, RuntimeError] = {}
        #: The devices that compute wrong numbers.
        self.wrong: set[int] = set()
        amd, intel, apple = (count if family == each else 0 for each in ("rocm", "xpu", "mps"))
        self.version = SimpleNamespace(cuda=None, hip="7.1" if amd else None, xpu="20260000" if intel else None)
        self.cuda = SimpleNamespace(
            is_available=lambda: bool(amd), device_count=lambda: amd, get_arch_list=lambda: self.built_for,
            get_device_properties=self._properties, get_device_name=lambda which: self._properties(which).name,
            is_bf16_supported=lambda **_: True, device=lambda _: torch.inference_mode(), init=self._init,
            mem_get_info=lambda _: (self.allowed, MEMORY), memory_snapshot=list, empty_cache=self._empty,
        )  # fmt: skip
        self.xpu = SimpleNamespace(
            is_available=lambda: bool(intel), device_count=lambda: intel, get_device_properties=self._properties,
            is_bf16_supported=lambda: True, mem_get_info=lambda _: (self.allowed, MEMORY), empty_cache=self._empty,
            memory_allocated=lambda _: 100, memory_reserved=lambda _: 300,
        )  # fmt: skip
        self.mps = SimpleNamespace(
            recommended_max_memory=lambda: MEMORY, driver_allocated_memory=lambda: MEMORY - self.allowed,
            empty_cache=self._empty,
        )  # fmt: skip
        self.backends = SimpleNamespace(
            mps=SimpleNamespace(is_available=lambda: bool(apple), is_built=lambda: bool(apple), get_name=lambda: "M9")
        )
        self.accelerator = SimpleNamespace(empty_host_cache=lambda: None)
        self.nn = SimpleNamespace(functional=SimpleNamespace(conv2d=self._conv2d))
        self.asked: list[int] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(torch, name)

    def device(self, name: Any) -> torch.device:
        """The processor in the place of a device."""
        kind, _, index = str(name).partition(":")
        assert kind in ("cpu", NAMED[self.family][0])
        self.asked.append(int(index or 0) if kind != "cpu" else -1)
        return torch.device("cpu")

    def _properties(self, which: Any) -> Any:
        index = int(str(which).rpartition(":")[2])
        return SimpleNamespace(
            name=self.names[index], uuid=f"uuid-{index}", total_memory=MEMORY, major=11, minor=0, has_fp16=True,
            gcnArchName=f"{self.architecture}:sramecc-",
        )  # fmt: skip

    def _init(self) -> None:
        raise RuntimeError("No CUDA GPUs are available")

    def _empty(self) -> None:
        self.emptied += 1

    def _conv2d(self, pixels: torch.Tensor, weight: torch.Tensor, **named: Any) -> torch.Tensor:
        """The trial's: the first of each pair is the processor's own, before the device was asked for."""
        made = torch.nn.functional.conv2d(pixels, weight, **named)
        if not self.asked:
            return made
        number = self.asked.pop()
        if number in self.unusable:
            raise self.unusable[number]
        return made + 2 if number in self.wrong else made

    def need(self, size: int) -> None:
        """:raises RuntimeError: in the device's words: it has not so many bytes left."""
        if size > self.allowed:
            raise SHORT[self.family]


def pretend(monkeypatch: pytest.MonkeyPatch, family: str, count: int = 1) -> Pretended:
    """From now on there are such devices, and torch networks on them compute on the processor."""
    made = Pretended(family, count)
    for module in (accelerator, accelerator_trial, accelerators, cuda_devices, device, torch_backend):
        monkeypatch.setattr(module, "torch", made)
    cuda_devices.trouble.cache_clear()
    accelerator_trial.trouble.cache_clear()
    monkeypatch.setattr(cuda_devices, "nodes", list)
    real_launch, real_compute = TorchNetwork._launch, torch_backend._compute

    def launch(self: TorchNetwork, batch: Any) -> Any:
        item = ITEM_BYTES[self.place.precision]
        shape = batch[0].pixels.shape
        with device_errors.memory_errors():
            made.need(network_bytes(self.spec, len(batch) * shape[0] * shape[1], item_bytes=item))
        return real_launch(self, batch)

    def compute(module: Any, source: Any, kind: Any) -> Any:
        made.calls += 1
        made.formats.add(module.memory_format)
        made.sources.add(source.device.type)
        if made.fault is not None:
            raise made.fault
        return real_compute(module, source, kind)

    monkeypatch.setattr(TorchNetwork, "_launch", launch)
    monkeypatch.setattr(torch_backend, "_compute", compute)
    return made


def engine_on(name: str, **runtime: Any) -> Upscaler:
    """An upscaler of its own there, in fp32 unless asked otherwise."""
    return Upscaler(NetworkPool(Runtime(device=name, **{"precision": "fp32", **runtime})))
