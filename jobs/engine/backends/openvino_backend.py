"""The OpenVINO backend: CPUs, and Intel's GPUs. Conversions of pixels are compiled into the graph."""

import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import numpy as np
import openvino
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from jobs.engine.backends.base import Block, Window
from jobs.engine.backends.device import ComputeDevice
from jobs.engine.backends.openvino_gpu import openvino_name
from jobs.engine.backends.pixel_module import PixelModule
from jobs.engine.tiling.cost import ITEM_BYTES
from modelstore.networks.spec import NetworkSpec

_HINTS = {"fp32": "f32", "bf16": "bf16", "fp16": "f16"}
#: Text of the plug-ins' errors when memory is short; a GPU's watchdog, which smaller tiles satisfy too, says the last.
_MEMORY_SIGNS = (
    "alloc",
    "out of memory",
    "exceeded max size of memory object",
    "cl_out_of_host_memory",
    "cl_out_of_resources",
)
_FULL = {"uint8": 255.0, "uint16": 65535.0, "float32": 1.0}


@contextmanager
def openvino_memory_errors() -> Iterator[None]:
    """Turn OpenVINO's errors of too little memory into MemoryError; others pass."""
    try:
        yield
    except RuntimeError as error:
        if any(sign in str(error).lower() for sign in _MEMORY_SIGNS):
            raise MemoryError(str(error)) from error
        raise


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

        :returns: (1, H*s, W*s, C) pixels, rounded uint8 or unrounded float32 over the output's range, and (1,) a mean
            that is NaN or infinite when a pixel is.
        """
        out, mean = self.module(pixels, self.full, self.gray)
        out = out * _FULL[self.output]
        return (out.round().to(torch.uint8) if self.output == "uint8" else out), mean


class OpenVinoNetwork:
    """One network on the CPU, or on Intel's GPU. See `OpenVinoGraphs`."""

    def __init__(
        self, network: nn.Module, spec: NetworkSpec, place: ComputeDevice, converted: dict[Any, Any] | None = None
    ) -> None:
        """:param converted: keeps the graphs before their compilation, most of its time, for the other precision."""
        self.spec = spec
        self.place = place
        self.weight_bytes = spec.parameters * ITEM_BYTES[place.precision]
        self._graphs = OpenVinoGraphs(network, spec, openvino_name(place.device), place.precision, converted)

    def run(self, windows: Iterable[Window]) -> Iterator[Block]:
        """Compute each window (H, W, C), one call each. See `jobs.engine.backends.base.Network`."""
        for window in windows:
            out, finite = self._graphs.compute(window.pixels, window.dtype)
            part = out[window.top : window.top + window.height, window.left : window.left + window.width]
            # astype always copies: the next tile overwrites the request's memory.
            yield Block(pixels=part.astype(window.dtype), finite=finite)

    def release(self) -> bool:
        """Drop the largest picture's buffers; the next run makes its own. See `jobs.engine.backends.base.Network`."""
        return self._graphs.release()


class OpenVinoGraphs:
    """A network's graphs, one per type and number of channels, compiled on first use (a second)."""

    def __init__(
        self,
        network: nn.Module,
        spec: NetworkSpec,
        name: str,
        precision: str,
        converted: dict[Any, Any] | None = None,
    ) -> None:
        """:param name: OpenVINO's for the device: "CPU", "GPU.0".

        :param converted: see `OpenVinoNetwork`.
        """
        self._spec = spec
        self._name = name
        self._precision = precision
        self._module = PixelModule(network, channels=spec.channels, compute=torch.float32).eval()
        self._core = openvino.Core()
        self._compiled: dict[tuple[int, str, str], Any] = {}
        self._converted = converted

    def compute(self, pixels: NDArray[Any], dtype: np.dtype[Any]) -> tuple[NDArray[Any], bool]:
        """Compute (H, W, C) pixels.

        :returns: (H*s, W*s, C) whole numbers of the range of ``dtype``, uint8 or float32; or unrounded float32 of
            [0, 1] for that dtype; good until the next call. And whether the network gave numbers alone.
        :raises MemoryError: the device has too little for it.
        """
        # In fp16 the whole graph is, and 16-bit numbers are beyond its range: what the processor scales is not.
        scaled = self._precision == "fp16"
        source, output = pixels.dtype.name, dtype.name
        if source == "uint16":
            pixels = pixels.astype(np.float32)
            if scaled:
                pixels, source = pixels / np.float32(65535), "float32"
        if output == "uint16" and scaled:
            output = "float32"
        with openvino_memory_errors():
            request = self._request(int(pixels.shape[2]), source, output)
            request.infer([np.ascontiguousarray(pixels)[np.newaxis]], share_inputs=True)  # (1, H, W, C)
        out: NDArray[Any] = request.get_output_tensor(0).data[0]  # (H*s, W*s, C)
        if dtype == np.uint16:
            out = np.rint(out * np.float32(65535) if scaled else out)
        return out, bool(np.isfinite(request.get_output_tensor(1).data))

    def release(self) -> bool:
        """Drop the largest picture's buffers. Return True if there may have been any."""
        for request in self._compiled.values():
            with suppress(RuntimeError):  # not every plug-in has learned it
                request.get_compiled_model().release_memory()
        return bool(self._compiled)

    def _request(self, channels: int, source: str, output: str) -> Any:
        key = (channels, source, output)
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
        settings = {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": _HINTS[self._precision]}
        return self._core.compile_model(model, self._name, settings).create_infer_request()

    def _convert(self, channels: int, source: str, output: str) -> Any:
        graph = _Graph(self._module, gray=channels == 1, full=_FULL[source], output=output).eval()
        kind = torch.uint8 if source == "uint8" else torch.float32
        side = 8 * self._spec.unshuffle
        example = torch.zeros((1, side, side, channels), dtype=kind)
        with torch.inference_mode(), warnings.catch_warnings():
            # Tracing warns three times that it is old and that it fixes our branches, which is what we want of it.
            warnings.simplefilter("ignore")
            return openvino.convert_model(
                graph,
                example_input=example,
                input=[openvino.PartialShape([1, -1, -1, channels])],
            )
