"""Torch's operations as layers of ncnn: what stands between the convolutions of networks, and the convolutions."""

import operator
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from jobs.engine.backends.vulkan.layers import Layers

#: ncnn's number for "to the end".
_END = -233
#: Ends of slices beyond this are torch's "to the end".
_ENDLESS = 1 << 40

_aten = torch.ops.aten


class NotWritten(Exception):
    """A network that does what is not written for ncnn. The message begins with "it" and says what."""


@dataclass(frozen=True)
class Blob:
    """A tensor of the network: the name of ncnn's blob, and its shape (1, C, H, W)."""

    name: str
    shape: tuple[int, ...]


@dataclass(frozen=True)
class Repeated:
    """A blob whose channels are being repeated, each so many times, by views that only together are something."""

    blob: Blob
    times: int


def write(layers: Layers, target: Any, arguments: list[Any], keywords: dict[str, Any]) -> Any:
    """Write one of torch's operations; blobs stand for tensors of the network.

    Return the name of the blob that it gives, of the shape that torch tells; a `Blob`, or a list of them, where they
    are known here; or what it takes, where it changes nothing.

    :raises NotWritten: ncnn has no layer for it here.
    """
    writer = _WRITTEN.get(target)
    if writer is None:
        raise NotWritten(f"it needs {str(target).removeprefix('aten.').partition('.')[0]}")
    return writer(_Writers(layers), *arguments, **{name: one for name, one in keywords.items() if one is not None})


