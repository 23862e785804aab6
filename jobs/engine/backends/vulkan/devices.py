"""The Vulkan devices of this machine as accelerators: what `jobs.engine.backends.device` asks of each kind."""

import functools
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Literal

from jobs.engine.backends.accelerator import Accelerator, Memory
from jobs.engine.backends.vulkan import process
from jobs.engine.types import Runtime

NAME = "vulkan"
#: By ncnn's number, in the order in which they are preferred.
_TYPES: tuple[Literal["discrete", "integrated", "virtual", "cpu"], ...] = ("discrete", "integrated", "virtual", "cpu")


@dataclass(frozen=True)
class VulkanDevice:
    """A device as ncnn lists it."""

    index: int
    name: str
    type: Literal["discrete", "integrated", "virtual", "cpu"]  # "cpu": a driver without a card, such as llvmpipe
    budget: int  # bytes of its first local heap when it was listed
    fp16: bool  # stores fp16


def count() -> int:
    """Return the number of devices, drivers that compute on the processor included."""
    return len(look()[0])


def trouble(*, named: bool) -> str:
    """Return why there is no device, and what helps; to "auto" only where a driver is installed and fails."""
    if find_spec("ncnn") is None:
        return "the ncnn package is not installed; `make vulkan` installs it" if named else ""
    said = look()[1]
    if not named:
        return f"Vulkan: {said}" if said else ""
    return (
        f"{said or 'no driver shows one'}. It takes a driver (on Debian and Ubuntu mesa-vulkan-drivers for AMD and "
        "Intel) and the right to open /dev/dri/renderD*"
    )


def find(index: int) -> Accelerator:
    """Return the device of a number below `count`."""
    device = look()[0][index]
    return Accelerator(
        family="vulkan",
        device=f"{NAME}:{device.index}",
        name=device.name,
        precisions=("fp32", "fp16") if device.fp16 else ("fp32",),
        memory=functools.partial(_memory, device),
        by_torch=False,
        shares_memory=device.type != "discrete",
    )


def unusable(_: Accelerator) -> str:
    """Return "": the first window, checked against the processor, tells what a trial would."""
    return ""


def preferred() -> int:
    """Return the number of the device that "vulkan" alone names: a discrete card, else the next best."""
    return min(look()[0], key=lambda device: _TYPES.index(device.type)).index


def cards(_: int) -> list[int]:
    """Return the numbers that "auto" tries: discrete cards, then integrated ones, never a processor's driver."""
    found = [device for device in look()[0] if device.type != "cpu"]
    return [device.index for device in sorted(found, key=lambda device: _TYPES.index(device.type))]


def wants(runtime: Runtime) -> bool:
    """Return True where "auto" may look for a device: no backend was named, nor a precision that Vulkan lacks."""
    return runtime.backend == "auto" and runtime.precision != "bf16"


def process_of(name: str) -> process.DeviceProcess:
    """Return the process that computes on a device such as "vulkan:0"; it starts with the first network."""
    return _process(look()[0][int(name.partition(":")[2])])


def _memory(device: VulkanDevice) -> Memory:
    """Return what the heap had when it was listed, and has now for the device's process, which counts as free."""
    free = _process(device).budget() or device.budget
    return Memory(total=device.budget, used=max(0, device.budget - free), free=free)


@functools.cache  # one process per device, whatever the number of networks
def _process(device: VulkanDevice) -> process.DeviceProcess:
    return process.DeviceProcess(device.index, device.name)


@functools.cache  # a worker that finds none ends, and its successor looks anew
def look() -> tuple[tuple[VulkanDevice, ...], str]:
    """Return the devices, and what failed where there are none."""
    if find_spec("ncnn") is None:
        return (), ""
    found, said = process.listed()
    return tuple(
        VulkanDevice(one["index"], one["name"], _TYPES[one["type"]], one["budget"], one["fp16"]) for one in found
    ), said
