"""CUDA devices that are present but unusable, so that "auto" names every device that it passes over and why."""

import functools
from pathlib import Path

import torch


def count() -> int:
    """Return the number of NVIDIA's and AMD's cards that torch can open."""
    return int(torch.cuda.device_count()) if torch.cuda.is_available() else 0


def lacks_kernels(index: int) -> str:
    """Return why the installed torch cannot compute on CUDA device ``index``; "" where it can, as far as torch tells.

    A card that is older, or newer, than what a wheel was built for is listed, takes memory, and fails at the first
    kernel ("no kernel image is available"). See torch.cuda._check_cubins.
    """
    built_for = torch.cuda.get_arch_list()
    properties = torch.cuda.get_device_properties(index)
    if torch.version.hip:
        own = str(properties.gcnArchName).partition(":")[0]
        runs = own in built_for
    else:
        own = f"sm_{properties.major}{properties.minor}"
        runs = any(_runs_on(properties.major, properties.minor, architecture) for architecture in built_for)
    if runs or not built_for:
        return ""
    name = torch.cuda.get_device_name(index)
    return f"cuda:{index} ({name}, {own}) has no kernels in this torch, which has {' '.join(built_for)}"


def _runs_on(major: int, minor: int, architecture: str) -> bool:
    """Return True if a card of that compute capability runs code for ``architecture``: sm_86, sm_90a, compute_120."""
    kind, _, version = architecture.partition("_")
    if not version.isdigit():  # sm_90a: for that very card
        return version.rstrip("af") == f"{major}{minor}"
    built = divmod(int(version), 10)
    if kind == "compute":  # intermediate code, which the driver compiles for any later card
        return built <= (major, minor)
    return built[0] == major and built[1] <= minor


@functools.cache  # CUDA keeps what its first look found for the life of a process
def trouble() -> str:
    """Return why torch finds no card where the system shows one; "" where there is none, or it is hidden on purpose."""
    if not nodes():
        return ""
    if torch.version.cuda is None and torch.version.hip is None:
        return "torch was installed without support for it"
    try:
        torch.cuda.init()  # type: ignore[no-untyped-call]  # torch's
    except (RuntimeError, AssertionError) as error:
        reason = str(error).partition("\n")[0]
        return "" if "No CUDA GPUs are available" in reason else reason
    return ""


def nodes() -> list[Path]:
    """Return the device files of the NVIDIA and AMD cards that the system lets this process use."""
    return [*Path("/dev").glob("nvidia[0-9]*"), *Path("/dev").glob("kfd")]
