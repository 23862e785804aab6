"""The machine's load: this host's CPU, memory and disk, the queue, and the workers and devices of every host."""

import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
from django.conf import settings

from jobs.models import Worker
from modelstore.storage.disk_usage import directory_info
from monitoring import queue
from monitoring.gpus import Gpu, gpus

MEBIBYTE = 2**20


class CpuMeter:
    """CPU use of this host in percent, between two looks of any thread.

    psutil's own ``cpu_percent`` keeps the last look per thread and answers 0.0 to a thread's first: under a threaded
    web server that is most answers.
    """

    SHORTEST = 0.1

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._last: tuple[float, float, float] | None = None
        self._percent = 0.0

    def percent(self) -> float:
        """Return the mean since the last look; the first look takes ``SHORTEST`` seconds."""
        with self._lock:
            if self._last is None:
                self._last = self._look()
                time.sleep(self.SHORTEST)
            now = self._look()
            elapsed, busy, total = (new - old for new, old in zip(now, self._last, strict=True))
            if elapsed >= self.SHORTEST and total > 0:
                self._percent = round(min(100.0, max(0.0, 100.0 * busy / total)), 1)
                self._last = now
            return self._percent

    @staticmethod
    def _look() -> tuple[float, float, float]:
        times = psutil.cpu_times()
        # Linux counts the time of guests in user time too.
        total = sum(times) - getattr(times, "guest", 0.0) - getattr(times, "guest_nice", 0.0)
        idle = times.idle + getattr(times, "iowait", 0.0)
        return time.monotonic(), total - idle, total


cpu = CpuMeter()


@dataclass(frozen=True)
class Device:
    """A device that live workers compute on; bytes. A CPU has the host's memory."""

    host: str
    device: str
    name: str
    uuid: str  # of a card; "" for a CPU
    memory_total: int
    memory_used: int


def disk_usage_percent() -> float:
    """Use of the disk that holds the pictures."""
    return round(psutil.disk_usage(str(existing(Path(settings.MEDIA_ROOT)))).percent, 1)


def devices(workers: list[Worker]) -> list[Device]:
    """Return the devices of these workers, each once: two workers may share a GPU.

    A card is told by its UUID: workers that were given one card each all call theirs cuda:0.
    """
    found: dict[tuple[str, str, str], Device] = {}
    for worker in workers:
        if not worker.device:
            continue
        found[worker.host, "" if worker.device_uuid else worker.device, worker.device_uuid] = Device(
            host=worker.host,
            device=worker.device,
            name=worker.device_name,
            uuid=worker.device_uuid,
            memory_total=worker.memory_total or 0,
            memory_used=worker.memory_used or 0,
        )
    return [found[key] for key in sorted(found)]


def execution_providers(workers: list[Worker], local: list[Gpu]) -> list[str]:
    """Return the devices, "cuda", "cpu" …, of live inference workers; without any, those that this host could offer."""
    kinds = {worker.device.split(":")[0] for worker in workers if worker.cluster == "gpu" and worker.device}
    return sorted(kinds, key=lambda kind: (kind == "cpu", kind)) or (["cuda", "cpu"] if local else ["cpu"])


def report() -> dict[str, Any]:
    """Return the body of /api/v1/system without status, version and uptime. Megabytes are 2**20 bytes."""
    workers = list(Worker.objects.alive().order_by("cluster", "host", "pid"))
    local = gpus()
    used = devices(workers)
    cards = [device for device in used if device.device != "cpu"]
    memory = (
        (sum(device.memory_total for device in cards), sum(device.memory_used for device in cards))
        if cards
        else (sum(gpu.memory_total for gpu in local), sum(gpu.memory_used for gpu in local))
    )
    return {
        "cpu_usage_percent": cpu.percent(),
        "memory_usage_percent": round(psutil.virtual_memory().percent, 1),
        "disk_usage_percent": disk_usage_percent(),
        "gpu_available": bool(cards or local),
        "gpu_memory_mb": memory[0] // MEBIBYTE,
        "gpu_memory_used_mb": memory[1] // MEBIBYTE,
        "execution_providers": execution_providers(workers, local),
        "models_dir_size_mb": round(directory_info().total_bytes / MEBIBYTE, 1),
        "jobs_queue_length": queue.depth(),
        "workers": workers,
        "devices": used,
    }


def existing(directory: Path) -> Path:
    """Return the directory, or its nearest parent that exists: it is made at the first upload."""
    while not directory.exists():
        directory = directory.parent
    return directory
