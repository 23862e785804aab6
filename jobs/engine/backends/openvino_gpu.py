"""Intel's GPU by OpenVINO's plug-in, where torch was not built for it: found, tried, and why it is not there.

The plug-in comes with the openvino package and wants Intel's OpenCL driver from the system.
"""

import functools
import platform
import time
from contextlib import suppress
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from jobs.engine.backends.accelerator import Accelerator, Memory
from jobs.engine.backends.accelerators import intel_nodes
from jobs.engine.backends.device_errors import first_line
from jobs.engine.backends.memory import free_host_bytes
from jobs.engine.backends.winograd import library as winograd
from modelstore.networks.deduce import deduce
from modelstore.networks.srvgg import SRVGGNetCompact

NAME = "openvino-gpu"
#: PSNR in dB, of 8-bit pixels, that the trial's network must reach against torch's fp32 on the processor.
_BOUND = 50.0


def openvino_name(device: str) -> str:
    """Return OpenVINO's name for our ``device``: "CPU" for "cpu", "GPU.1" for "openvino-gpu:1"."""
    return "CPU" if device == "cpu" else f"GPU.{device.partition(':')[2] or 0}"


def is_likely() -> bool:
    """Return True where it is worth loading OpenVINO to ask: the system shows a GPU of Intel's, or does not tell."""
    return platform.system() != "Linux" or bool(intel_nodes()) or Path("/dev/dxg").exists()


def count() -> int:
    """Return the number of GPUs that OpenVINO lists; 0 without the package, the plug-in's libraries or a driver."""
    if find_spec("openvino") is None:
        return 0
    return sum(name.partition(".")[0] == "GPU" for name in _listed())


def trouble(*, named: bool) -> str:
    """Return why OpenVINO lists no GPU; "" to whoever did not name it, since nearly every machine has none."""
    if not named:
        return ""
    if find_spec("openvino") is None:
        return "the openvino package is not installed"
    try:
        _core().get_property("GPU", "FULL_DEVICE_NAME")
    except RuntimeError as error:
        text = str(error)
        if "Cannot load library" in text:
            reason = text.partition('": ')[2].strip().splitlines()[0]
            return f"its plug-in does not load: {reason}; Intel's OpenCL driver is what it wants (intel-opencl-icd)"
    return "OpenVINO lists no GPU: is Intel's OpenCL driver installed, and may this user open /dev/dri/renderD*?"


@functools.cache  # the trial takes a second or two
def find(index: int) -> Accelerator:
    """Return the GPU of that number, with the precisions in which its trial went well; perhaps none."""
    device = f"{NAME}:{index}"
    name = openvino_name(device)
    return Accelerator(
        family="openvino-gpu",
        device=device,
        name=str(_property(name, "FULL_DEVICE_NAME", "Intel GPU")),
        precisions=tuple(precision for precision in _PRECISIONS if not _fails(name, precision)),
        memory=partial(_memory, name),
        uuid=str(_property(name, "DEVICE_UUID", "")),
        by_torch=False,
    )


def unusable(one: Accelerator) -> str:
    """Return why a GPU that is listed cannot be used; "" where it computes rightly in some precision."""
    if one.precisions:
        return ""
    return f"{one.device} ({one.name}) {_fails(openvino_name(one.device), 'fp32')}"


_PRECISIONS: tuple[Literal["fp32", "fp16"], ...] = ("fp32", "fp16")


@functools.cache
def _fails(name: str, precision: Literal["fp32", "fp16"]) -> str:
    """Return what is wrong with a small network's pixels in a precision; "" where they come near enough to torch's."""
    from jobs.engine.backends.openvino_backend import OpenVinoGraphs  # noqa: PLC0415 - OpenVINO may be absent

    network, pixels, exact, converted = _trial()
    try:
        graphs = OpenVinoGraphs(network, deduce(network.state_dict()), name, precision, converted)
        got, finite = graphs.compute(pixels, np.dtype(np.uint8))
    except (RuntimeError, MemoryError) as error:
        return f"fails at a small network: {first_line(error)}"
    noise = float(np.mean((got.astype(np.float64) - exact) ** 2))
    if not finite or noise > 255**2 / 10 ** (_BOUND / 10):
        return f"computes wrong numbers in {precision}"
    return ""


