"""The OpenVINO backend: the fastest that we measured on CPUs. Conversions of pixels are compiled into the graph."""

import warnings
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import openvino
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from jobs.engine.backends.base import Block, Window
from jobs.engine.backends.device import ComputeDevice
from jobs.engine.backends.pixel_module import PixelModule
from modelstore.networks.spec import NetworkSpec

_FULL = {"uint8": 255.0, "uint16": 65535.0, "float32": 1.0}


class _Graph(nn.Module):
    """The network for fixed pixel types and channels, so that it can be traced."""

    def __init__(self, module: PixelModule, *, gray: bool, full: float, output: str) -> None:
        super().__init__()
        self.module = module
        self.gray = gray
        self.full = full
        self.output = output

    def forward(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        """Compute the network on (1, H, W, C) pixels, 0 to ``full``.

        :returns: (1, H*s, W*s, C) pixels, rounded uint8 or unrounded float32 over the output's range, and (1,) a sum
            that is NaN or infinite when a pixel is.
        """
        out, total = self.module(pixels, self.full, self.gray)
        out = out * _FULL[self.output]
        return (out.round().to(torch.uint8) if self.output == "uint8" else out), total


class OpenVinoNetwork:
    """One network on the CPU. Graphs, one per type and number of channels, are compiled on first use (a second)."""

    def __init__(
        self, network: nn.Module, spec: NetworkSpec, place: ComputeDevice, converted: dict[Any, Any] | None = None
    ) -> None:
        """:param converted: keeps the graphs before their compilation, most of its time, for the other precision."""
        self.spec = spec
        self.place = place
        self.weight_bytes = spec.parameters * 4
        self._module = PixelModule(network, channels=spec.channels, compute=torch.float32).eval()
        self._core = openvino.Core()
        self._compiled: dict[tuple[int, str, str], Any] = {}
        self._converted = converted

    def run(self, windows: Iterable[Window]) -> Iterator[Block]:
        """Compute each window (H, W, C), one call each. See `jobs.engine.backends.base.Network`."""
        for window in windows:
            request = self._request(window)
            pixels = window.pixels if window.pixels.dtype == np.uint8 else window.pixels.astype(np.float32)
            try:
                request.infer([np.ascontiguousarray(pixels)[np.newaxis]], share_inputs=True)  # (1, H, W, C)
            except RuntimeError as error:
                if "alloc" in str(error).lower():
                    raise MemoryError(str(error)) from error
                raise
            out: NDArray[Any] = request.get_output_tensor(0).data[0]  # (H*s, W*s, C)
            part = out[window.top : window.top + window.height, window.left : window.left + window.width]
            if window.dtype == np.uint16:
                part = np.rint(part)
            # astype always copies: the next tile overwrites the request's memory.
            yield Block(pixels=part.astype(window.dtype), finite=bool(np.isfinite(request.get_output_tensor(1).data)))

    def release(self) -> bool:
        """Drop the largest picture's buffers; the next run makes its own. See `jobs.engine.backends.base.Network`."""
        for request in self._compiled.values():
            request.get_compiled_model().release_memory()
        return bool(self._compiled)

    def _request(self, window: Window) -> Any:
        channels = int(window.pixels.shape[2])
        key = (channels, window.pixels.dtype.name, window.dtype.name)
        if key not in self._compiled:
            self._compiled[key] = self._compile(*key)
        return self._compiled[key]

    def _compile(self, channels: int, source: str, output: str) -> Any:
        key = (channels, source, output)
        model = None if self._converted is None else self._converted.get(key)
        if model is None:
            model = self._convert(*key)
        if self._converted is not None:
            self._converted[key] = model
        settings = {
            "PERFORMANCE_HINT": "LATENCY",
            "INFERENCE_PRECISION_HINT": "bf16" if self.place.precision == "bf16" else "f32",
        }
        return self._core.compile_model(model, "CPU", settings).create_infer_request()

    def _convert(self, channels: int, source: str, output: str) -> Any:
        graph = _Graph(self._module, gray=channels == 1, full=_FULL[source], output=output).eval()
        kind = torch.uint8 if source == "uint8" else torch.float32
        side = 8 * self.spec.unshuffle
        example = torch.zeros((1, side, side, channels), dtype=kind)
        with torch.inference_mode(), warnings.catch_warnings():
            # Tracing warns three times that it is old and that it fixes our branches, which is what we want of it.
            warnings.simplefilter("ignore")
            return openvino.convert_model(
                graph,
                example_input=example,
                input=[openvino.PartialShape([1, -1, -1, channels])],
            )
