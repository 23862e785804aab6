"""Other people's runtimes for the same networks, whole pictures at once: ncnn and onnxruntime, on the CPU in fp32.

They are no part of the project: their rows appear in benchmarks/engine.py where ``ncnn``, or ``onnxruntime`` and
``onnx``, are installed. ncnn's own converter is a program of 200 MB, so the networks are written in its form here. Each
runs in a process of its own: with their threads in the same one torch was 8 times slower.
"""

import os
import tempfile
import time
from importlib.util import find_spec
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from jobs.engine.tiling.cost import BORDER
from jobs.engine.types import Frame, Picture, Report, UpscaleOptions, Weights
from modelstore.networks.checkpoint import load
from modelstore.networks.rrdbnet import RESIDUAL_SCALE, RRDBNet
from modelstore.networks.srvgg import SRVGGNetCompact

Name = Literal["ncnn", "onnxruntime"]

_SLOPE = 0.2
#: Seconds for which the threads of these runtimes may still wait actively for more work, at others' cost.
_SPINNING = 0.3


class Peer:
    """One runtime; has the one method of `jobs.engine.upscaler.Upscaler` that the benchmark calls."""

    def __init__(self, name: Name) -> None:
        spawn = get_context("spawn")
        self._pipe, far = spawn.Pipe()
        spawn.Process(target=_serve, args=(far, name, torch.get_num_threads()), daemon=True).start()

    def upscale(self, picture: Picture, weights: Weights, _: UpscaleOptions) -> tuple[Picture, Report]:
        """Return an RGB picture of 8 bit enlarged, and a report; no option is heeded.

        The report's "cpu" are the processor seconds of its process.
        """
        self._pipe.send((picture, weights))
        answer = self._pipe.recv()
        time.sleep(_SPINNING)
        if isinstance(answer, Exception):
            raise answer
        result: tuple[Picture, Report] = answer
        return result


def _serve(pipe: Connection, name: Name, threads: int) -> None:
    torch.set_num_threads(threads)
    runtime = _Runtime(name)
    while True:
        try:
            pipe.send(runtime.upscale(*pipe.recv()))
        except EOFError:
            return
        except Exception as error:  # noqa: BLE001 - the other process raises it
            pipe.send(error)


class _Runtime:
    def __init__(self, name: Name) -> None:
        self.name = name
        self._loaded: tuple[str, Any, float] | None = None

    def upscale(self, picture: Picture, weights: Weights) -> tuple[Picture, Report]:
        if self._loaded is None or self._loaded[0] != weights.name:
            network, spec = load(weights.path)
            made = _Ncnn(network) if self.name == "ncnn" else _OnnxRuntime(network)
            self._loaded = (weights.name, made, spec.scale)
        _, run, scale = self._loaded
        begun, busy = time.perf_counter(), time.process_time()
        planes = np.ascontiguousarray(picture.frames[0].color.transpose(2, 0, 1), np.float32) / 255  # (C, H, W)
        # As the reference and we do, or the right and the bottom edge differ.
        out = run(np.pad(planes, ((0, 0), (0, BORDER), (0, BORDER)), "reflect"))  # (C, (H+b)*s, (W+b)*s)
        out = out[:, : round(picture.height * scale), : round(picture.width * scale)]
        color = np.rint(np.clip(out, 0, 1) * 255).astype(np.uint8).transpose(1, 2, 0)
        seconds = time.perf_counter() - begun
        report = Report(
            model=weights.name, device="cpu", device_name="", backend=self.name, precision="fp32", scale=scale,
            tile_size=0, tile_pad=0, tiles=1, passes=1, fp32_redone_tiles=0, out_of_memory_shrinks=0,
            seconds={"infer": seconds, "cpu": time.process_time() - busy},
        )  # fmt: skip
        return Picture(format="png", frames=(Frame(color=color),)), report


def installed() -> list[Name]:
    """Return the runtimes that can be imported here."""
    found: list[Name] = []
    if find_spec("ncnn"):
        found.append("ncnn")
    if find_spec("onnxruntime") and find_spec("onnx"):
        found.append("onnxruntime")
    return found


class _OnnxRuntime:
    def __init__(self, network: nn.Module) -> None:
        import onnxruntime  # type: ignore[import-not-found]  # installed for the comparison only

        with tempfile.TemporaryDirectory() as place:
            path = os.fspath(Path(place) / "network.onnx")
            torch.onnx.export(
                network, (torch.zeros(1, 3, 32, 32),), path, dynamo=False, input_names=["x"], output_names=["y"],
                dynamic_axes={"x": {2: "h", 3: "w"}, "y": {2: "H", 3: "W"}}, opset_version=17,
            )  # fmt: skip
            options = onnxruntime.SessionOptions()
            options.intra_op_num_threads = torch.get_num_threads()
            self._session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])

    def __call__(self, planes: NDArray[np.float32]) -> NDArray[np.float32]:
        result: NDArray[np.float32] = self._session.run(["y"], {"x": planes[np.newaxis]})[0][0]
        return result


