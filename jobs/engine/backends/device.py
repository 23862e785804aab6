"""The device, backend and precision that really run: "auto" is resolved, and what does not exist is refused by name."""

from contextlib import suppress
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Literal, get_args

import torch

from jobs.engine.backends import cuda_devices, openvino_trial
from jobs.engine.backends.memory import free_host_bytes
from jobs.engine.backends.winograd import library as winograd
from jobs.engine.errors import DeviceUnavailable, PrecisionUnavailable
from jobs.engine.types import Backend, Precision, Runtime


@dataclass(frozen=True)
class ComputeDevice:
    """A resolved device with its backend and precision."""

    device: str  # "cpu", "cuda:0"
    name: str  # as people know it
    backend: Literal["torch", "openvino", "winograd", "reference"]
    precision: Literal["fp32", "bf16", "fp16"]
    uuid: str = ""  # the card's, as nvidia-smi writes it; two processes may both call theirs cuda:0
    note: str = ""  # what "auto" passed over, and why; for the report and the log
    choice: str = ""  # of a network on the CPU: its backend and precision in words, and why these

    @property
    def kind(self) -> str:
        """The device without its number: cpu or cuda."""
        return self.device.partition(":")[0]

    def free_bytes(self) -> int:
        """Return the device's free memory now, in bytes; 0 when it is not known."""
        if self.kind == "cuda":
            free, _ = torch.cuda.mem_get_info(torch.device(self.device))
            return int(free) + _cached_bytes(torch.device(self.device).index)
        return free_host_bytes()


def resolve(runtime: Runtime, precision: Precision | None = None) -> ComputeDevice:
    """Return what "auto" means on this machine, at this moment, before a network is known.

    On a CPU that is fp32; for a network `jobs.engine.backends.selection` measures what is faster and near enough.

    :param precision: the job's own choice; it wins over the runtime's.
    :raises DeviceUnavailable: for a device, backend or precision that this machine does not have.
    """
    wanted = precision or runtime.precision
    device, note = _device(runtime.device)
    if device.startswith("cuda"):
        return _on_card(device, runtime, wanted, note)
    if wanted == "fp16":
        raise PrecisionUnavailable("fp16 on a CPU has no hardware behind it; use fp32 or bf16")
    if wanted == "bf16" and not cpu_has_bf16():
        raise PrecisionUnavailable("this CPU has neither AMX nor AVX512-BF16, so bf16 would only be slower; use fp32")
    if runtime.backend == "reference":
        if wanted == "bf16":
            raise PrecisionUnavailable("the reference backend computes in fp32 on a CPU")
        return ComputeDevice(device="cpu", name=cpu_name(), backend="reference", precision="fp32", note=note)
    if runtime.backend == "winograd" and wanted == "bf16":
        raise PrecisionUnavailable("the winograd backend computes in fp32")
    chosen: Literal["fp32", "bf16"] = "bf16" if wanted == "bf16" else "fp32"
    backend, passed_over = _cpu_backend(runtime.backend, chosen)
    note = "; ".join(filter(None, (note, passed_over)))
    return ComputeDevice(device="cpu", name=cpu_name(), backend=backend, precision=chosen, note=note)


def lacks_kernels(runtime: Runtime, place: ComputeDevice) -> str:
    """Return that no kernels were built for a CPU which "auto" would let compute with them, and what to do; else ""."""
    if place.kind != "cpu" or place.precision != "fp32" or runtime.backend != "auto":
        return ""
    try:
        winograd.load()
    except winograd.NotBuilt as error:
        return f"computes more slowly than it could: {error}"
    except OSError:  # as the place's note says
        return ""
    return ""


def precisions(runtime: Runtime) -> tuple[str, ...]:
    """Return the precisions that a job may ask of this runtime on this machine."""
    found = []
    for precision in get_args(Precision):
        if precision != "auto":
            with suppress(DeviceUnavailable):
                found.append(resolve(runtime, precision).precision)
    return tuple(found)


def _on_card(device: str, runtime: Runtime, wanted: Precision, note: str) -> ComputeDevice:
    if runtime.backend in ("openvino", "winograd"):
        raise DeviceUnavailable(f"the {runtime.backend} backend runs on the CPU only")
    if wanted == "bf16" and runtime.backend == "reference":
        raise PrecisionUnavailable("the reference backend computes in fp32 or fp16")
    if wanted == "bf16" and not _cuda_has_bf16(device):
        raise PrecisionUnavailable(f"{device} has no bf16")
    uuid = getattr(torch.cuda.get_device_properties(device), "uuid", "")
    return ComputeDevice(
        device=device,
        name=torch.cuda.get_device_name(device),
        backend="reference" if runtime.backend == "reference" else "torch",
        precision="fp16" if wanted == "auto" else wanted,
        uuid=f"GPU-{uuid}" if uuid else "",
        note=note,
    )


