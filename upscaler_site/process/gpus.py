"""The assignment of GPUs to this host's inference processes."""

import os

from monitoring.gpus import uuids


def visible_gpus() -> list[str]:
    """Return values for CUDA_VISIBLE_DEVICES, one per GPU; empty where there is no NVIDIA GPU or driver.

    An operator's own CUDA_VISIBLE_DEVICES is respected. Otherwise cards are named by UUID, because numbers mean another
    card to CUDA (fastest first) than to the driver (by slot).
    """
    chosen = os.environ.get("CUDA_VISIBLE_DEVICES")
    if chosen is not None:
        return [name.strip() for name in chosen.split(",") if name.strip() and name.strip() != "-1"]
    return uuids()


def assignments(gpus: list[str], device: str, workers: int) -> list[str | None]:
    """Spread inference processes over ``gpus``: what CUDA_VISIBLE_DEVICES each gets, None for "as it is".

    ``device`` is the setting DEVICE and ``workers`` is GPU_WORKERS. One process per GPU unless told otherwise, since
    two on one card take turns; on a CPU one process, which uses every core.
    """
    if device.startswith("cuda:") or device == "cpu" or not gpus:
        return [None] * (workers or 1)
    return [gpus[number % len(gpus)] for number in range(workers or len(gpus))]
