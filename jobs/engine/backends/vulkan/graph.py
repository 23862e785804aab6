"""Networks in ncnn's form: a text of layers, and their weights as bytes.

Source: the ncnn wiki, "param and model file structure" and "operators".
"""

from typing import Any

import numpy as np
from torch import nn

from modelstore.networks.rrdbnet import RESIDUAL_SCALE, RRDBNet
from modelstore.networks.srvgg import SRVGGNetCompact

#: Names of the blobs that go in and come out.
ENTRY, RESULT = "x", "y"

_SLOPE = 0.2
_MAGIC = "7767517"


def graph(network: nn.Module) -> tuple[str, bytes]:
    """Return the layers of an RRDBNet or SRVGGNetCompact as ncnn's text, and its weights as float32.

    The graph takes `ENTRY`, (C, H, W) float32 in [0, 1], H and W multiples of the network's unshuffle, and gives
    `RESULT`, (C, H*scale, W*scale).

    :raises TypeError: for a network of another kind.
    """
    return _Writer(network).files()


class _Writer:
    """The layers and weights that were written so far."""

    def __init__(self, network: nn.Module) -> None:
        self._layers: list[tuple[str, list[str], str, str]] = []  # type, inputs, output, parameters
        self._data: list[bytes] = []
        if isinstance(network, SRVGGNetCompact):
            self._compact(network)
        elif isinstance(network, RRDBNet):
            self._rrdb(network)
        else:
            raise TypeError(f"a {type(network).__name__} is not written for ncnn")

    def files(self) -> tuple[str, bytes]:
        """Return the text and the bytes. A blob that several layers read goes through Split, as ncnn asks."""
        readers: dict[str, int] = {}
        for _, inputs, _, _ in self._layers:
            for blob in inputs:
                readers[blob] = readers.get(blob, 0) + 1
        lines: list[str] = []
        blobs = 0
        copies: dict[str, list[str]] = {}

        def write(kind: str, inputs: list[str], outputs: list[str], parameters: str) -> None:
            nonlocal blobs
            blobs += len(outputs)
            counts = f"{len(inputs)} {len(outputs)}"
            lines.append(" ".join([kind, f"layer{len(lines)}", counts, *inputs, *outputs, parameters]).rstrip())

        for kind, inputs, output, parameters in [("Input", [], ENTRY, ""), *self._layers]:
            taken = [copies[blob].pop() if blob in copies else blob for blob in inputs]
            write(kind, taken, [output], parameters)
            count = readers.get(output, 0)
            if count > 1:
                copies[output] = [f"{output}_{number}" for number in range(count)]
                write("Split", [output], copies[output][::-1], "")
        return "\n".join([_MAGIC, f"{len(lines)} {blobs}", *lines, ""]), b"".join(self._data)

    def _add(self, kind: str, inputs: list[str], parameters: str, output: str = "") -> str:
        output = output or f"b{len(self._layers)}"
        self._layers.append((kind, inputs, output, parameters))
        return output

    def _convolution(self, layer: Any, source: str, *, leaky: bool = False, output: str = "") -> str:
        weights, bias = (
            np.ascontiguousarray(one.detach().float().cpu().numpy(), "<f4") for one in (layer.weight, layer.bias)
        )
        self._data += [bytes(4), weights.tobytes(), bias.tobytes()]  # 0: the weights are plain float32
        activation = f" 9=2 -23310=1,{_SLOPE}" if leaky else ""
        sizes = f"0={weights.shape[0]} 1=3 4=1 5=1 6={weights.size}"
        return self._add("Convolution", [source], sizes + activation, output)

    def _compact(self, network: SRVGGNetCompact) -> None:
        out, base, scale = ENTRY, ENTRY, network.scale
        for layer in network.body:
            if isinstance(layer, nn.PReLU):
                slopes = np.ascontiguousarray(layer.weight.detach().float().cpu().numpy(), "<f4")
                self._data.append(slopes.tobytes())
                out = self._add("PReLU", [out], f"0={slopes.size}")
            else:
                out = self._convolution(layer, out)
        if scale > 1:
            out = self._add("PixelShuffle", [out], f"0={scale}")
            base = self._add("Interp", [ENTRY], f"0=1 1={scale}.0 2={scale}.0")
        self._add("BinaryOp", [out, base], "0=0", RESULT)

    def _rrdb(self, network: RRDBNet) -> None:
        folded = ENTRY
        if network.unshuffle > 1:
            folded = self._add("Reorg", [ENTRY], f"0={network.unshuffle}")
        first = out = self._convolution(network.conv_first, folded)
        for block in network.body:
            assert isinstance(block, nn.Module)
            into = out
            for dense in (block.rdb1, block.rdb2, block.rdb3):
                out = self._dense(dense, out)
            out = self._residual(out, into)
        out = self._add("BinaryOp", [self._convolution(network.conv_body, out), first], "0=0")
        for number in range(1, network.doublings + 1):
            out = self._add("Interp", [out], "0=1 1=2.0 2=2.0")
            out = self._convolution(getattr(network, f"conv_up{number}"), out, leaky=True)
        self._convolution(network.conv_last, self._convolution(network.conv_hr, out, leaky=True), output=RESULT)

    def _dense(self, dense: Any, start: str) -> str:
        parts = [start]
        for number in range(1, 6):
            joined = self._add("Concat", parts, "0=0") if len(parts) > 1 else start
            made = self._convolution(getattr(dense, f"conv{number}"), joined, leaky=number < 5)
            parts = [*parts, made]
        return self._residual(parts[-1], start)

    def _residual(self, branch: str, trunk: str) -> str:
        return self._add("Eltwise", [branch, trunk], f"0=1 -23301=2,{RESIDUAL_SCALE},1.0")
