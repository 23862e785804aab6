"""The assignment of GPUs to this host's inference processes."""

import logging
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from monitoring.gpus import uuids

logger = logging.getLogger(__name__)

#: Seconds in which torch or OpenVINO must have told which devices there are, their trial included.
_TOLD_WITHIN = 180.0
#: Prints the devices of a kind, one a line. A process of its own: this one must not import torch.
_ASK = "import sys; from jobs.engine.backends.device import usable; print(*usable(sys.argv[1]), sep='\\n')"


def visible_gpus() -> list[str]:
    """Return values for CUDA_VISIBLE_DEVICES, one per GPU; empty where there is no NVIDIA GPU or driver.

    An operator's own CUDA_VISIBLE_DEVICES is respected. Otherwise cards are named by UUID, because numbers mean another
    card to CUDA (fastest first) than to the driver (by slot).
    """
    chosen = os.environ.get("CUDA_VISIBLE_DEVICES")
    if chosen is not None:
        return [name.strip() for name in chosen.split(",") if name.strip() and name.strip() != "-1"]
    return uuids()


def amd_is_there() -> bool:
    """Return True where AMD's compute driver is loaded."""
    return Path("/dev/kfd").exists()


def told(kind: str) -> list[str]:
    """Return the usable devices of a kind ("cuda", "xpu", "openvino-gpu"), as the engine names them.

    None where it fails, or takes too long.
    """
    try:
        done = subprocess.run(
            [sys.executable, "-c", _ASK, kind], capture_output=True, text=True, check=True, timeout=_TOLD_WITHIN,
            cwd=Path(__file__).resolve().parent.parent.parent,
        )  # fmt: skip
    except (OSError, subprocess.SubprocessError) as error:
        logger.warning("devices not told kind=%s error=%.500s", kind, getattr(error, "stderr", None) or error)
        return []
    return done.stdout.split()


def assignments(
    gpus: list[str], device: str, workers: int, tell: Callable[[str], list[str]] = told
) -> list[Mapping[str, str]]:
    """Spread inference processes over this host's devices: the environment that each gets, empty for "as it is".

    ``gpus`` are NVIDIA's, ``device`` is the setting DEVICE and ``workers`` is GPU_WORKERS. One process per device
    unless told otherwise, since two on one take turns; on a CPU one process, which uses every core. A device with a
    number, and a Mac's, is one. Intel's and AMD's are asked of torch, or of OpenVINO, by ``tell``.
    """
    each: list[Mapping[str, str]] = []
    if device in ("auto", "cuda"):
        if gpus:
            each = [{"CUDA_VISIBLE_DEVICES": gpu} for gpu in gpus]
        elif amd_is_there():
            each = [{"DEVICE": name} for name in tell("cuda")]
    elif device in ("xpu", "openvino-gpu"):
        each = [{"DEVICE": name} for name in tell(device)]
    if not each or (len(each) == 1 and "DEVICE" in each[0]):
        each = [{}]  # it says itself what is there, what is missing, and why
    return [each[number % len(each)] for number in range(workers or len(each))]
