"""Graphics cards that are there and cannot be used: what "auto" passes over is said, never passed over in silence."""

import functools
from pathlib import Path

import torch


def lacks_kernels(index: int) -> str:
    """Why torch as it was installed cannot compute on this card; "" where it can, as far as it tells.

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
    """Whether a card of that compute capability runs code for ``architecture``: sm_86, sm_90a, compute_120."""
    kind, _, version = architecture.partition("_")
    if not version.isdigit():  # sm_90a: for that very card
        return version.rstrip("af") == f"{major}{minor}"
    built = divmod(int(version), 10)
    if kind == "compute":  # intermediate code, which the driver compiles for any later card
        return built <= (major, minor)
    return built[0] == major and built[1] <= minor


@functools.cache  # CUDA keeps what its first look found for the life of a process
def trouble() -> str:
    """Why torch finds no card where the system shows one; "" where there is none, or where it was hidden on purpose."""
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
    """The graphics cards that the system lets this process use: device files of NVIDIA's and AMD's drivers."""
    return [*Path("/dev").glob("nvidia[0-9]*"), *Path("/dev").glob("kfd")]
