"""Accelerators that torch has: NVIDIA's and AMD's cards (CUDA, ROCm), Intel's (XPU), Apple's (MPS).

Per kind: how many there are, one of them by its number, and why there is none although the system shows one.
"""

import platform
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Literal

import torch

from jobs.engine.backends import cuda_devices
from jobs.engine.backends.accelerator import Accelerator, Memory, give_back_cached_memory

Precisions = tuple[Literal["fp32", "bf16", "fp16"], ...]


def cuda(index: int) -> Accelerator:
    """Return NVIDIA's or AMD's card of that number, below `torch.cuda.device_count`."""
    device = f"cuda:{index}"
    properties = torch.cuda.get_device_properties(device)
    uuid = getattr(properties, "uuid", "")
    amd = bool(torch.version.hip)
    return Accelerator(
        family="rocm" if amd else "cuda",
        device=device,
        name=torch.cuda.get_device_name(device),
        precisions=("fp32", "bf16", "fp16") if _cuda_has_bf16(device) else ("fp32", "fp16"),
        memory=partial(_cuda_memory, index),
        give_back=give_back_cached_memory,
        uuid=f"GPU-{uuid}" if uuid else "",
        streams=not amd,
        graphs=not amd,
        fused=not amd,
        memory_format=_amd_format(str(getattr(properties, "gcnArchName", ""))) if amd else torch.channels_last,
    )


def cuda_trouble(*, named: bool) -> str:
    """Return why torch finds no card: see `cuda_devices.trouble`."""
    found = cuda_devices.trouble()
    if named and not found and torch.version.cuda is None and torch.version.hip is None:
        return "torch was installed without support for it"
    return found


def _amd_format(architecture: str) -> torch.memory_format:
    """Return what convolutions are fast in: channels last on gfx9 (CDNA: MI210, MI300), NCHW on all others (RDNA).

    Channels last made 4x networks up to 40 times slower on an RX 7900 (ROCm/TheRock#2485, pytorch#170947).
    """
    return torch.channels_last if architecture.startswith("gfx9") else torch.contiguous_format


def _cuda_has_bf16(device: str) -> bool:
    """Return True if this card computes bf16 itself: emulation, which torch counts too, has no convolutions."""
    with torch.cuda.device(device):
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))


def _cuda_memory(index: int) -> Memory:
    """:raises RuntimeError: the device is lost."""
    free, total = torch.cuda.mem_get_info(torch.device(f"cuda:{index}"))
    return Memory(int(total), int(total - free), int(free) + _cached_bytes(index))


def _cached_bytes(index: int) -> int:
    """Return the bytes of a card that torch has cached for its next call; private pools of CUDA graphs do not count."""
    return sum(
        segment["total_size"] - segment["active_size"]
        for segment in torch.cuda.memory_snapshot()  # type: ignore[no-untyped-call]  # torch's
        if segment["device"] == index and tuple(segment.get("segment_pool_id", (0, 0))) == (0, 0)
    )


def xpu_count() -> int:
    """Return the number of Intel's GPUs that torch can use."""
    return int(torch.xpu.device_count()) if torch.xpu.is_available() else 0


def xpu(index: int) -> Accelerator:
    """Return Intel's GPU of that number, below `xpu_count`. oneDNN's convolutions want channels last there too."""
    properties = torch.xpu.get_device_properties(index)
    uuid = getattr(properties, "uuid", "")
    precisions: Precisions = ("fp32",)
    if torch.xpu.is_bf16_supported():
        precisions += ("bf16",)
    if getattr(properties, "has_fp16", True):
        precisions += ("fp16",)
    return Accelerator(
        family="xpu",
        device=f"xpu:{index}",
        name=str(properties.name),
        precisions=precisions,
        memory=partial(_xpu_memory, index),
        give_back=_empty_xpu,
        uuid=str(uuid),
        memory_format=torch.channels_last,
    )


def _xpu_memory(index: int) -> Memory:
    total = int(torch.xpu.get_device_properties(index).total_memory)
    allocated, reserved = int(torch.xpu.memory_allocated(index)), int(torch.xpu.memory_reserved(index))
    try:
        free, total = map(int, torch.xpu.mem_get_info(index))
    except RuntimeError:  # drivers of some integrated GPUs do not tell what is free
        free = max(0, total - reserved)
    return Memory(total, total - free, free + reserved - allocated)


def _empty_xpu() -> None:
    with suppress(RuntimeError):  # the next call reports a lost device
        torch.xpu.empty_cache()


def xpu_trouble(*, named: bool) -> str:
    """Return why torch finds no Intel GPU.

    Every desktop processor of Intel has a small one, which nobody expects to be used: unasked, only a torch that was
    built for them makes its absence worth a word.
    """
    if not getattr(torch.version, "xpu", None):
        return "torch was installed without support for it" if named else ""
    if not intel_nodes():
        return ""
    return "the level-zero driver shows torch no Intel GPU (is it installed, and may this user open /dev/dri/renderD*?)"


def intel_nodes() -> list[Path]:
    """Return the system's entries of Intel GPUs."""
    found = []
    for vendor in Path("/sys/class/drm").glob("renderD*/device/vendor"):
        with suppress(OSError):
            if vendor.read_text().strip() == "0x8086":
                found.append(vendor.parent)
    return found


def mps_count() -> int:
    """Return 1 on a Mac whose GPU torch can use, else 0."""
    return int(torch.backends.mps.is_available())


def mps(_: int) -> Accelerator:
    """Return the Mac's GPU. Metal's graphs compute in NCHW."""
    name = getattr(torch.backends.mps, "get_name", None)
    return Accelerator(
        family="mps",
        device="mps",
        name=str(name()) if name else f"Apple GPU ({platform.machine()})",
        precisions=("fp32", "fp16"),
        memory=_mps_memory,
        give_back=_empty_mps,
        shares_memory=True,
    )


def _mps_memory() -> Memory:
    total, held = int(torch.mps.recommended_max_memory()), int(torch.mps.driver_allocated_memory())
    return Memory(total, held, max(0, total - held))


def _empty_mps() -> None:
    with suppress(RuntimeError):  # the next call reports a lost device
        torch.mps.empty_cache()


def mps_trouble(*, named: bool) -> str:
    """Return why torch finds no GPU on a Mac; unasked, "" on everything else."""
    if platform.system() != "Darwin":
        return "Apple's computers have it" if named else ""
    if not torch.backends.mps.is_built():
        return "torch was installed without support for it"
    return "MPS wants macOS 14 or later, and Apple's processor"
