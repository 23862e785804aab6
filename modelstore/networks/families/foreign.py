"""A network of spandrel's as a module of ours: from tensors to pixels (N, C, H, W) in and out, RGB or gray."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from modelstore.networks.deduce import MAX_SCALE
from modelstore.networks.errors import ArchitectureUnknown, FamilyUnknown
from modelstore.networks.families.registry import registry

#: No published network counts so many blocks. A name such as ``body.999999999.weight`` would have us build them all.
MOST_BLOCKS = 4096
_NUMBER = re.compile(r"\d+")
#: Square inputs of one fixed size: such networks restore faces that were cut out and turned upright before.
_FACE = "FaceSR"
#: What spandrel's families raise where tensors are missing or have another shape than they expect.
SURPRISES = (
    ArithmeticError, AssertionError, AttributeError, LookupError, NotImplementedError, RuntimeError, TypeError,
    ValueError,
)  # fmt: skip


@dataclass(frozen=True)
class Facts:
    """The facts that spandrel tells of a network: its family and its demands. Sides that go in are in pixels."""

    family: str  # spandrel's name of it: "SPAN"
    purpose: str  # "SR" or "Restoration"
    scale: int
    channels: int  # of the picture: 3 or 1
    multiple: int
    minimum: int
    precisions: tuple[str, ...]


class ForeignNetwork(nn.Module):
    """A network of another family behind the interface of ours."""

    def __init__(self, descriptor: Any) -> None:
        """:param descriptor: spandrel's ``ImageModelDescriptor``."""
        super().__init__()
        self.model: nn.Module = _merged(descriptor.model.eval())
        self.scale = int(descriptor.scale)
        self.opaque = descriptor.input_channels == 4
        self.minimum = int(descriptor.size_requirements.minimum)
        self._call = descriptor._call_fn  # noqa: SLF001 - the descriptor's own call clamps, and so hides overflows
        self._sides = descriptor.size_requirements

    def forward(self, x: Tensor) -> Tensor:
        """Compute (N, 3 or 1, H, W) in [0, 1] to (N, 3 or 1, H*s, W*s); a network for RGBA is told alpha 1."""
        height, width = x.shape[2:]
        fitting = self.fitted(x)
        out = self.compute(fitting)
        return out if fitting is x else out[:, :, : height * self.scale, : width * self.scale]

    def fitted(self, x: Tensor) -> Tensor:
        """Return (N, C, H, W) as it is, or mirrored beyond its right and bottom border to sides that the network takes.

        Windows are aligned, but the smallest pictures are smaller than what some families take.
        """
        height, width = x.shape[2:]
        right, below = self._sides.get_padding(width, height)
        if not (right or below):
            return x
        x = nn.functional.pad(x, (0, min(right, width - 1), 0, min(below, height - 1)), "reflect")
        right, below = self._sides.get_padding(x.shape[3], x.shape[2])
        return nn.functional.pad(x, (0, right, 0, below), "replicate")  # (N, C, H', W')

    def compute(self, x: Tensor) -> Tensor:
        """Compute (N, 3 or 1, H, W) as `forward` does, of sides that the network takes."""
        if self.opaque:
            x = torch.cat((x, torch.ones_like(x[:, :1])), 1)  # (N, 4, H, W)
        out: Tensor = self._call(self.model, x.clone())  # RCAN without norms writes into what it is given
        return out[:, :3] if self.opaque else out


def _merged(model: nn.Module) -> nn.Module:
    """Merge, once and in fp32, the branches that SPAN trains beside each other and merges again in every call."""
    for module in model.modules():
        part: Any = module
        if hasattr(part, "update_params") and isinstance(getattr(part, "eval_conv", None), nn.Conv2d):
            part.update_params()
            part.update_params = _nothing
    return model


def _nothing() -> None:
    return


