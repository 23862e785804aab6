"""An accelerator: what is not the processor and computes. Found at the moment of use; nothing is asked at import."""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Literal

import torch

Family = Literal["cuda", "rocm", "xpu", "mps", "openvino-gpu", "vulkan"]


@dataclass(frozen=True)
class Memory:
    """A device's memory now, in bytes; 0 where it is not known."""

    total: int
    used: int
    free: int  # for the engine: what torch keeps cached for its next call counts as free


def _nothing() -> None:
    return


@dataclass(frozen=True)
class Accelerator:
    """One accelerator, and the roads that it bears.

    The plain road computes one call after the other and waits for each. ``streams`` stand for the other one, of
    `jobs.engine.backends.cuda`: pinned buffers, and copies beside the computing. Only NVIDIA's cards have met it, so
    only they take it.
    """

    family: Family  # AMD's cards are "rocm", though torch answers for them as for NVIDIA's
    device: str  # as torch says it ("cuda:0" for AMD's too, "xpu:1", "mps"), or "openvino-gpu:0", "vulkan:0"
    name: str
    precisions: tuple[Literal["fp32", "bf16", "fp16"], ...]
    memory: Callable[[], Memory] = field(compare=False)
    #: Give back what torch, or whoever computes there, keeps for later.
    give_back: Callable[[], None] = field(compare=False, default=_nothing)
    uuid: str = ""
    by_torch: bool = True  # torch computes on it, not a backend that knows our own two networks alone
    streams: bool = False
    graphs: bool = False  # calls that come again are recorded
    fused: bool = False  # the kernels of `jobs.engine.backends.fused`
    #: NCHW, or channels last (NHWC), whichever its convolutions are fast in.
    memory_format: torch.memory_format = torch.contiguous_format
    #: It takes its memory from the host, so that nothing is kept cached between pictures.
    shares_memory: bool = False


def give_back_cached_memory() -> None:
    """Return torch's cached memory to CUDA devices, and its pinned buffers to the host."""
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
