"""NVIDIA GPUs of this host, asked through NVML: no CUDA context, no torch, no GPU memory taken by asking."""

from dataclasses import dataclass
from threading import Lock

import pynvml

_lock = Lock()
_state: dict[str, bool] = {}  # {"present": …} once NVML was tried


@dataclass(frozen=True)
class Gpu:
    """One GPU; bytes and percent."""

    index: int
    name: str
    uuid: str
    memory_total: int
    memory_used: int
    utilization_percent: int | None  # None where the driver does not tell


def gpus() -> list[Gpu]:
    """Return this host's NVIDIA GPUs; none where there is no driver. A GPU that answers with an error is left out."""
    if not _driver_present():
        return []
    found = []
    for index in range(pynvml.nvmlDeviceGetCount()):
        try:
            found.append(_read(index))
        except pynvml.NVMLError:
            continue  # fell off the bus, or belongs to another container: the rest still tells something
    return found


def _driver_present() -> bool:
    """Start NVML once per process. A host without the driver is not asked again: each try searches the disk."""
    with _lock:
        if "present" not in _state:
            try:
                pynvml.nvmlInit()
                _state["present"] = True
            except pynvml.NVMLError:
                _state["present"] = False
        return _state["present"]


def _read(index: int) -> Gpu:
    handle = pynvml.nvmlDeviceGetHandleByIndex(index)
    memory = pynvml.nvmlDeviceGetMemoryInfo(handle)
    try:
        utilization: int | None = int(pynvml.nvmlDeviceGetUtilizationRates(handle).gpu)
    except pynvml.NVMLError:
        utilization = None
    return Gpu(
        index=index,
        name=_text(pynvml.nvmlDeviceGetName(handle)),
        uuid=_text(pynvml.nvmlDeviceGetUUID(handle)),
        memory_total=int(memory.total),
        memory_used=int(memory.used),
        utilization_percent=utilization,
    )


def _text(value: str | bytes) -> str:
    return value.decode() if isinstance(value, bytes) else value