@functools.cache
def slower(one: Accelerator) -> str:
    """Return that the processor's cores would be faster, and by how much; "" where the GPU is.

    What is part of a small processor may lose against the cores of it, and wins against few of them.
    """
    try:
        there = _seconds(openvino_name(one.device), "fp16" if "fp16" in one.precisions else "fp32")
        here = _seconds("CPU", "fp32") / _kernels_gain()
    except (RuntimeError, MemoryError) as error:
        return f"{one.device} ({one.name}) fails at a layer of a real network: {first_line(error)}"
    if there <= here:
        return ""
    return f"{one.device} ({one.name}) takes {there / here:.1f} times as long as the processor"


def _kernels_gain() -> float:
    """Return how many times as fast as OpenVINO our CPU kernels are, where they load; 2.0 to 2.5 were seen."""
    try:
        winograd.load()
    except OSError:
        return 1.0
    return 2.0


def _seconds(name: str, precision: Literal["fp32", "fp16"]) -> float:
    """Return the seconds, the best of three, of some layers as wide as a real network's on 192×256 pixels."""
    from jobs.engine.backends.openvino_backend import OpenVinoGraphs  # noqa: PLC0415 - OpenVINO may be absent

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(5)
        network = SRVGGNetCompact(features=64, convolutions=4, scale=4).eval()
    graphs = OpenVinoGraphs(network, deduce(network.state_dict()), name, precision)
    pixels, dtype = np.zeros((192, 256, 3), np.uint8), np.dtype(np.uint8)
    graphs.compute(pixels, dtype)  # compiles
    taken = []
    for _ in range(3):
        begun = time.perf_counter()
        graphs.compute(pixels, dtype)
        taken.append(time.perf_counter() - begun)
    return min(taken)


@functools.cache
def _trial() -> tuple[nn.Module, NDArray[np.uint8], NDArray[np.float32], dict[Any, Any]]:
    """Return a network, (H, W, 3) pixels, what it makes of them, (H*4, W*4, 3), and a place for its graph.

    The picture is bright and large: sums over it are beyond fp16's range.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(5)
        network = SRVGGNetCompact(features=16, convolutions=3, scale=4).eval()
    pixels = np.random.default_rng(5).integers(100, 256, (96, 80, 3), dtype=np.uint8)  # (H, W, 3)
    with torch.inference_mode():
        ready = torch.from_numpy(pixels).permute(2, 0, 1).unsqueeze(0).float() / 255  # (1, 3, H, W)
        exact = (network(ready).clamp(0, 1)[0].permute(1, 2, 0) * 255).round().numpy()  # (H*4, W*4, 3)
    return network, pixels, exact, {}


def cards_first(count: int) -> list[int]:
    """Return the numbers below ``count``, cards before what is part of a processor."""
    return sorted(range(count), key=lambda index: _is_integrated(openvino_name(f"{NAME}:{index}")))


def _is_integrated(name: str) -> bool:
    return "integrated" in str(_property(name, "DEVICE_TYPE", "")).lower()


def _memory(name: str) -> Memory:
    """Return the GPU's memory in bytes; of what others hold there OpenVINO knows nothing."""
    total = int(_property(name, "GPU_DEVICE_TOTAL_MEM_SIZE", 0))
    held = sum(dict(_property(name, "GPU_MEMORY_STATISTICS", {})).values())
    free = max(0, total - held)
    if _is_integrated(name):
        free = min(free, free_host_bytes() or free)
    return Memory(total, held, free)


def _property(name: str, what: str, otherwise: Any) -> Any:
    with suppress(RuntimeError):
        return _core().get_property(name, what)
    return otherwise


@functools.cache
def _listed() -> tuple[str, ...]:
    return tuple(_core().available_devices)


@functools.cache
def _core() -> Any:
    import openvino  # noqa: PLC0415 - may be absent

    return openvino.Core()
