"""A network as planes and layers: which layer reads what, writes where, and what is added on the way."""

from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from jobs.engine.backends.winograd.library import CLEAR, FEW, FIRST, WINOGRAD
from modelstore.networks.rrdbnet import RESIDUAL_SCALE, RRDBNet
from modelstore.networks.spec import NetworkSpec
from modelstore.networks.srvgg import SRVGGNetCompact

_LEAK = 0.2  # of the leaky ReLUs of RRDBNet
#: The plane that the window's pixels enter.
ENTRY = 0


@dataclass(frozen=True)
class PlaneSpec:
    """A plane: ``times`` the sides of the entry, ``stride`` floats per pixel."""

    times: int
    stride: int


@dataclass(frozen=True)
class Layer:
    """One convolution, or the clearing of a plane (``kind`` CLEAR).

    The result is ``(y * scale + added) * scale + outer``, each where it is there; ``slope`` is what negative results
    were multiplied with before. ``weight`` is (outputs, inputs, 3, 3) fp32, ``bias`` and ``slope`` (outputs,).
    """

    kind: int
    target: int
    at: int = 0
    source: int = ENTRY
    weight: Tensor = field(default_factory=lambda: torch.empty(0, 0, 3, 3))
    bias: Tensor = field(default_factory=lambda: torch.empty(0))
    slope: Tensor | None = None
    added: int = -1
    outer: int = -1
    scale: float = 1.0
    doubled: bool = False


class Plan:
    """The planes and layers of a network. ``last`` is the plane with its result, ``shuffle`` what becomes of that."""

    def __init__(self, network: nn.Module, spec: NetworkSpec, vector: int) -> None:
        """:param vector: numbers in a vector of the kernels; layers write whole ones."""
        self.vector = vector
        self.planes: list[PlaneSpec] = [PlaneSpec(1, spec.channels * spec.unshuffle**2)]
        self.layers: list[Layer] = []
        if isinstance(network, RRDBNet):
            self.last, self.shuffle, self.base = self._dense(network.state_dict(), network.doublings, spec), 1, False
        else:
            self.last, self.shuffle, self.base = self._compact(network.state_dict(), spec), spec.scale, True

    def lifetimes(self) -> list[tuple[int, int]]:
        """Return for each plane the first and the last layer that needs it; the entry and the result at both ends."""
        spans: list[tuple[int, int]] = []
        for number in range(len(self.planes)):
            uses = [
                index
                for index, layer in enumerate(self.layers)
                if number in (layer.source, layer.target, layer.added, layer.outer)
            ]
            first = 0 if number == ENTRY else uses[0]
            end = len(self.layers) if number == self.last or (number == ENTRY and self.base) else uses[-1]
            spans.append((first, end))
        return spans

    def _plane(self, channels: int, times: int = 1) -> int:
        """Add a plane of so many channels, and a layer that clears its border. :returns: its number."""
        self.planes.append(PlaneSpec(times, channels))
        number = len(self.planes) - 1
        self.layers.append(Layer(CLEAR, number, source=number))
        return number

    def _wide(self, channels: int) -> int:
        return -(-channels // self.vector) * self.vector

    def _result(self, outputs: int, times: int, weight: Tensor, bias: Tensor, source: int) -> int:
        """Add the last convolution: three channels or one are computed directly, more as all others are."""
        few = outputs in (1, 3)
        plane = self._plane(outputs if few else self._wide(outputs), times)
        self.layers.append(Layer(FEW if few else WINOGRAD, plane, source=source, weight=weight, bias=bias))
        return plane

    def _compact(self, state: dict[str, Tensor], spec: NetworkSpec) -> int:
        source = ENTRY
        other = [self._plane(self._wide(spec.features)) for _ in range(min(2, spec.blocks + 1))]
        for index in range(spec.blocks + 1):
            target = other[index % 2]
            self.layers.append(
                Layer(
                    WINOGRAD if index else FIRST,
                    target,
                    source=source,
                    weight=state[f"body.{2 * index}.weight"],
                    bias=state[f"body.{2 * index}.bias"],
                    slope=state[f"body.{2 * index + 1}.weight"],
                )
            )
            source = target
        weight, bias = (state[f"body.{2 * spec.blocks + 2}.{name}"] for name in ("weight", "bias"))
        # Pixel shuffle wants (channel, dy, dx); as (dy, dx, channel) a row of the picture lies in one piece.
        order = torch.arange(len(bias)).view(spec.channels, spec.scale**2).t().reshape(-1)
        return self._result(len(bias), 1, weight[order], bias[order], source)

    def _dense(self, state: dict[str, Tensor], doublings: int, spec: NetworkSpec) -> int:
        features, growth = spec.features, spec.growth

        def conv(name: str, source: int, target: int, *, leak: bool = False, **more: object) -> None:
            bias = state[f"{name}.bias"]
            self.layers.append(
                Layer(
                    source=source,
                    target=target,
                    weight=state[f"{name}.weight"],
                    bias=bias,
                    slope=torch.full_like(bias, _LEAK) if leak else None,
                    **{"kind": WINOGRAD, **more},  # type: ignore[arg-type]  # fields of Layer, by name
                )
            )

        first = self._plane(self._wide(features))
        stride = max(self._wide(features), features + 3 * growth + self._wide(growth))
        blocks = [self._plane(stride) for _ in range(3)]
        conv("conv_first", ENTRY, first, kind=FIRST)
        conv("conv_first", ENTRY, blocks[0], kind=FIRST)  # again: simpler than a copy into a slice
        for block in range(spec.blocks):
            for index, own in enumerate(blocks):
                name = f"body.{block}.rdb{index + 1}.conv"
                for number in range(4):
                    conv(f"{name}{number + 1}", own, own, at=features + number * growth, leak=True)
                # The last one ends the RRDB: its result goes where the RRDB began, which is added to it once more.
                outer = blocks[0] if index == 2 else -1
                conv(f"{name}5", own, blocks[(index + 1) % 3], added=own, outer=outer, scale=RESIDUAL_SCALE)
        out = self._plane(self._wide(features))
        conv("conv_body", blocks[0], out, added=first)
        for index in range(1, doublings + 1):
            doubled = self._plane(self._wide(features), 2**index)
            conv(f"conv_up{index}", out, doubled, leak=True, doubled=True)
            out = doubled
        sharp = self._plane(self._wide(features), 2**doublings)
        conv("conv_hr", out, sharp, leak=True)
        return self._result(spec.channels, 2**doublings, state["conv_last.weight"], state["conv_last.bias"], sharp)


def unsupported(network: nn.Module) -> str:
    """Return why the kernels cannot compute a network; "" where they can."""
    known = isinstance(network, (RRDBNet, SRVGGNetCompact))
    return "" if known else f"the winograd kernels cannot compute {type(network).__name__}"


def slope_bits(slope: Tensor, padded: int) -> NDArray[np.int32]:
    """Return the bits that turn a factor of 1 into each channel's slope.

    :param slope: (N,). :returns: ``padded`` numbers, zeros beyond the first N.
    """
    factors = np.ones(padded, np.float32)
    factors[: len(slope)] = slope.numpy()
    one = np.float32(1).view(np.int32)
    bits: NDArray[np.int32] = factors.view(np.int32) ^ one
    return bits
