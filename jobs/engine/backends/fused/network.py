"""RRDBNet and SRVGGNetCompact by fused convolutions, behind the same interface as the eager ones."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from jobs.engine.backends.batching import Kind
from jobs.engine.backends.fused.kernels import PIXEL_THREADS, Card, Kernel, TileShape, pixel_programs, shapes
from jobs.engine.backends.fused.weights import Layer, layer
from jobs.engine.tiling.cost import largest_window
from modelstore.networks.rrdbnet import RESIDUAL_SCALE, RRDBNet
from modelstore.networks.spec import NetworkSpec
from modelstore.networks.srvgg import SRVGGNetCompact

_OUTPUTS = {"uint8": torch.uint8, "uint16": torch.int16, "float32": torch.float32}
_LEAK = 0.2  # of the leaky ReLUs of RRDBNet


def unsupported(network: nn.Module, spec: NetworkSpec) -> str:
    """Return why the kernels cannot compute a network; "" where they can."""
    if not isinstance(network, (RRDBNet, SRVGGNetCompact)):
        return f"there are none for {type(network).__name__}"
    for what, count in (("features", spec.features), ("growth", spec.growth)):
        if count % 16:
            return f"{what} of {count} channels are not a multiple of 16"
    return ""


@dataclass(frozen=True)
class _Conv:
    shape: TileShape
    kernel: Kernel


class FusedNetwork:
    """A network in fp16 whose every layer reads and writes memory once. Called as `_compute` in torch_backend.py is.

    Dense blocks write their layers beside each other into one buffer, so nothing is concatenated; activation, residuals
    and the doubling of the resolution are part of the convolutions that they belong to. Its memory stays under what
    `network_bytes` plans for the eager network: 4.3 kB per input pixel for RealESRGAN_x4plus, 0.4 for animevideov3.
    """

    def __init__(
        self, network: nn.Module, state: Mapping[str, Tensor], spec: NetworkSpec, card: Card, device: torch.device
    ) -> None:
        """:param state: the network's weights in fp32, on any device.

        :raises RuntimeError: a kernel cannot be compiled or loaded, or memory is short.
        """
        self.spec = spec
        self.device = device
        self.card = card
        self._backwards = False
        self._layers: dict[str, Layer] = {}
        if isinstance(network, RRDBNet):
            self._doublings = network.doublings
            self._pack_dense(state)
        else:
            self._pack_compact(state)
        wanted = {each.tile for each in self._layers.values()}
        found = [
            shape
            for tile, each in shapes(card.capability, card.shared_bytes).items()
            if tile in wanted
            for shape in each
        ]
        pixels = {(channels, name): each for channels in (1, 3) for name, each in pixel_programs(channels).items()}
        kernels = card.load([*(shape.program for shape in found), *pixels.values()])
        self._convs: dict[int, list[_Conv]] = {}
        for shape, kernel in zip(found, kernels, strict=False):
            self._convs.setdefault(shape.channels, []).append(_Conv(shape, kernel))
        self._pixels = dict(zip(pixels, kernels[len(found) :], strict=True))

    def __call__(self, source: Tensor, kind: Kind) -> tuple[Tensor, Tensor]:
        """Compute a batch; see `jobs.engine.backends.cuda.Compute`.

        :param source: (N, H, W, C) uint8, or int16 that holds uint16; contiguous.
        """
        spec = self.spec
        count = source.shape[0]
        size = (count, kind.height * spec.scale, kind.width * spec.scale, kind.channels)
        out = torch.empty(size, dtype=_OUTPUTS[kind.output], device=self.device)
        bad = torch.zeros(count, dtype=torch.int32, device=self.device)
        pictures = count * (3 if spec.channels == 1 and kind.channels == 3 else 1)
        # Offsets inside of the kernels are int32; the planner keeps single windows below that.
        most = largest_window(spec) // kind.pixels
        if most < 1:
            raise ValueError(f"a window of {kind.width}×{kind.height} px has more than 2³¹ numbers in one tensor")
        for first in range(0, pictures, most):
            self._part(source, kind, out, bad, first, min(most, pictures - first))
        return out, bad == 0

    def _part(self, source: Tensor, kind: Kind, out: Tensor, bad: Tensor, first: int, count: int) -> None:
        spec = self.spec
        height, width = kind.height // spec.unshuffle, kind.width // spec.unshuffle
        x = self._buffer(count, height, width, -(-spec.channels * spec.unshuffle**2 // 16) * 16)
        wide = source.dtype == torch.int16
        self._pixels[kind.channels, "enter"](
            -(-(x.numel() // 8) // PIXEL_THREADS),
            source.data_ptr(), int(wide), kind.channels, 65535.0 if wide else 255.0,
            x.data_ptr(), x.shape[3], spec.channels, spec.unshuffle, first, count, height, width,
        )  # fmt: skip
        dense = spec.architecture == "rrdbnet"
        raw = self._dense(x) if dense else self._compact(x)
        shuffle = 1 if dense else spec.scale
        strips = raw.shape[0] * raw.shape[1] * shuffle * -(-raw.shape[2] * shuffle // 4)
        self._pixels[kind.channels, kind.output](
            -(-strips // PIXEL_THREADS),
            raw.data_ptr(), raw.shape[3], 0 if dense else x.data_ptr(), x.shape[3], out.data_ptr(), bad.data_ptr(),
            spec.channels, shuffle, first, count, raw.shape[1], raw.shape[2],
        )  # fmt: skip

    def _pack_dense(self, state: Mapping[str, Tensor]) -> None:
        for name in [name.removesuffix(".weight") for name in state if name.endswith(".weight")]:
            last = name.rpartition(".")[2]
            residual = last in ("conv5", "conv_body")
            active = last not in ("conv5", "conv_first", "conv_body", "conv_last")
            self._layers[name] = layer(
                state[f"{name}.weight"], state[f"{name}.bias"],
                device=self.device, slope=_LEAK if active else 1.0, residual=residual,
            )  # fmt: skip

    def _pack_compact(self, state: Mapping[str, Tensor]) -> None:
        for index in range(self.spec.blocks + 2):
            name = f"body.{2 * index}"
            slope = state.get(f"body.{2 * index + 1}.weight", 1.0)
            self._layers[name] = layer(
                state[f"{name}.weight"], state[f"{name}.bias"], device=self.device, slope=slope, residual=False
            )

    def _dense(self, x: Tensor) -> Tensor:
        """RRDBNet. :param x: (N, H, W, 16) or more. :returns: (N, H*2**doublings, W*2**doublings, 4)."""
        out = self._trunk(x)
        for index in range(1, self._doublings + 1):
            doubled = self._buffer(out.shape[0], out.shape[1] * 2, out.shape[2] * 2, self.spec.features)
            self._conv(f"conv_up{index}", out, doubled, double=True)
            out = doubled
        sharp = self._buffer(*out.shape)
        self._conv("conv_hr", out, sharp)
        del out, doubled
        last = self._buffer(*sharp.shape[:3], 4)
        self._conv("conv_last", sharp, last)
        return last

    def _trunk(self, x: Tensor) -> Tensor:
        """RRDBNet before its doublings. :returns: (N, H, W, features)."""
        features, growth = self.spec.features, self.spec.growth
        first = self._buffer(*x.shape[:3], features)
        blocks = [self._buffer(*x.shape[:3], features + 4 * growth) for _ in range(3)]
        self._conv("conv_first", x, first)
        self._conv("conv_first", x, blocks[0])  # again: cheaper than a copy into a slice
        for block in range(self.spec.blocks):
            for index, own in enumerate(blocks):
                name = f"body.{block}.rdb{index + 1}.conv"
                for number in range(4):
                    start = features + number * growth
                    self._conv(f"{name}{number + 1}", own, own[..., start : start + growth])
                # The last one ends the RRDB: its result goes where the RRDB began, which is added to it once more.
                self._conv(f"{name}5", own, blocks[(index + 1) % 3], own, blocks[0] if index == 2 else None)
        out = self._buffer(*x.shape[:3], features)
        self._conv("conv_body", blocks[0], out, first, scale=1.0)
        return out

    def _compact(self, x: Tensor) -> Tensor:
        """SRVGGNetCompact up to its pixel shuffle. :returns: (N, H, W, channels*scale**2 or more)."""
        count, height, width, _ = x.shape
        own, other = x, self._buffer(count, height, width, self.spec.features)
        for index in range(self.spec.blocks + 1):
            self._conv(f"body.{2 * index}", own, other)
            own, other = other, (self._buffer(count, height, width, self.spec.features) if own is x else own)
        del other
        last = self._buffer(count, height, width, -(-self.spec.channels * self.spec.scale**2 // 8) * 8)
        self._conv(f"body.{2 * (self.spec.blocks + 1)}", own, last)
        return last

    def _buffer(self, *size: int) -> Tensor:
        """(N, H, W, C) fp16, not initialised."""
        return torch.empty(size, dtype=torch.float16, device=self.device)

    def _conv(
        self,
        name: str,
        source: Tensor,
        target: Tensor,
        residual: Tensor | None = None,
        outer: Tensor | None = None,
        *,
        scale: float = RESIDUAL_SCALE,
        double: bool = False,
    ) -> None:
        """``target = (layer(source) * scale + residual) * scale + outer`` over NHWC tensors or slices of channels.

        :param double: the source has half the resolution, and its pixels are read twice each way.
        """
        its = self._layers[name]
        count, height, width, _ = target.shape
        conv = self._pick(its, count, height, width)
        # By turns from the first tile to the last and back: what was written last is still in the cache.
        self._backwards = not self._backwards
        one = source if residual is None else residual
        two = source if outer is None else outer
        tiles = conv.shape.tiles(count, height, width, its.outputs)
        conv.kernel(
            min(tiles, self.card.processors * conv.kernel.blocks),
            source.data_ptr(), source.stride(2), its.inputs, int(double) + 2 * int(self._backwards),
            its.weight.data_ptr(), its.bias.data_ptr(), its.slope.data_ptr(),
            target.data_ptr(), target.stride(2), its.outputs,
            one.data_ptr(), one.stride(2), scale, two.data_ptr(), two.stride(2), scale,
            int(residual is not None) + int(outer is not None), count, height, width,
        )  # fmt: skip

    def _pick(self, its: Layer, count: int, height: int, width: int) -> _Conv:
        """The first shape that is for so many channels and gives every multiprocessor a tile; else the last one."""
        convs = self._convs[its.tile]
        for each in convs[:-1]:
            if its.inputs >= each.shape.from_channels and (
                each.shape.tiles(count, height, width, its.outputs) >= self.card.processors
            ):
                return each
        return convs[-1]