class _Writers:
    """The writers of the operations, each with the arguments that torch gives it."""

    def __init__(self, layers: Layers) -> None:
        self.layers = layers

    # --- Convolutions -------------------------------------------------------------------------------------------------

    def convolution(
        self, x: Blob, weight: Tensor, bias: Tensor | None, stride: Any, padding: Any, dilation: Any,
        transposed: bool, output_padding: Any, groups: int,
    ) -> str:  # fmt: skip
        if not isinstance(weight, Tensor):
            raise NotWritten("it makes weights of its input")
        if transposed:
            if groups > 1:
                raise NotWritten("it needs transposed convolutions of groups")
            weight = weight.transpose(0, 1)  # (in, out, h, w) to (out, in, h, w)
        kind = "Deconvolution" if transposed else "Convolution" if groups == 1 else "ConvolutionDepthWise"
        self.layers.plain()
        self.layers.numbers(weight, *([] if bias is None else [bias]))
        return self.layers.add(
            kind,
            [x.name],
            f"0={weight.shape[0]} 1={weight.shape[3]} 11={weight.shape[2]} 2={dilation[1]} 12={dilation[0]} "
            f"3={stride[1]} 13={stride[0]} 4={padding[1]} 14={padding[0]} 5={int(bias is not None)} 6={weight.numel()}"
            + (f" 7={groups}" if groups > 1 else "")
            + (f" 18={output_padding[1]} 19={output_padding[0]}" if transposed else ""),
        )

    def batch_norm(
        self, x: Blob, weight: Any, bias: Any, mean: Tensor, variance: Tensor, training: bool, _: float, epsilon: float
    ) -> list[Blob]:
        if training:
            raise NotWritten("it measures its input while it runs")
        factor = (variance + epsilon).rsqrt() * (1 if weight is None else weight)
        self.layers.numbers(factor, (0 if bias is None else bias) - mean * factor)
        return [Blob(self.layers.add("Scale", [x.name], f"0={factor.numel()} 1=1"), x.shape)]

    def group_norm(
        self, x: Blob, weight: Any, bias: Any, _: int, channels: int, __: int, groups: int, epsilon: float
    ) -> list[Blob]:
        affine = weight is not None
        if affine:
            self.layers.numbers(weight, bias)
        made = self.layers.add("GroupNorm", [x.name], f"0={groups} 1={channels} 2={epsilon} 3={int(affine)}")
        return [Blob(made, x.shape)]

    # --- Arithmetic ---------------------------------------------------------------------------------------------------

    def binary(self, code: int, x: Any, y: Any, alpha: float = 1) -> str:
        if alpha != 1:
            raise NotWritten("it needs sums of which one part is multiplied")
        reverse = {0: 0, 1: 7, 2: 2, 3: 8}  # add, subtract, multiply, divide; and with their sides exchanged
        if not isinstance(x, Blob):
            x, y, code = y, x, reverse[code]
        if isinstance(y, Tensor) and y.numel() == 1:
            y = float(y)
        if not isinstance(y, (Blob, Tensor)):
            return self.layers.add("BinaryOp", [x.name], f"0={code} 1=1 2={float(y)!r}")
        return self.layers.add("BinaryOp", [x.name, self._named(y)], f"0={code}")

    def reversed_subtract(self, x: Blob, y: Any, alpha: float = 1) -> str:
        return self.binary(7, x, y, alpha)

    def reciprocal(self, x: Blob) -> str:
        return self.binary(8, x, 1)

    def power(self, x: Blob, exponent: float) -> str:
        if exponent == 2:
            return self.layers.add("UnaryOp", [x.name], "0=4")
        return self.layers.add("BinaryOp", [x.name], f"0=6 1=1 2={float(exponent)!r}")

    def reduce(self, code: int, x: Blob, dims: Sequence[int], keep: bool = False) -> str:
        axes = sorted(dim % 4 - 1 for dim in dims)
        if not keep or axes[0] < 0:
            raise NotWritten("it drops dimensions")
        listed = ",".join(str(axis) for axis in axes)
        return self.layers.add("Reduction", [x.name], f"0={code} 1=0 -23303={len(axes)},{listed} 4=1 5=1")

    def _named(self, y: Blob | Tensor) -> str:
        """Return the name of a blob; for a constant of one number per channel, write it first."""
        if isinstance(y, Blob):
            return y.name
        sizes = (1,) * (4 - y.dim()) + tuple(y.shape)
        if sizes != (1, sizes[1], 1, 1):
            raise NotWritten("it needs constants of the size of its input")
        self.layers.numbers(y)
        return self.layers.add("MemoryData", [], f"0=1 1=1 2={y.numel()}")

    # --- Activations --------------------------------------------------------------------------------------------------

    def plainly(self, kind: str, x: Blob, *, parameters: str = "") -> str:
        return self.layers.add(kind, [x.name], parameters)

    def gelu(self, x: Blob, approximate: str = "none") -> str:
        return self.layers.add("GELU", [x.name], f"0={int(approximate == 'tanh')}")

    def leaky(self, x: Blob, slope: float = 0.01) -> str:
        return self.layers.add("ReLU", [x.name], f"0={float(slope)!r}")

    def prelu(self, x: Blob, slopes: Tensor) -> str:
        self.layers.numbers(slopes)
        return self.layers.add("PReLU", [x.name], f"0={slopes.numel()}")

    def clamp(self, x: Blob, least: float | None = None, most: float | None = None) -> str:
        bounds = [f"{number}={float(one)!r}" for number, one in enumerate((least, most)) if one is not None]
        return self.layers.add("Clip", [x.name], " ".join(bounds))

    # --- Places and channels ------------------------------------------------------------------------------------------

    def same(self, x: Any, *_: Any, **__: Any) -> Any:
        return x

    def laid_out(self, x: Blob, sizes: Sequence[int], *_: Any) -> Blob:
        """Pass over the layout of a pooled pixel in memory, which torch tells where weights are channels last."""
        if tuple(sizes) != x.shape or x.shape[2:] != (1, 1):
            raise NotWritten("it looks at its tensors in other shapes")
        return x

    def copied(self, x: Any, source: Any) -> Any:
        if not (isinstance(x, Blob) and isinstance(source, Blob) and x.shape == source.shape):
            raise NotWritten("it writes into parts of its tensors")
        return source

    def join(self, parts: Sequence[Any], dim: int = 0) -> str:
        if dim % 4 != 1 or not all(isinstance(one, Blob) for one in parts):
            raise NotWritten("it joins other things than channels")
        return self.layers.add("Concat", [one.name for one in parts], "0=0")

    def slice(self, x: Blob, dim: int = 0, start: int | None = None, end: int | None = None, step: int = 1) -> Any:
        if step != 1 or dim % 4 == 0:
            raise NotWritten("it takes every second row")
        begin, stop = start or 0, _ENDLESS if end is None else end
        if begin == 0 and stop >= x.shape[dim]:
            return x
        return self._crop(x, dim % 4, begin, stop)

    def _crop(self, x: Blob, dim: int, begin: int, stop: int) -> str:
        if begin < 0:
            raise NotWritten("it counts from the end")
        end = _END if stop >= x.shape[dim] else stop
        return self.layers.add("Crop", [x.name], f"-23309=1,{begin} -23310=1,{end} -23311=1,{dim - 1}")

    def scatter(
        self, x: Blob, part: Any, dim: int = 0, start: int | None = None, end: int | None = None, step: int = 1
    ) -> Any:
        """Write a part over channels of x, as an assignment to a slice does."""
        begin, stop = start or 0, min(_ENDLESS if end is None else end, x.shape[dim])
        if step != 1 or not isinstance(part, Blob):
            raise NotWritten("it writes into parts of its tensors")
        if begin == 0 and stop == x.shape[dim]:
            return part
        if dim % 4 != 1:
            raise NotWritten("it writes into parts of its tensors")
        pieces = [part.name]
        if begin > 0:
            pieces.insert(0, self._crop(x, 1, 0, begin))
        if stop < x.shape[dim]:
            pieces.append(self._crop(x, 1, stop, x.shape[dim]))
        return self.layers.add("Concat", pieces, "0=0")

    def split(self, x: Blob, sizes: int | Sequence[int], dim: int = 0) -> list[Blob]:
        if dim % 4 != 1:
            raise NotWritten("it splits other things than channels")
        count = x.shape[1]
        if isinstance(sizes, int):
            sizes = [min(sizes, count - begin) for begin in range(0, count, sizes)]
        parts, begin = [], 0
        for size in sizes:
            name = self._crop(x, 1, begin, begin + size)
            parts.append(Blob(name, (x.shape[0], size, *x.shape[2:])))
            begin += size
        return parts

    def part(self, parts: Sequence[Any], index: int) -> Any:
        return parts[index] if index < len(parts) else None  # a norm's other results, which only training reads

    def shuffle(self, x: Blob, factor: int) -> str:
        return self.layers.add("PixelShuffle", [x.name], f"0={factor}")

    def unshuffle(self, x: Blob, factor: int) -> str:
        return self.layers.add("Reorg", [x.name], f"0={factor}")

    def nearest(self, x: Blob, size: Sequence[int], *_: Any) -> str:
        down, across = size[0] / x.shape[2], size[1] / x.shape[3]
        return self.layers.add("Interp", [x.name], f"0=1 1={down!r} 2={across!r}")

    def bilinear(self, x: Blob, size: Sequence[int], corners: bool, *_: Any) -> str:
        down, across = size[0] / x.shape[2], size[1] / x.shape[3]
        return self.layers.add("Interp", [x.name], f"0=2 1={down!r} 2={across!r} 6={int(corners)}")

    def pad(self, kind: int, x: Blob, sides: Sequence[int], value: float = 0.0) -> Any:
        left, right, top, bottom = (*sides, 0, 0)[:4]
        if not any(sides):
            return x
        if min(sides) < 0:
            if max(sides) > 0:
                raise NotWritten("it pads and cuts at once")
            ends = ",".join(str(one or _END) for one in (bottom, right))
            return self.layers.add("Crop", [x.name], f"-23309=2,{-top},{-left} -23310=2,{ends} -23311=2,1,2")
        return self.layers.add(
            "Padding", [x.name], f"0={top} 1={bottom} 2={left} 3={right} 4={kind} 5={float(value)!r}"
        )

    def unsqueeze(self, x: Blob, dim: int) -> Repeated:
        if dim != 2:
            raise NotWritten("it adds dimensions")
        return Repeated(x, 1)

    def expand(self, x: Blob | Repeated, sizes: Sequence[int], **_: Any) -> Any:
        if isinstance(x, Repeated):
            return Repeated(x.blob, int(sizes[2]))
        if tuple(sizes) != x.shape:
            raise NotWritten("it expands dimensions")
        return x

    def view(self, x: Blob | Repeated, sizes: Sequence[int]) -> Any:
        if isinstance(x, Blob):
            if tuple(sizes) != x.shape:
                raise NotWritten("it looks at its tensors in other shapes")
            return x
        channels = x.blob.shape[1]
        if tuple(sizes) != (1, channels * x.times, *x.blob.shape[2:]):
            raise NotWritten("it looks at its tensors in other shapes")
        ones = torch.ones(channels * x.times, 1, 1, 1)
        made = self.convolution(x.blob, ones, None, (1, 1), (0, 0), (1, 1), False, (0, 0), channels)
        return Blob(made, tuple(sizes))


