"""NVIDIA GPUs of this host, asked through NVML: no CUDA context, no torch, no GPU memory taken by asking.

A GPU that answers with an error fell off the bus, or belongs to another container: it is left out, the others stay.
"""

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from threading import Lock
from typing import Any

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
    utilization_percent: int | None  # None where the driver does not report it


def gpus() -> list[Gpu]:
    """Return this host's NVIDIA GPUs; none where there is no driver."""
    found = []
    for index, handle in _handles():
        with suppress(pynvml.NVMLError):
            found.append(_read(index, handle))
    return found


def uuids() -> list[str]:
    """Return the names by which CUDA knows the GPUs of `gpus`, whatever else they tell."""
    found = []
    for _, handle in _handles():
        with suppress(pynvml.NVMLError):
            found.append(_text(pynvml.nvmlDeviceGetUUID(handle)))
    return found


def _handles() -> Iterator[tuple[int, Any]]:
    if not _driver_present():
        return
    try:
        count = pynvml.nvmlDeviceGetCount()
    except pynvml.NVMLError:  # the driver was removed or replaced while the service runs
        return
    for index in range(count):
        with suppress(pynvml.NVMLError):
            yield index, pynvml.nvmlDeviceGetHandleByIndex(index)


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


def _read(index: int, handle: Any) -> Gpu:
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
