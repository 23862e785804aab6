"""Networks of other families in ncnn's form: torch tells which operations it does, and each has its layer.

Written are those that are made of convolutions and what stands between them. What depends on the size of its input,
as windows of attention do, cannot be a graph for every size: so a network is traced at two sizes, and both must give
the same graph.
"""

from typing import Any

import torch
from torch import Tensor, fx
from torch.func import functionalize
from torch.fx.experimental.proxy_tensor import make_fx

from jobs.engine.backends.vulkan.layers import ENTRY, RESULT, Layers
from jobs.engine.backends.vulkan.operations import Blob, NotWritten, is_blob, write
from modelstore.networks.families.foreign import SURPRISES, ForeignNetwork, first_line
from modelstore.networks.spec import NetworkSpec

#: Sides of the traced inputs in input pixels, before they are aligned. Small: tracing computes the network once.
_SIDES = ((32, 48), (64, 40))


def traced(network: ForeignNetwork, spec: NetworkSpec) -> tuple[str, bytes]:
    """Return the layers of a network as ncnn's text, and its weights as float32.

    The graph takes `ENTRY`, (C, H, W) float32 in [0, 1], H and W multiples of `NetworkSpec.align` and no less than the
    network's minimum, and gives `RESULT`, (C, H*scale, W*scale).

    :raises NotWritten: it does what is not written here, or what depends on the size of its input.
    """
    if spec.traits is not None and spec.traits.tiling == "whole":
        raise NotWritten("it wants the whole picture, so that no part of a result could be checked")
    first, second = (_Writer(_trace(network, spec, *sides)).files() for sides in _SIDES)
    if first != second:
        raise NotWritten("it computes otherwise for each size")
    return first


def _trace(network: ForeignNetwork, spec: NetworkSpec, height: int, width: int) -> fx.GraphModule:
    """Return what the network does with (1, C, H, W), as operations of torch that change nothing in place."""
    height, width = (-(-max(side, network.minimum) // spec.align) * spec.align for side in (height, width))
    example = torch.zeros(1, spec.channels, height, width)

    def whole(x: Tensor) -> Tensor:  # fx counts the arguments of methods wrongly
        return network.compute(x)

    try:
        with torch.no_grad():
            # In two steps: functions with a gradient of their own can be traced, but not made free of writes.
            result: fx.GraphModule = make_fx(functionalize(make_fx(whole)(example)))(example)
    except SURPRISES as error:
        raise NotWritten(f"torch cannot trace it: {first_line(error)[:80]}") from error
    return result


class _Writer:
    """One trace as layers; constants are computed, not written."""

    def __init__(self, trace: fx.GraphModule) -> None:
        self.layers = Layers()
        self._values: dict[fx.Node, Any] = {}
        for node in trace.graph.nodes:
            if node.op == "placeholder":
                self._values[node] = Blob(ENTRY, tuple(node.meta["tensor_meta"].shape))
            elif node.op == "get_attr":
                self._values[node] = getattr(trace, node.target)
            elif node.op == "output":
                self._result(self._value(node.args[0]))
            else:
                self._values[node] = self._call(node)

    def files(self) -> tuple[str, bytes]:
        """Return the text and the bytes."""
        return self.layers.files()

    def _value(self, argument: Any) -> Any:
        if isinstance(argument, fx.Node):
            return self._values[argument]
        if isinstance(argument, (list, tuple)):
            return [self._value(one) for one in argument]
        return argument

    def _call(self, node: fx.Node) -> Any:
        arguments = [self._value(one) for one in node.args]
        keywords = {name: self._value(one) for name, one in node.kwargs.items()}
        if not any(is_blob(one) for one in (*arguments, *keywords.values())):
            return node.target(*arguments, **keywords)  # type: ignore[operator]  # torch's types allow names here
        shape = getattr(node.meta.get("tensor_meta"), "shape", ())
        made = write(self.layers, node.target, arguments, keywords)
        return Blob(made, tuple(shape)) if isinstance(made, str) else made

    def _result(self, value: Any) -> None:
        blob = value[0] if isinstance(value, list) else value
        if not isinstance(blob, Blob):
            raise NotWritten("its result does not come of its input alone")
        self.layers.add("Noop", [blob.name], "", RESULT)
