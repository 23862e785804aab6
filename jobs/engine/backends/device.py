"""The device, backend and precision that really run: "auto" is resolved, and what does not exist is refused by name."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, get_args

import torch

from jobs.engine.backends import accelerator_trial, accelerators, cpu_backend, cuda_devices, openvino_gpu
from jobs.engine.backends.accelerator import Accelerator
from jobs.engine.backends.memory import free_host_bytes
from jobs.engine.backends.vulkan import devices as vulkan
from jobs.engine.backends.winograd import library as winograd
from jobs.engine.errors import DeviceUnavailable, PrecisionUnavailable
from jobs.engine.types import Precision, Runtime


@dataclass(frozen=True)
class ComputeDevice:
    """A resolved device with its backend and precision."""

    device: str  # "cpu", "cuda:0", "xpu:1", "mps", "vulkan:0"
    name: str  # as people know it
    backend: Literal["torch", "openvino", "winograd", "reference", "vulkan"]
    precision: Literal["fp32", "bf16", "fp16"]
    uuid: str = ""  # the card's, as nvidia-smi writes it; two processes may both call theirs cuda:0
    note: str = ""  # what "auto" passed over, and why; for the report and the log
    choice: str = ""  # of a network on the CPU: its backend and precision in words, and why these
    accelerator: Accelerator | None = None  # None: the CPU

    @property
    def kind(self) -> str:
        """The device without its number: cpu, cuda, xpu, mps, vulkan."""
        return self.device.partition(":")[0]

    def free_bytes(self) -> int:
        """Return the device's free memory now, in bytes; 0 when it is not known."""
        return free_host_bytes() if self.accelerator is None else self.accelerator.memory().free


@dataclass(frozen=True)
class Kind:
    """A kind of device that `Runtime.device` names, beside the CPU. Nothing is asked before one of these is called."""

    title: str
    count: Callable[[], int]
    #: Why there is none; to "auto" (``named`` False) only where the system shows one that somebody may have counted on.
    trouble: Callable[..., str]
    #: Of its number, below the count.
    find: Callable[[int], Accelerator]
    #: Why it cannot compute; "" where it can.
    unusable: Callable[[Accelerator], str]
    #: The place, its backend and precision, given the wish for a precision.
    place: Callable[[Accelerator, Runtime, Precision], ComputeDevice]
    #: Whether "auto" may take it for a runtime.
    by_auto: Callable[[Runtime], bool] = lambda _: True
    #: Why "auto" had better compute on the CPU; "" where it had not.
    slower: Callable[[Accelerator], str] = lambda _: ""
    #: The numbers in the order in which "auto" tries them, given the count.
    order: Callable[[int], Iterable[int]] = range
    #: The number that its name alone means.
    first: Callable[[], int] = int


def resolve(runtime: Runtime, precision: Precision | None = None) -> ComputeDevice:
    """Return what "auto" means on this machine, at this moment, before a network is known.

    On a CPU that is fp32; for a network `jobs.engine.backends.selection` measures what is faster and near enough.

    :param precision: the job's own choice; it wins over the runtime's.
    :raises DeviceUnavailable: for a device, backend or precision that this machine does not have.
    """
    wanted = precision or runtime.precision
    found, note = _accelerator(runtime)
    if found is not None:
        kind, one = found
        return replace(kind.place(one, runtime, wanted), note=note)
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
    backend, passed_over = cpu_backend.choose(runtime.backend, chosen)
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


def _by_torch(one: Accelerator, runtime: Runtime, wanted: Precision) -> ComputeDevice:
    if runtime.backend in ("openvino", "winograd"):
        raise DeviceUnavailable(f"the {runtime.backend} backend runs on the CPU only")
    if wanted == "bf16" and runtime.backend == "reference":
        raise PrecisionUnavailable("the reference backend computes in fp32 or fp16")
    return placed(one, wanted, "reference" if runtime.backend == "reference" else "torch")


def placed(
    one: Accelerator, wanted: Precision, backend: Literal["torch", "openvino", "reference", "vulkan"]
) -> ComputeDevice:
    """Return an accelerator as a place for a backend, in the precision asked for; "auto" is fp16 where it is there.

    :raises PrecisionUnavailable: it does not compute so.
    """
    if wanted == "auto":
        precision: Literal["fp32", "bf16", "fp16"] = "fp16" if "fp16" in one.precisions else "fp32"
    elif wanted in one.precisions:
        precision = wanted
    else:
        raise PrecisionUnavailable(f"{one.device} has no {wanted}")
    return ComputeDevice(
        device=one.device, name=one.name, backend=backend, precision=precision, uuid=one.uuid, accelerator=one
    )


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


def _by_openvino(one: Accelerator, runtime: Runtime, wanted: Precision) -> ComputeDevice:
    if not _wants_openvino(runtime):
        raise DeviceUnavailable(f"the {runtime.backend} backend does not run on {one.device}")
    return placed(one, wanted, "openvino")


