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

from jobs.engine.backends.vulkan.graph import graph
from jobs.engine.tiling.cost import BORDER
from jobs.engine.types import Frame, Picture, Report, UpscaleOptions, Weights
from modelstore.networks.checkpoint import load

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
        import ncnn

        text, data = graph(network)
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