def recognise(state: Mapping[str, Tensor]) -> tuple[ForeignNetwork, Facts]:
    """Return the network whose tensors these are, in fp32 on the CPU, whichever family of spandrel's it is.

    :param state: tensors by name, in the shapes that the file has, convolutions as (out, in, H, W).
    :raises FamilyUnknown: no family takes them, not even nearly.
    :raises ArchitectureUnknown: the family that came nearest, and what is wrong; or the family is none that enlarges or
        restores any picture.
    """
    state = _canonical(state)
    trouble = ""
    for support in registry().architectures("detection"):
        try:
            if not support.detect(state):
                continue
            return _accepted(support.architecture.load(state))
        except SURPRISES as error:
            trouble = trouble or f"the file looks like {support.architecture.id}, but: {first_line(error)}"
    if trouble:
        raise ArchitectureUnknown(trouble)
    raise FamilyUnknown("none of the families that spandrel knows has such tensors")


def build(family: str, state: Mapping[str, Tensor]) -> ForeignNetwork:
    """Return the network of a family that `recognise` told before, in fp32 on the CPU.

    :param state: tensors by name, in the shapes that the file has, convolutions as (out, in, H, W).
    :raises ArchitectureUnknown: the package or the family is not there, or the tensors are not the family's.
    """
    known = registry()
    if family not in known:
        raise ArchitectureUnknown(f"the installed spandrel does not know the family {family}")
    try:
        return _accepted(known[family].architecture.load(_canonical(state)))[0]
    except SURPRISES as error:
        raise ArchitectureUnknown(f"the file is no {family}: {first_line(error)}") from error


def _canonical(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    for key in state:
        if any(int(number) > MOST_BLOCKS for number in _NUMBER.findall(key)):
            raise ArchitectureUnknown(f"the tensor {key[:80]} counts more than {MOST_BLOCKS} blocks")
    plain = dict(state)
    for prefix in ("module.", "netG."):  # left by training on several devices, and by trainers of pairs of networks
        if all(key.startswith(prefix) for key in plain):
            plain = {key.removeprefix(prefix): value for key, value in plain.items()}
    return plain


def _accepted(descriptor: Any) -> tuple[ForeignNetwork, Facts]:
    """:raises ArchitectureUnknown: the network takes or gives something else than a picture of any size."""
    family = str(descriptor.architecture.id)
    if descriptor.purpose == _FACE:
        raise ArchitectureUnknown(f"a network for faces that were cut out before ({family}); none for whole pictures")
    if descriptor.purpose == "Inpainting":
        raise ArchitectureUnknown(f"a network that fills holes ({family}), and wants a mask beside the picture")
    goes_in, comes_out = int(descriptor.input_channels), int(descriptor.output_channels)
    if goes_in != comes_out or goes_in not in (1, 3, 4):
        raise ArchitectureUnknown(
            f"a network from {goes_in} to {comes_out} channels ({family}); gray, RGB and RGBA are supported"
        )
    scale = int(descriptor.scale)
    if not 1 <= scale <= MAX_SCALE:
        raise ArchitectureUnknown(f"a network that enlarges {scale} times ({family}); 1 to {MAX_SCALE} are supported")
    wanted = descriptor.size_requirements
    precisions = ["fp32"]
    if descriptor.supports_bfloat16:
        precisions.append("bf16")
    if descriptor.supports_half:
        precisions.append("fp16")
    facts = Facts(
        family=family,
        purpose=str(descriptor.purpose),
        scale=scale,
        channels=1 if goes_in == 1 else 3,
        multiple=int(wanted.multiple_of),
        minimum=int(wanted.minimum),
        precisions=tuple(precisions),
    )
    return ForeignNetwork(descriptor).requires_grad_(False), facts


def first_line(error: BaseException) -> str:
    """Return the first line of an error that says something, of 200 characters at most."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    # load_state_dict's first line says only that there are errors.
    told = lines[1] if len(lines) > 1 and lines[0].startswith("Error(s) in loading") else (lines or [""])[0]
    return f"{told[:200]}" if told else type(error).__name__