def is_blob(argument: Any) -> bool:
    """Return True for a tensor of the network, and for a list that has one."""
    if isinstance(argument, list):
        return any(is_blob(one) for one in argument)
    return isinstance(argument, (Blob, Repeated))


def _by(method: Callable[..., Any], *first: Any, **named: Any) -> Callable[..., Any]:
    """Return a writer that gives the method some arguments before torch's."""
    return lambda writer, *rest, **more: method(writer, *first, *rest, **named, **more)


_ACTIVATIONS = {
    _aten.relu.default: "ReLU", _aten.sigmoid.default: "Sigmoid", _aten.silu.default: "Swish",
    _aten.tanh.default: "TanH", _aten.mish.default: "Mish",
}  # fmt: skip
_BINARY = {
    0: (_aten.add.Tensor, _aten.add.Scalar), 1: (_aten.sub.Tensor, _aten.sub.Scalar),
    2: (_aten.mul.Tensor, _aten.mul.Scalar), 3: (_aten.div.Tensor, _aten.div.Scalar),
}  # fmt: skip
_SAME = (
    _aten.alias.default, _aten.clone.default, _aten.detach.default, _aten.contiguous.default,
    _aten.lift_fresh_copy.default, _aten._to_copy.default,  # noqa: SLF001 - the name that torch gives in a trace
)  # fmt: skip
#: What writes each of torch's operations.
_WRITTEN: dict[Any, Callable[..., Any]] = {
    _aten.convolution.default: _Writers.convolution,
    _aten.native_batch_norm.default: _Writers.batch_norm,
    _aten.native_group_norm.default: _Writers.group_norm,
    **{target: _by(_Writers.plainly, kind) for target, kind in _ACTIVATIONS.items()},
    **{target: _by(_Writers.binary, code) for code, targets in _BINARY.items() for target in targets},
    **dict.fromkeys(_SAME, _Writers.same),
    _aten.rsub.Scalar: _Writers.reversed_subtract,
    _aten.reciprocal.default: _Writers.reciprocal,
    _aten.pow.Tensor_Scalar: _Writers.power,
    _aten.sqrt.default: _by(_Writers.plainly, "UnaryOp", parameters="0=5"),
    _aten.mean.dim: _by(_Writers.reduce, 3),
    _aten.sum.dim_IntList: _by(_Writers.reduce, 0),
    _aten.gelu.default: _Writers.gelu,
    _aten.leaky_relu.default: _Writers.leaky,
    _aten._prelu_kernel.default: _Writers.prelu,  # noqa: SLF001 - the name that torch gives in a trace
    _aten.clamp.default: _Writers.clamp,
    _aten.as_strided.default: _Writers.laid_out,
    _aten.copy.default: _Writers.copied,
    _aten.cat.default: _Writers.join,
    _aten.slice.Tensor: _Writers.slice,
    _aten.slice_scatter.default: _Writers.scatter,
    _aten.split.Tensor: _Writers.split,
    _aten.split_with_sizes.default: _Writers.split,
    _aten.pixel_shuffle.default: _Writers.shuffle,
    _aten.pixel_unshuffle.default: _Writers.unshuffle,
    _aten.upsample_nearest2d.default: _Writers.nearest,
    _aten.upsample_bilinear2d.default: _Writers.bilinear,
    _aten.constant_pad_nd.default: _by(_Writers.pad, 0),
    _aten.replication_pad2d.default: _by(_Writers.pad, 1),
    _aten.reflection_pad2d.default: _by(_Writers.pad, 2),
    _aten.unsqueeze.default: _Writers.unsqueeze,
    _aten.expand.default: _Writers.expand,
    _aten.view.default: _Writers.view,
    _aten._unsafe_view.default: _Writers.view,  # noqa: SLF001 - the name that torch gives in a trace
    operator.getitem: _Writers.part,
}