def _wants_openvino(runtime: Runtime) -> bool:
    return runtime.backend in ("auto", "openvino")


def _by_vulkan(one: Accelerator, runtime: Runtime, wanted: Precision) -> ComputeDevice:
    if runtime.backend != "auto":
        raise DeviceUnavailable(f"the {runtime.backend} backend does not run on {one.device}")
    return placed(one, wanted, "vulkan")


def _lacks(one: Accelerator) -> str:
    """Return why a device of torch's cannot compute; "" where it can: it has kernels, and they do."""
    lacking = cuda_devices.lacks_kernels(int(one.device.partition(":")[2])) if one.device.startswith("cuda:") else ""
    return lacking or accelerator_trial.trouble(one)


#: By the word in `Runtime.device`, in the order in which "auto" looks for them.
_KINDS = {
    "cuda": Kind("CUDA", cuda_devices.count, accelerators.cuda_trouble, accelerators.cuda, _lacks, _by_torch),
    "xpu": Kind("XPU", accelerators.xpu_count, accelerators.xpu_trouble, accelerators.xpu, _lacks, _by_torch),
    "mps": Kind("MPS", accelerators.mps_count, accelerators.mps_trouble, accelerators.mps, _lacks, _by_torch),
    openvino_gpu.NAME: Kind(
        "OpenVINO GPU",
        openvino_gpu.count,
        openvino_gpu.trouble,
        openvino_gpu.find,
        openvino_gpu.unusable,
        _by_openvino,
        by_auto=lambda runtime: _wants_openvino(runtime) and openvino_gpu.is_likely(),
        slower=openvino_gpu.slower,
        order=openvino_gpu.cards_first,
    ),
    vulkan.NAME: Kind(
        "Vulkan",
        vulkan.count,
        vulkan.trouble,
        vulkan.find,
        vulkan.unusable,
        _by_vulkan,
        by_auto=vulkan.wants,
        order=vulkan.cards,
        first=vulkan.preferred,
    ),
}


def there() -> list[str]:
    """Return the devices of this machine, usable or not, as their kind and number and as people know them.

    Without those that "auto" never takes, such as Vulkan's driver for the processor.
    """
    return ["cpu", *(f"{one.device} ({one.name})" for one in _beside_the_cpu())]


def beside_the_cpu() -> list[str]:
    """Return the devices beside the CPU, usable or not, as `Runtime.device` names them: ["cuda:0", "cuda:1"]."""
    return [one.device for one in _beside_the_cpu()]


def _beside_the_cpu() -> Iterator[Accelerator]:
    for kind in _KINDS.values():
        for index in sorted(kind.order(kind.count())):
            yield kind.find(index)


def usable(name: str) -> list[str]:
    """Return the devices of a kind that can compute, such as ["xpu:0", "xpu:1"] for "xpu"."""
    kind = _KINDS[name]
    found = (kind.find(index) for index in range(kind.count()))
    return [one.device for one in found if not kind.unusable(one)]


def _accelerator(runtime: Runtime) -> tuple[tuple[Kind, Accelerator] | None, str]:
    """Return the accelerator to compute on, None for the CPU; and what "auto" passed over to come to it.

    :raises DeviceUnavailable: the device asked for by name is not there, or cannot compute.
    """
    wanted = runtime.device
    if wanted == "auto":
        return _first(runtime)
    if wanted == "cpu":
        return None, ""
    name, _, number = wanted.partition(":")
    kind = _KINDS.get(name)
    if kind is None or not (number or "0").isdigit():
        raise DeviceUnavailable(f"the device {wanted} is not known; cpu, {', '.join(_KINDS)} are, and some with :N")
    count = kind.count()
    if not count:
        trouble = kind.trouble(named=True)
        raise DeviceUnavailable(
            f"the device {wanted} was asked for, but this machine has no usable {kind.title} device"
            + (f": {trouble}" if trouble else "")
            + f". There is {_listed(there())}"
        )
    index = int(number) if number else kind.first()
    if index >= count:
        raise DeviceUnavailable(f"the device {wanted} was asked for. There is {_listed(there())}")
    one = kind.find(index)
    lacking = kind.unusable(one)
    if lacking:
        raise DeviceUnavailable(f"the device {wanted} was asked for, but {lacking}. There is {_listed(there())}")
    return (kind, one), ""


def _listed(names: list[str]) -> str:
    return f"{names[0]} alone" if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def _first(runtime: Runtime) -> tuple[tuple[Kind, Accelerator] | None, str]:
    reasons: list[str] = []
    for kind in _KINDS.values():
        if not kind.by_auto(runtime):
            continue
        for index in kind.order(kind.count()):
            one = kind.find(index)
            lacking = kind.unusable(one) or kind.slower(one)
            if not lacking:
                return (kind, one), "; ".join(reasons)
            reasons.append(lacking)
        if not kind.count():
            reasons += filter(None, [kind.trouble(named=False)])
    return None, f"computes on the CPU, though there is a graphics card: {'; '.join(reasons)}" if reasons else ""
