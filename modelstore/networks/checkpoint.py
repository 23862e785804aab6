"""Checkpoints: weights files read without executing code, identified by their tensors, refused with the reason.

A file is read once: the bytes that are hashed are the bytes that become tensors, whatever the disk does meanwhile.
"""

import hashlib
import io
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
    CheckpointChanged,
    CheckpointUnreadable,
    CheckpointUnsafe,
    FamilyUnknown,
    WeightsNotFinite,
)
from modelstore.networks.families.foreign import build as build_foreign
from modelstore.networks.families.foreign import recognise
from modelstore.networks.families.measurement import measure
from modelstore.networks.families.registry import HOW_TO_INSTALL, available
from modelstore.networks.legacy import translate
from modelstore.networks.spec import NetworkSpec

__all__ = ["NetworkSpec", "content", "inspect", "load", "load_blend"]

#: Where Real-ESRGAN and other trainers keep the tensors inside a checkpoint; the exponential average comes first.
_WRAPPERS = ("params_ema", "params-ema", "params", "state_dict", "model_state_dict", "model", "net")
_ZIP_MAGIC = b"PK\x03\x04"
_PICKLE_MAGIC = b"\x80"


def inspect(path: Path) -> NetworkSpec:
    """Return the spec of the network in a file, after every check that `load` makes.

    :raises NetworkError: one of its children, with a message that names the fault.
    """
    return load(path)[1]


def load(path: Path, *, sha256: str = "", spec: NetworkSpec | None = None) -> tuple[nn.Module, NetworkSpec]:
    """Return the network of a file, in fp32, on the CPU, in evaluation mode, without gradients.

    :param sha256: the digest that the file's bytes must have, in hex; "" where none is known.
    :param spec: what an earlier call returned for these bytes: a network of a family that is not ours is then not
        measured again, which takes seconds.
    :raises CheckpointChanged: when they have another.
    :raises NetworkError: one of its children, with a message that names the fault.
    """
    state = _tensors(path, content(path, sha256=sha256))
    if spec is not None and spec.traits is not None:
        return build_foreign(spec.architecture, state), spec
    try:
        ours, found = _ours(path, state)
    except ArchitectureUnknown as error:
        return _foreign(path, state, error)
    return _fill(found, ours), found


def load_blend(
    first: Path, second: Path, blend: float, *, sha256: tuple[str, str] = ("", "")
) -> tuple[nn.Module, NetworkSpec]:
    """Return one network whose weights are ``blend * first + (1 - blend) * second``, with ``blend`` in [0, 1].

    This is Real-ESRGAN's denoise strength (deep network interpolation, inference_realesrgan.py, ``dni_weight``).

    :param sha256: of the first and of the second file, as for `load`.
    :raises CheckpointChanged: when one of them has another digest.
    :raises BlendMismatch: when the two files hold different networks.
    """
    state, spec = _ours(first, _tensors(first, content(first, sha256=sha256[0])))
    other, other_spec = _ours(second, _tensors(second, content(second, sha256=sha256[1])))
    if other_spec != spec:
        raise BlendMismatch(f"{first.name} and {second.name} hold different networks and cannot be mixed")
    return _fill(spec, {key: blend * value + (1 - blend) * other[key] for key, value in state.items()}), spec