def give_back_cached_memory() -> None:
    """Return torch's cached memory to the CUDA devices, and its pinned buffers to the host."""
    # Torch refuses while it believes that a graph is being recorded; the next call reports a lost device.
    with suppress(RuntimeError):
        torch.cuda.empty_cache()
    # Else pinned buffers stay pinned for the life of the process: no other process gets that memory, not even swap.
    # Measured with torch 2.11, which has only the inner function: 430 MB after five pictures of 2000 px and less.
    empty_host_cache = getattr(torch.accelerator, "empty_host_cache", None) or getattr(
        torch._C,  # noqa: SLF001 - nothing public does it before torch 2.12
        "_host_emptyCache",
        None,
    )
    if empty_host_cache is not None:
        with suppress(RuntimeError):
            empty_host_cache()


def _cached_bytes(index: int) -> int:
    """Return the bytes of a card that torch has cached for its next call; private pools of CUDA graphs do not count."""
    return sum(
        segment["total_size"] - segment["active_size"]
        for segment in torch.cuda.memory_snapshot()  # type: ignore[no-untyped-call]  # torch's
        if segment["device"] == index and tuple(segment.get("segment_pool_id", (0, 0))) == (0, 0)
    )


def _cuda_has_bf16(device: str) -> bool:
    """Return True if this card computes bf16 itself: emulation, which torch counts too, has no convolutions."""
    with torch.cuda.device(device):
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))


def cpu_has_bf16() -> bool:
    """Return True if the processor computes bf16 in hardware: AMX-BF16 or AVX512-BF16."""
    capabilities = torch.cpu.get_capabilities()
    return bool(capabilities.get("amx_bf16") or capabilities.get("avx512_bf16"))


def cpu_name() -> str:
    """Return the processor's name, as the system tells it."""
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return str(torch.cpu.get_capabilities().get("cpu_name", "CPU"))


def _device(wanted: str) -> tuple[str, str]:
    """Return the device, and what "auto" passed over to come to it."""
    if wanted == "cpu":
        return "cpu", ""
    if wanted != "auto" and wanted.partition(":")[0] != "cuda":
        raise DeviceUnavailable(f"the device {wanted} is not known; cpu, cuda and cuda:N are")
    if not torch.cuda.is_available():
        trouble = cuda_devices.trouble()
        if wanted == "auto":
            return "cpu", _passed_over([trouble] if trouble else [])
        raise DeviceUnavailable(
            f"the device {wanted} was asked for, but this machine has no usable CUDA device"
            + (f": {trouble}" if trouble else "")
        )
    if wanted == "auto":
        return _first_card()
    index = wanted.partition(":")[2] or "0"
    if not index.isdigit() or int(index) >= torch.cuda.device_count():
        raise DeviceUnavailable(f"the device {wanted} was asked for; there are {torch.cuda.device_count()} of CUDA")
    lacking = cuda_devices.lacks_kernels(int(index))
    if lacking:
        raise DeviceUnavailable(f"the device {wanted} was asked for, but {lacking}")
    return f"cuda:{int(index)}", ""


def _first_card() -> tuple[str, str]:
    reasons: list[str] = []
    for index in range(torch.cuda.device_count()):
        lacking = cuda_devices.lacks_kernels(index)
        if not lacking:
            return f"cuda:{index}", "; ".join(reasons)
        reasons.append(lacking)
    return "cpu", _passed_over(reasons)


def _passed_over(reasons: list[str]) -> str:
    return f"computes on the CPU, though there is a graphics card: {'; '.join(reasons)}" if reasons else ""


def _cpu_backend(wanted: Backend, precision: str) -> tuple[Literal["torch", "openvino", "winograd"], str]:
    """Return the backend, and why "auto" passed over one that is there."""
    if wanted == "torch":
        return "torch", ""
    notes = []
    if wanted == "winograd" or (wanted == "auto" and precision == "fp32"):
        try:
            winograd.load()
            return "winograd", ""
        except OSError as error:
            if wanted == "winograd":
                raise DeviceUnavailable(str(error)) from error
            if not isinstance(error, winograd.NotBuilt):
                notes.append(f"computes without the winograd kernels: {error}")
    backend, passed_over = _openvino_or_torch(wanted)
    return backend, "; ".join(filter(None, (*notes, passed_over)))


def _openvino_or_torch(wanted: Backend) -> tuple[Literal["torch", "openvino"], str]:
    """Return the backend, and why "auto" passed over OpenVINO although it is installed."""
    installed = find_spec("openvino") is not None
    trouble = openvino_trial.trouble() if installed else "the openvino package is not installed"
    if not trouble:
        return "openvino", ""
    if wanted == "auto":
        return "torch", f"computes with torch: {trouble}" if installed else ""
    raise DeviceUnavailable(trouble)
