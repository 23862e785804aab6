"""Our own two networks in ncnn's form, written layer by layer; `traced.py` writes others."""

from typing import Any

from torch import nn

from jobs.engine.backends.vulkan.layers import ENTRY, RESULT, Layers
from modelstore.networks.rrdbnet import RESIDUAL_SCALE, RRDBNet
from modelstore.networks.srvgg import SRVGGNetCompact

_SLOPE = 0.2


def graph(network: nn.Module) -> tuple[str, bytes]:
    """Return the layers of an RRDBNet or SRVGGNetCompact as ncnn's text, and its weights as float32.

    The graph takes `ENTRY`, (C, H, W) float32 in [0, 1], H and W multiples of the network's unshuffle, and gives
    `RESULT`, (C, H*scale, W*scale).

    :raises TypeError: for a network of another kind.
    """
    layers = Layers()
    if isinstance(network, SRVGGNetCompact):
        _compact(layers, network)
    elif isinstance(network, RRDBNet):
        _rrdb(layers, network)
    else:
        raise TypeError(f"a {type(network).__name__} is not written for ncnn")
    return layers.files()


def _convolution(layers: Layers, layer: Any, source: str, *, leaky: bool = False, output: str = "") -> str:
    layers.plain()
    layers.numbers(layer.weight, layer.bias)
    activation = f" 9=2 -23310=1,{_SLOPE}" if leaky else ""
    sizes = f"0={layer.weight.shape[0]} 1=3 4=1 5=1 6={layer.weight.numel()}"
    return layers.add("Convolution", [source], sizes + activation, output)


def _compact(layers: Layers, network: SRVGGNetCompact) -> None:
    out, base, scale = ENTRY, ENTRY, network.scale
    for layer in network.body:
        if isinstance(layer, nn.PReLU):
            layers.numbers(layer.weight)
            out = layers.add("PReLU", [out], f"0={layer.weight.numel()}")
        else:
            out = _convolution(layers, layer, out)
    if scale > 1:
        out = layers.add("PixelShuffle", [out], f"0={scale}")
        base = layers.add("Interp", [ENTRY], f"0=1 1={scale}.0 2={scale}.0")
    layers.add("BinaryOp", [out, base], "0=0", RESULT)


def _rrdb(layers: Layers, network: RRDBNet) -> None:
    folded = ENTRY
    if network.unshuffle > 1:
        folded = layers.add("Reorg", [ENTRY], f"0={network.unshuffle}")
    first = out = _convolution(layers, network.conv_first, folded)
    for block in network.body:
        assert isinstance(block, nn.Module)
        into = out
        for dense in (block.rdb1, block.rdb2, block.rdb3):
            out = _dense(layers, dense, out)
        out = _residual(layers, out, into)
    out = layers.add("BinaryOp", [_convolution(layers, network.conv_body, out), first], "0=0")
    for number in range(1, network.doublings + 1):
        out = layers.add("Interp", [out], "0=1 1=2.0 2=2.0")
        out = _convolution(layers, getattr(network, f"conv_up{number}"), out, leaky=True)
    _convolution(layers, network.conv_last, _convolution(layers, network.conv_hr, out, leaky=True), output=RESULT)


def _dense(layers: Layers, dense: Any, start: str) -> str:
    parts = [start]
    for number in range(1, 6):
        joined = layers.add("Concat", parts, "0=0") if len(parts) > 1 else start
        made = _convolution(layers, getattr(dense, f"conv{number}"), joined, leaky=number < 5)
        parts = [*parts, made]
    return _residual(layers, parts[-1], start)


def _residual(layers: Layers, branch: str, trunk: str) -> str:
    return layers.add("Eltwise", [branch, trunk], f"0=1 -23301=2,{RESIDUAL_SCALE},1.0")