def content(path: Path, *, sha256: str = "") -> bytes:
    """Return the bytes of a file, after checking their digest where ``sha256`` is given.

    :raises CheckpointUnreadable: when the file cannot be read.
    :raises CheckpointChanged: when it has another digest.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise CheckpointUnreadable(f"{path.name} cannot be read: {error.strerror}") from error
    if sha256 and hashlib.sha256(data).hexdigest() != sha256:
        raise CheckpointChanged(f"{path.name} no longer holds the bytes that were accepted")
    return data


def _fill(spec: NetworkSpec, state: Mapping[str, Tensor]) -> nn.Module:
    with torch.device("meta"):
        network = build(spec)
    # assign=True: the tensors become the parameters, nothing is copied and the meta module never takes memory.
    network.load_state_dict(dict(state), strict=True, assign=True)
    return network.requires_grad_(False)


def _ours(path: Path, state: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], NetworkSpec]:
    """Return the tensors, in fp32 and under today's names, and the spec of a network of our own two kinds.

    :raises ArchitectureUnknown: it is neither.
    """
    state = translate(state)
    spec = deduce(state)
    if any(not value.is_floating_point() for value in state.values()):
        raise ArchitectureUnknown(f"{path.name} holds tensors that are no plain floating-point numbers")
    check_tensors(spec, state)
    _require_finite(path, state)
    return {key: tensor.detach().to(torch.float32).contiguous() for key, tensor in state.items()}, spec


def _foreign(
    path: Path, state: Mapping[str, Tensor], why_not_ours: ArchitectureUnknown
) -> tuple[nn.Module, NetworkSpec]:
    """Return a network of another family, and measure it.

    :raises ArchitectureUnknown: nobody knows it; the message says why, and what to install where that may help.
    """
    nearly_ours = not isinstance(why_not_ours, FamilyUnknown)
    if not available():
        help_text = "" if nearly_ours else f". For networks of other families: {HOW_TO_INSTALL}"
        raise ArchitectureUnknown(f"{why_not_ours}{help_text}")
    _require_finite(path, state)
    try:
        network, facts = recognise(state)
    except FamilyUnknown as error:
        raise ArchitectureUnknown(f"{why_not_ours}; {error}") from error
    except ArchitectureUnknown as error:
        raise (why_not_ours if nearly_ours else error) from error
    return network, measure(network, facts)


def _require_finite(path: Path, state: Mapping[str, Tensor]) -> None:
    for key, tensor in state.items():
        if not bool(torch.isfinite(tensor).all()):
            raise WeightsNotFinite(f"the tensor {key} of {path.name} holds NaN or infinity")


def _tensors(path: Path, data: bytes) -> dict[str, Tensor]:
    """Return the tensors by name. Content decides the format: mirrors are known to serve .pth files as .safetensors."""
    table: object
    if data.startswith((_ZIP_MAGIC, _PICKLE_MAGIC)):
        table = _torch_table(path, data)
    elif data[8:9] == b"{":
        table = _safetensors_table(path, data)
    else:
        raise CheckpointUnreadable(f"{path.name} is neither a torch checkpoint (.pth) nor a safetensors file")
    for wrapper in _WRAPPERS:
        if isinstance(table, Mapping) and isinstance(table.get(wrapper), Mapping):
            table = table[wrapper]
            break
    if not isinstance(table, Mapping):
        raise ArchitectureUnknown(f"{path.name} holds a {type(table).__name__}, not a table of tensors")
    state = {str(key): value for key, value in table.items() if isinstance(value, Tensor)}
    # A tensor of stride 0 can claim any shape over one stored number; copying it would then take that memory.
    if sum(value.numel() * value.element_size() for value in state.values()) > len(data):
        raise CheckpointUnsafe(f"{path.name} claims more numbers than the file holds")
    if any(value.layout != torch.strided or value.is_complex() for value in state.values()):
        raise ArchitectureUnknown(f"{path.name} holds tensors that are no plain numbers")
    return state


def _torch_table(path: Path, data: bytes) -> object:
    try:
        if data.startswith(_ZIP_MAGIC):
            with zipfile.ZipFile(io.BytesIO(data)) as archive:
                unpacked = sum(entry.file_size for entry in archive.infolist())
            if unpacked > len(data):  # torch stores without compression, so this is no file of torch's own
                raise CheckpointUnsafe(f"{path.name} unpacks to {unpacked} bytes, more than the file has")
        # weights_only: an unpickler that builds tensors and nothing else. map_location: official files carry CUDA tags.
        return torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
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


def _safetensors_table(path: Path, data: bytes) -> object:
    # Networks run, and .pth files load, on machines that have torch alone.
    from safetensors import SafetensorError  # noqa: PLC0415 - may be absent
    from safetensors.torch import load as load_safetensors  # noqa: PLC0415 - as above

    try:
        return load_safetensors(data)
    except (SafetensorError, ValueError, KeyError) as error:
        raise CheckpointUnreadable(f"{path.name} is no safetensors file or is truncated") from error
