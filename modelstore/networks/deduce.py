"""Deduction of a network from the names and shapes of its tensors. Pure arithmetic."""

import re
from collections.abc import Mapping
from math import ceil, isqrt

import torch
from torch import Tensor, nn

from modelstore.networks.errors import ArchitectureUnknown, FamilyUnknown
from modelstore.networks.rrdbnet import RRDBNet
from modelstore.networks.spec import NetworkSpec
from modelstore.networks.srvgg import SRVGGNetCompact

#: Far above any published network. Without bounds a tiny hostile file could make us build a huge module.
MAX_FEATURES = 1024
MAX_BLOCKS = 256
MAX_SCALE = 16


def deduce(state: Mapping[str, Tensor]) -> NetworkSpec:
    """Return the spec of the network that these tensors belong to.

    :param state: tensors under today's key names; convolution weights are (out, in, kernel H, kernel W).
    :raises FamilyUnknown: when they are no network of ours, not even nearly.
    :raises ArchitectureUnknown: when they are a network of ours that is beyond our bounds, or not whole.
    """
    if "conv_first.weight" in state and "body.0.rdb1.conv1.weight" in state:
        return _rrdbnet(state)
    if "body.0.weight" in state and "body.1.weight" in state:
        return _srvggnet(state)
    sample = ", ".join(sorted(state)[:3]) or "no tensors at all"
    raise FamilyUnknown(f"the file is neither an RRDBNet nor an SRVGGNetCompact with PReLU; it holds {sample}")


def build(spec: NetworkSpec) -> nn.Module:
    """Build an empty network of that spec, in evaluation mode, on the default device."""
    if spec.architecture == "srvggnet":
        return SRVGGNetCompact(
            in_channels=spec.channels,
            out_channels=spec.channels,
            features=spec.features,
            convolutions=spec.blocks,
            scale=spec.scale,
        ).eval()
    return RRDBNet(
        channels=spec.channels,
        features=spec.features,
        blocks=spec.blocks,
        growth=spec.growth,
        unshuffle=spec.unshuffle,
        doublings=(spec.scale * spec.unshuffle).bit_length() - 1,
    ).eval()


def check_tensors(spec: NetworkSpec, state: Mapping[str, Tensor]) -> None:
    """Check that every tensor of the network is there in its shape, such as (out, in, H, W), and no other.

    :raises ArchitectureUnknown: naming the first keys that are missing, unknown or of the wrong shape.
    """
    with torch.device("meta"):
        wanted = {key: tuple(value.shape) for key, value in build(spec).state_dict().items()}
    missing = sorted(wanted.keys() - state.keys())
    unexpected = sorted(state.keys() - wanted.keys())
    wrong = sorted(key for key in wanted.keys() & state.keys() if tuple(state[key].shape) != wanted[key])
    for word, keys in (("lacks", missing), ("has unknown", unexpected), ("has in the wrong shape", wrong)):
        if keys:
            shown = ", ".join(keys[:3]) + (f" and {len(keys) - 3} more" if len(keys) > 3 else "")
            raise ArchitectureUnknown(f"the file looks like {spec.architecture} but {word} {shown}")


def _shape(state: Mapping[str, Tensor], key: str, dimensions: int = 4) -> tuple[int, ...]:
    tensor = state.get(key)
    if tensor is None:
        raise ArchitectureUnknown(f"the file lacks the tensor {key}")
    if tensor.dim() != dimensions:
        raise ArchitectureUnknown(f"the tensor {key} has {tensor.dim()} dimensions, {dimensions} were expected")
    return tuple(tensor.shape)


def _count(state: Mapping[str, Tensor], pattern: str) -> int:
    found = {int(match[1]) for key in state if (match := re.match(pattern, key))}
    return max(found, default=-1) + 1


def _bounded(spec: NetworkSpec) -> NetworkSpec:
    if spec.channels not in (1, 3):
        raise ArchitectureUnknown(f"a network for {spec.channels} channels; only RGB (3) and gray (1) are supported")
    if not (1 <= spec.features <= MAX_FEATURES and spec.growth <= MAX_FEATURES and 0 <= spec.blocks <= MAX_BLOCKS):
        raise ArchitectureUnknown(
            f"a network of {spec.features} features, growth {spec.growth} and {spec.blocks} blocks is beyond our bounds"
        )
    if not 1 <= spec.scale <= MAX_SCALE:
        raise ArchitectureUnknown(f"a network that enlarges {spec.scale} times; 1 to {MAX_SCALE} are supported")
    return spec


def _srvggnet(state: Mapping[str, Tensor]) -> NetworkSpec:
    last = _count(state, r"body\.(\d+)\.weight$") - 1
    features, channels, *_ = _shape(state, "body.0.weight")
    outputs = _shape(state, f"body.{last}.weight")[0]
    scale = isqrt(outputs // channels) if channels else 0
    if channels == 0 or scale * scale * channels != outputs or last % 2:
        raise ArchitectureUnknown(f"{outputs} output channels are no square multiple of the {channels} input channels")
    convolutions = last // 2 - 1
    multiply_adds = 9 * features * (channels + features * convolutions + outputs)
    return _bounded(
        NetworkSpec(
            architecture="srvggnet",
            scale=scale,
            channels=channels,
            features=features,
            blocks=convolutions,
            growth=0,
            unshuffle=1,
            receptive_radius=convolutions + 2,
            mflop_per_pixel=2 * multiply_adds / 1e6,
            parameters=sum(tensor.numel() for tensor in state.values()),
        )
    )


def _rrdbnet(state: Mapping[str, Tensor]) -> NetworkSpec:
    features, inputs, *_ = _shape(state, "conv_first.weight")
    channels = _shape(state, "conv_last.weight")[0]
    growth = _shape(state, "body.0.rdb1.conv1.weight")[0]
    blocks = _count(state, r"body\.(\d+)\.")
    doublings = _count(state, r"conv_up(\d+)\.weight$") - 1 if "conv_up1.weight" in state else 0
    unshuffle = isqrt(inputs // channels) if channels else 0
    if channels == 0 or unshuffle not in (1, 2, 4) or unshuffle * unshuffle * channels != inputs:
        raise ArchitectureUnknown(f"{inputs} input channels do not fit {channels} output channels")
    if doublings > 4 or 2**doublings % unshuffle:
        raise ArchitectureUnknown(f"{doublings} doublings after an unshuffle by {unshuffle}")
    dense = 9 * sum((features + i * growth) * growth for i in range(4)) + 9 * (features + 4 * growth) * features
    square = 9 * features * features
    trunk = 9 * inputs * features + 3 * blocks * dense + square
    tail = sum(4**i * square for i in range(1, doublings + 1)) + 4**doublings * (square + 9 * features * channels)
    # Radius in trunk pixels: one per 3x3 convolution, halved with every doubling; up to unshuffle - 1 for alignment.
    reach = 2 + 15 * blocks + sum(0.5**i for i in range(1, doublings + 1)) + 2 * 0.5**doublings
    return _bounded(
        NetworkSpec(
            architecture="rrdbnet",
            scale=2**doublings // unshuffle,
            channels=channels,
            features=features,
            blocks=blocks,
            growth=growth,
            unshuffle=unshuffle,
            receptive_radius=ceil(reach * unshuffle) + unshuffle - 1,
            mflop_per_pixel=2 * (trunk + tail) / unshuffle**2 / 1e6,
            parameters=sum(tensor.numel() for tensor in state.values()),
        )
    )