class _Ncnn:
    def __init__(self, network: nn.Module) -> None:
        import ncnn  # type: ignore[import-not-found]  # as above

        text, data = NcnnFiles(network).files()
        self._net = ncnn.Net()
        self._net.opt.num_threads = torch.get_num_threads()
        # Else it computes in bf16 or fp16 where the processor has them, and the table compares unlike things.
        for option in ("use_fp16_packed", "use_fp16_storage", "use_fp16_arithmetic", "use_bf16_storage"):
            setattr(self._net.opt, option, False)
        with tempfile.TemporaryDirectory() as place:
            for name, content in (("net.param", text.encode()), ("net.bin", data)):
                (Path(place) / name).write_bytes(content)
            if self._net.load_param(f"{place}/net.param") or self._net.load_model(f"{place}/net.bin"):
                raise RuntimeError("ncnn does not load the network that was written for it")
        self._make = ncnn.Mat

    def __call__(self, planes: NDArray[np.float32]) -> NDArray[np.float32]:
        extractor = self._net.create_extractor()
        extractor.input("x", self._make(planes).clone())
        failed, out = extractor.extract("y")
        if failed:
            raise RuntimeError(f"ncnn: {failed}")
        return np.array(out)


class NcnnFiles:
    """Writes an RRDBNet without unshuffling, or an SRVGGNetCompact, as ncnn reads it: a text of layers and the weights.

    Source: the ncnn wiki, "param and model file structure" and "operators".
    """

    def __init__(self, network: nn.Module) -> None:
        self._layers: list[tuple[str, str, list[str], str, str]] = []  # type, name, inputs, output, parameters
        self._data: list[bytes] = []
        if isinstance(network, SRVGGNetCompact):
            self._compact(network)
        elif isinstance(network, RRDBNet) and network.unshuffle == 1:
            self._rrdb(network)
        else:
            raise TypeError(f"not written for ncnn: {type(network).__name__} as it is here")

    def files(self) -> tuple[str, bytes]:
        """Return the text and the bytes. A blob that several layers read goes through Split, as ncnn asks."""
        readers: dict[str, int] = {}
        for _, _, inputs, _, _ in self._layers:
            for blob in inputs:
                readers[blob] = readers.get(blob, 0) + 1
        lines, blobs, used = ["Input x 0 1 x"], 1, dict.fromkeys(readers, 0)

        def split(blob: str) -> None:
            nonlocal blobs
            if readers.get(blob, 0) > 1:
                names = [f"{blob}_{number}" for number in range(readers[blob])]
                lines.append(f"Split split_{blob} 1 {len(names)} {blob} {' '.join(names)}")
                blobs += len(names)

        split("x")
        for kind, name, inputs, output, parameters in self._layers:
            taken = []
            for blob in inputs:
                taken.append(f"{blob}_{used[blob]}" if readers[blob] > 1 else blob)
                used[blob] += 1
            lines.append(f"{kind} {name} {len(taken)} 1 {' '.join(taken)} {output} {parameters}")
            blobs += 1
            split(output)
        return "\n".join(["7767517", f"{len(lines)} {blobs}", *lines]) + "\n", b"".join(self._data)

    def _add(self, kind: str, inputs: list[str], parameters: str, output: str = "") -> str:
        output = output or f"b{len(self._layers)}"
        self._layers.append((kind, f"l{len(self._layers)}", inputs, output, parameters))
        return output

    def _convolution(self, layer: Any, source: str, *, leaky: bool = False, output: str = "") -> str:
        weights, bias = (one.detach().numpy().astype("<f4") for one in (layer.weight, layer.bias))
        self._data += [bytes(4), weights.tobytes(), bias.tobytes()]  # 0: the weights are plain float32
        activation = f" 9=2 -23310=1,{_SLOPE}" if leaky else ""
        sizes = f"0={weights.shape[0]} 1=3 4=1 5=1 6={weights.size}"
        return self._add("Convolution", [source], sizes + activation, output)

    def _compact(self, network: SRVGGNetCompact) -> None:
        out = "x"
        for layer in network.body:
            if isinstance(layer, nn.PReLU):
                slopes = layer.weight.detach().numpy().astype("<f4")
                self._data.append(slopes.tobytes())
                out = self._add("PReLU", [out], f"0={slopes.size}")
            else:
                out = self._convolution(layer, out)
        grown = self._add("PixelShuffle", [out], f"0={network.scale}")
        base = self._add("Interp", ["x"], f"0=1 1={network.scale} 2={network.scale}")
        self._add("BinaryOp", [grown, base], "0=0", "y")

    def _rrdb(self, network: RRDBNet) -> None:
        def residual(branch: str, trunk: str) -> str:
            return self._add("Eltwise", [branch, trunk], f"0=1 -23301=2,{RESIDUAL_SCALE},1.0")

        first = out = self._convolution(network.conv_first, "x")
        for block in network.body:
            assert isinstance(block, nn.Module)
            into = out
            for dense in (block.rdb1, block.rdb2, block.rdb3):
                start, parts = out, [out]
                for number in range(1, 6):
                    joined = self._add("Concat", parts, "0=0") if len(parts) > 1 else start
                    made = self._convolution(getattr(dense, f"conv{number}"), joined, leaky=number < 5)
                    parts = [*parts, made]
                out = residual(parts[-1], start)
            out = residual(out, into)
        out = self._add("BinaryOp", [self._convolution(network.conv_body, out), first], "0=0")
        for number in range(1, network.doublings + 1):
            out = self._add("Interp", [out], "0=1 1=2.0 2=2.0")
            out = self._convolution(getattr(network, f"conv_up{number}"), out, leaky=True)
        self._convolution(network.conv_last, self._convolution(network.conv_hr, out, leaky=True), output="y")
