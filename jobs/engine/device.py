"""Which device, backend and precision really run: "auto" is resolved here, what does not exist is refused by name."""

from contextlib import suppress
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

import torch

from jobs.engine.errors import DeviceUnavailable
from jobs.engine.memory import free_host_bytes
from jobs.engine.types import Precision, Runtime

ITEM_BYTES = {"fp32": 4, "bf16": 2, "fp16": 2}


@dataclass(frozen=True)
class Place:
    """A resolved runtime."""

    device: str  # "cpu", "cuda:0"
    name: str  # as people know it
    backend: Literal["torch", "openvino", "reference"]
    precision: Literal["fp32", "bf16", "fp16"]

    @property
    def kind(self) -> str:
        """The device without its number: cpu or cuda."""
        return self.device.partition(":")[0]

    def free_bytes(self) -> int:
        """Free memory of the device now; 0 when it is not known."""
        if self.kind == "cuda":
            free, _ = torch.cuda.mem_get_info(torch.device(self.device))
            reserved = torch.cuda.memory_reserved(self.device) - torch.cuda.memory_allocated(self.device)
            return int(free + reserved)
        return free_host_bytes()


def resolve(runtime: Runtime, precision: Precision | None = None) -> Place:
    """What "auto" means on this machine, at this moment.

    :param precision: one job's own wish; it wins over the runtime's.
    :raises DeviceUnavailable: for a device, backend or precision that this machine does not have.
    """
    wanted = precision or runtime.precision
    device = _device(runtime.device)
    if device.startswith("cuda"):
        if runtime.backend == "openvino":
            raise DeviceUnavailable("the openvino backend runs on the CPU only")
        if wanted == "bf16" and not _cuda_has_bf16(device):
            raise DeviceUnavailable(f"{device} has no bf16")
        return Place(
            device=device,
            name=torch.cuda.get_device_name(device),
            backend="reference" if runtime.backend == "reference" else "torch",
            precision="fp16" if wanted == "auto" else wanted,
        )
    if wanted == "fp16":
        raise DeviceUnavailable("fp16 on a CPU has no hardware behind it; use fp32 or bf16")
    if wanted == "bf16" and not cpu_has_bf16():
        raise DeviceUnavailable("this CPU has neither AMX nor AVX512-BF16, so bf16 would only be slower; use fp32")
    if runtime.backend == "reference":
        if wanted == "bf16":
            raise DeviceUnavailable("the reference backend computes in fp32 on a CPU")
        return Place(device="cpu", name=cpu_name(), backend="reference", precision="fp32")
    backend = runtime.backend
    if backend == "auto":
        backend = "openvino" if _has_openvino() else "torch"
    if backend == "openvino" and not _has_openvino():
        raise DeviceUnavailable("the openvino package is not installed")
    chosen: Literal["fp32", "bf16"] = "bf16" if wanted == "bf16" or (wanted == "auto" and cpu_has_bf16()) else "fp32"
    return Place(device="cpu", name=cpu_name(), backend=backend, precision=chosen)


def give_back_cached_memory() -> None:
    """Return to the CUDA devices what torch keeps of them for later."""
    # Torch refuses while it believes that a graph is being recorded; a lost device is the next caller's to find.
    with suppress(RuntimeError):
        torch.cuda.empty_cache()


def _cuda_has_bf16(device: str) -> bool:
    """Whether this card computes bf16 itself: emulation, which torch counts too, has no convolutions."""
    with torch.cuda.device(device):
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))


def cpu_has_bf16() -> bool:
    """Whether bf16 is computed by hardware: AMX-BF16 or AVX512-BF16."""
    capabilities = torch.cpu.get_capabilities()
    return bool(capabilities.get("amx_bf16") or capabilities.get("avx512_bf16"))


def cpu_name() -> str:
    """The processor's name, as the system tells it."""
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return str(torch.cpu.get_capabilities().get("cpu_name", "CPU"))


def _device(wanted: str) -> str:
    if wanted == "cpu":
        return "cpu"
    if wanted != "auto" and wanted.partition(":")[0] != "cuda":
        raise DeviceUnavailable(f"the device {wanted} is not known; cpu, cuda and cuda:N are")
    if not torch.cuda.is_available():
        if wanted == "auto":
            return "cpu"
        raise DeviceUnavailable(f"the device {wanted} was asked for, but this machine has no usable CUDA device")
    index = wanted.partition(":")[2] or "0"
    if not index.isdigit() or int(index) >= torch.cuda.device_count():
        raise DeviceUnavailable(f"the device {wanted} was asked for; there are {torch.cuda.device_count()} of CUDA")
    return f"cuda:{int(index)}"


def _has_openvino() -> bool:
    return find_spec("openvino") is not None
