"""Weights files: read without executing code, understood by their tensors, refused by name when something is wrong."""

import pickle
import struct
import zipfile
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from modelstore.networks.deduce import build, check_tensors, deduce
from modelstore.networks.errors import (
    ArchitectureUnknown,
    BlendMismatch,
    CheckpointUnreadable,
    CheckpointUnsafe,
    WeightsNotFinite,
)
from modelstore.networks.legacy import translate
from modelstore.networks.spec import NetworkSpec

__all__ = ["NetworkSpec", "inspect", "load", "load_blend"]

#: Where Real-ESRGAN and others keep the tensors inside a checkpoint; the exponential average comes first.
_WRAPPERS = ("params_ema", "params", "state_dict")
_ZIP_MAGIC = b"PK\x03\x04"
_PICKLE_MAGIC = b"\x80"


def inspect(path: Path) -> NetworkSpec:
    """What network a file holds, after every check that `load` makes.

    :raises NetworkError: one of its children, with a message that names the fault.
    """
    return _read(path)[1]


def load(path: Path) -> tuple[nn.Module, NetworkSpec]:
    """The network of a file: fp32, on the CPU, in evaluation mode, without gradients.

    :raises NetworkError: one of its children, with a message that names the fault.
    """
    state, spec = _read(path)
    return _fill(spec, state), spec


def load_blend(first: Path, second: Path, blend: float) -> tuple[nn.Module, NetworkSpec]:
    """One network whose weights are ``blend * first + (1 - blend) * second``.

    This is Real-ESRGAN's denoise strength (deep network interpolation, inference_realesrgan.py, ``dni_weight``).

    :raises BlendMismatch: when the two files hold different networks.
    """
    state, spec = _read(first)
    other, other_spec = _read(second)
    if other_spec != spec:
        raise BlendMismatch(f"{first.name} and {second.name} hold different networks and cannot be mixed")
    return _fill(spec, {key: blend * value + (1 - blend) * other[key] for key, value in state.items()}), spec


def _fill(spec: NetworkSpec, state: Mapping[str, Tensor]) -> nn.Module:
    with torch.device("meta"):
        network = build(spec)
    # assign=True: the tensors become the parameters, nothing is copied and the meta module never takes memory.
    network.load_state_dict(dict(state), strict=True, assign=True)
    return network.requires_grad_(False)


def _read(path: Path) -> tuple[dict[str, Tensor], NetworkSpec]:
    state = translate(_tensors(path))
    spec = deduce(state)
    check_tensors(spec, state)
    for key, tensor in state.items():
        if not bool(torch.isfinite(tensor).all()):
            raise WeightsNotFinite(f"the tensor {key} of {path.name} holds NaN or infinity")
    return {key: tensor.detach().to(torch.float32).contiguous() for key, tensor in state.items()}, spec


def _tensors(path: Path) -> dict[str, Tensor]:
    """The format is decided by content: mirrors are known to serve .pth files under the name .safetensors."""
    try:
        with path.open("rb") as file:
            head = file.read(9)
        size = path.stat().st_size
    except OSError as error:
        raise CheckpointUnreadable(f"{path.name} cannot be read: {error.strerror}") from error
    if head.startswith((_ZIP_MAGIC, _PICKLE_MAGIC)):
        content = _torch_content(path, size, zipped=head.startswith(_ZIP_MAGIC))
    elif head[8:9] == b"{":
        content = _safetensors_content(path)
    else:
        raise CheckpointUnreadable(f"{path.name} is neither a torch checkpoint (.pth) nor a safetensors file")
    for wrapper in _WRAPPERS:
        if isinstance(content, Mapping) and isinstance(content.get(wrapper), Mapping):
            content = content[wrapper]
            break
    if not isinstance(content, Mapping):
        raise ArchitectureUnknown(f"{path.name} holds a {type(content).__name__}, not a table of tensors")
    state = {str(key): value for key, value in content.items() if isinstance(value, Tensor)}
    # A tensor of stride 0 can claim any shape over one stored number; copying it would then take that memory.
    if sum(value.numel() * value.element_size() for value in state.values()) > size:
        raise CheckpointUnsafe(f"{path.name} claims more numbers than the file holds")
    if any(not value.is_floating_point() or value.layout != torch.strided for value in state.values()):
        raise ArchitectureUnknown(f"{path.name} holds tensors that are no plain floating-point numbers")
    return state


def _torch_content(path: Path, size: int, *, zipped: bool) -> object:
    try:
        if zipped:
            with zipfile.ZipFile(path) as archive:
                unpacked = sum(entry.file_size for entry in archive.infolist())
            if unpacked > size:  # torch stores without compression, so this is no file of torch's own
                raise CheckpointUnsafe(f"{path.name} unpacks to {unpacked} bytes, more than the file has")
        # weights_only: an unpickler that builds tensors and nothing else. map_location: official files carry CUDA tags.
        # An open file, not a path: torch would believe a name that ends in .safetensors.
        with path.open("rb") as file:
            return torch.load(file, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        if "unsupported" in str(error).lower() and "global" in str(error).lower():
            raise CheckpointUnsafe(f"{path.name} wants to execute code while it is loaded; refused") from error
        raise CheckpointUnreadable(f"{path.name} is no torch checkpoint or is damaged") from error
    except (
        RuntimeError,
        EOFError,
        ValueError,
        KeyError,
        AttributeError,
        TypeError,
        OSError,
        zipfile.BadZipFile,
        struct.error,
    ) as error:
        raise CheckpointUnreadable(f"{path.name} is truncated or damaged and cannot be loaded") from error


def _safetensors_content(path: Path) -> object:
    # Networks run, and .pth files load, on machines that have torch alone.
    from safetensors import SafetensorError  # noqa: PLC0415 - may be absent
    from safetensors.torch import load_file  # noqa: PLC0415 - as above

    try:
        return load_file(path, device="cpu")
    except (SafetensorError, OSError, ValueError, KeyError) as error:
        raise CheckpointUnreadable(f"{path.name} is no safetensors file or is truncated") from error
