"""Speed with parity: this engine against the original `realesrgan` package, interleaved in one process.

    python benchmarks/engine.py [--models x4plus,anime_6B,animevideov3,general] [--repeats 3] [--threads N]
                                [--sizes 640x480,...] [--avx2] [--quick]

Needs torch, numpy, Pillow and OpenCV; the rows of OpenVINO, of the reference, of ncnn and of onnxruntime (with onnx)
appear where those are installed.
Genuine weights are used where they are found (--weights DIR), seeded ones of the same shape elsewhere: arithmetic takes
the same time whatever the numbers, so speed is comparable; PSNR on seeded weights says less and is marked so.

Every figure is the best of the repeats, variants taking turns, so that a busy machine disturbs all alike; processor
seconds of the whole call stand beside the wall time. No share of the peak is told where it was measured on a busy
machine. All have the same number of threads. Ratios are to the reference's better tile setting. Decoding and encoding
are in benchmarks/codecs.py.

On CUDA the reference runs in half precision, `RealESRGANer(half=True)`, and every model goes through several sizes.
Time counts from pixels in host memory to pixels in host memory, copies included: that is "end to end" for the engine.
Calls are recorded as graphs once they have come eight times, so there are at least twelve repeats.
"""

import argparse
import os
import platform
import resource
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from math import inf, log10
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

if "--avx2" in sys.argv:  # read when the libraries are loaded
    os.environ |= {"ATEN_CPU_CAPABILITY": "avx2", "ONEDNN_MAX_CPU_ISA": "AVX2"}

import numpy as np
import torch

from benchmarks.peers import Peer, installed
from jobs.engine.backends import reference_imports
from jobs.engine.backends.device import cpu_has_bf16, cpu_name
from jobs.engine.backends.network_cache import NetworkPool
from jobs.engine.errors import OutOfMemory
from jobs.engine.types import Backend, Frame, Picture, Precision, Runtime, UpscaleOptions, Weights
from jobs.engine.upscaler import Upscaler
from modelstore.networks.checkpoint import inspect
from modelstore.networks.rrdbnet import RRDBNet
from modelstore.networks.srvgg import SRVGGNetCompact


@dataclass(frozen=True)
class Model:
    """A network and the picture size at which the project promises a speed for it."""

    name: str
    file: str
    make: Callable[[], torch.nn.Module]
    size: tuple[int, int]
    cuda_sizes: tuple[tuple[int, int], ...]


#: A thumbnail, a small photo, a photo, and a large one, of which the graphics memory holds no more than a tile.
_RRDB_SIZES = ((128, 128), (640, 480), (1024, 1024), (2048, 1536))
_SRVGG_SIZES = ((128, 128), (640, 480), (1920, 1080), (3840, 2160))

MODELS = {
    "x4plus": Model("RealESRGAN_x4plus", "RealESRGAN_x4plus.pth", RRDBNet, (256, 192), _RRDB_SIZES),
    "anime_6B": Model(
        "RealESRGAN_x4plus_anime_6B",
        "RealESRGAN_x4plus_anime_6B.pth",
        lambda: RRDBNet(blocks=6),
        (256, 192),
        _RRDB_SIZES,
    ),
    "animevideov3": Model(
        "realesr-animevideov3", "realesr-animevideov3.pth", SRVGGNetCompact, (481, 321), _SRVGG_SIZES
    ),
    "general": Model(
        "realesr-general-x4v3",
        "realesr-general-x4v3.pth",
        lambda: SRVGGNetCompact(convolutions=32),
        (481, 321),
        _SRVGG_SIZES,
    ),
}


#: On CUDA, a variant that takes longer is seen twice and not twelve times: its best is no better for that.
_LONG = 0.5
#: Of the threads' time that they must have had while the peak was measured.
_UNDISTURBED = 0.95


@dataclass
class Variant:
    """One way to compute, and what was seen of it."""

    name: str
    upscaler: Upscaler | Peer
    tile: int | None
    seconds: float = inf
    cpu: float = inf
    result: Any = None
    says: str = ""


def picture(size: tuple[int, int], image: Path | None) -> Picture:
    """Return a real picture reduced to that size, or a synthetic one with edges, gradients and noise."""
    if image is not None:
        import cv2

        pixels: Any = cv2.cvtColor(cv2.imread(str(image)), cv2.COLOR_BGR2RGB)
        pixels = cv2.resize(pixels, size, interpolation=cv2.INTER_AREA)
    else:
        y, x = np.mgrid[0 : size[1], 0 : size[0]]
        waves = [
            0.5 + 0.3 * np.sin(x / (7 + 4 * i)) * np.cos(y / 11) + 0.2 * ((x // 24 + y // 16) % 2) for i in range(3)
        ]
        noise = np.random.default_rng(0).normal(0, 0.02, (size[1], size[0], 3))
        pixels = np.rint(np.clip(np.stack(waves, 2) + noise, 0, 1) * 255).astype(np.uint8)
    return Picture(format="png", frames=(Frame(color=np.ascontiguousarray(pixels)),))


def weights_of(model: Model, folder: Path | None, scratch: Path) -> tuple[Weights, bool]:
    """Return the genuine file where there is one, else a seeded network of the same shape."""
    if folder is not None and (folder / model.file).exists():
        return Weights(model.name, folder / model.file), True
    path = scratch / model.file
    torch.manual_seed(0)
    torch.save({"params_ema": model.make().state_dict()}, path)
    return Weights(model.name, path), False


def variants() -> list[Variant]:
    """Return the reference at two tile settings, then ours in every backend and precision that this machine has."""

    def ours(backend: Backend, precision: Precision, *, graphs: bool = True, fused: bool = True) -> Upscaler:
        return Upscaler(NetworkPool(Runtime(backend=backend, precision=precision), graphs=graphs, fused=fused))

    made = []
    if reference_imports.available():
        # Its better tile on a GPU is a larger one; "auto" is fp16 there, which is half=True.
        half, tile = (" half=True", 512) if torch.cuda.is_available() else ("", 256)
        made += [Variant(f"reference{half}, tile 0", ours("reference", "auto"), 0)]
        made += [Variant(f"reference{half}, tile {tile}", ours("reference", "auto"), tile)]
    if torch.cuda.is_available():
        made += [Variant("torch fp32", ours("torch", "fp32"), None)]
        made += [Variant("torch bf16", ours("torch", "bf16"), None)]
        made += [Variant("torch fp16, eager, no graphs", ours("torch", "fp16", graphs=False, fused=False), None)]
        made += [Variant("torch fp16, eager, graphs", ours("torch", "fp16", fused=False), None)]
        made += [Variant("torch fp16, fused, no graphs", ours("torch", "fp16", graphs=False), None)]
        made += [Variant("torch fp16, fused, graphs", ours("torch", "fp16"), None)]
        return made
    able: list[Precision]
    precisions: list[Precision] = ["fp32", "bf16"] if cpu_has_bf16() else ["fp32"]
    for backend in ("torch", "openvino", "winograd"):
        try:
            NetworkPool(Runtime(backend=backend)).place()
        except Exception as error:  # noqa: BLE001 - whatever it is, this column is left out and says why
            print(f"no {backend}: {error}")
            continue
        able = ["fp32"] if backend == "winograd" else precisions
        made += [Variant(f"{backend} {precision}", ours(backend, precision), None) for precision in able]
    if "ONEDNN_MAX_CPU_ISA" not in os.environ:  # the others take what there is
        made += [Variant(f"{name} fp32", Peer(name), None) for name in installed()]
    return made


def peak_gflops(precision: torch.dtype) -> float | None:
    """Measure the matrix peak of this machine as torch reaches it, in GFLOP/s: the yardstick for "share of peak".

    None where other programs had a part of the processor meanwhile: a share of that figure would flatter.
    """
    device = "cuda" if torch.cuda.is_available() else "cpu"
    side = 8192 if device == "cuda" else 1536
    one = torch.randn(side, side, device=device).to(precision)
    best = inf
    begun, busy = time.perf_counter(), time.process_time()
    for _ in range(5 if device == "cuda" else 40):
        synchronize()
        start = time.perf_counter()
        one @ one
        synchronize()
        best = min(best, time.perf_counter() - start)
    share = (time.process_time() - busy) / (time.perf_counter() - begun) / torch.get_num_threads()
    return None if device == "cpu" and share < _UNDISTURBED else 2 * side**3 / best / 1e9


def synchronize() -> None:
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def psnr(one: Any, other: Any) -> tuple[float, int]:
    """Return (dB, largest difference) of two 8-bit results (H, W, C)."""
    gap = one.astype(np.float64) - other.astype(np.float64)
    error = float(np.mean(gap**2))
    return (inf if error == 0 else 10 * log10(255**2 / error)), int(np.abs(gap).max())


def measure(
    model: Model, size: tuple[int, int], arguments: argparse.Namespace, scratch: Path, peaks: dict[str, float | None]
) -> list[str]:
    """Return the rows of the table for one model and size."""
    weights, genuine = weights_of(model, arguments.weights, scratch)
    spec = inspect(weights.path)
    shot = picture(size, arguments.image)
    table = variants()
    repeats = max(arguments.repeats, 12) if torch.cuda.is_available() else arguments.repeats
    for turn in range(repeats + 1):  # the first turn loads, compiles and warms up
        for variant in list(table):
            if turn > 2 and torch.cuda.is_available() and variant.seconds > _LONG:
                continue
            busy = time.process_time()
            try:
                made, report = variant.upscaler.upscale(shot, weights, UpscaleOptions(tile_size=variant.tile))
            except (OutOfMemory, torch.OutOfMemoryError) as error:  # the reference does not help itself
                print(f"{variant.name} at {size[0]}×{size[1]}: {str(error).splitlines()[0]}", file=sys.stderr)
                table.remove(variant)
                continue
            synchronize()
            variant.result = made.frames[0].color
            variant.says = f"{report.precision}, tile {report.tile_size or 'none'}"
            for note in report.notes:
                variant.says += f", {note}"
            if turn:
                variant.cpu = min(variant.cpu, report.seconds.get("cpu", time.process_time() - busy))
                variant.seconds = min(variant.seconds, report.seconds["infer"])
    reference = min((v.seconds for v in table if v.name.startswith("reference")), default=inf)
    # On CUDA the reference has half precision, so parity is to ours in fp32, which the tests hold against it.
    exact = next((v.result for v in table if v.name in ("reference, tile 0", "torch fp32")), None)
    pixels = size[0] * size[1]
    rows = []
    for variant in table:
        decibels, worst = psnr(variant.result, exact)
        tflops = pixels * spec.mflop_per_pixel / 1e6 / variant.seconds
        peak = peaks.get(variant.says.partition(",")[0], peaks["fp32"])
        rows.append(
            f"| {model.name}{'' if genuine else ' (seeded)'} | {size[0]}×{size[1]} | {variant.name} ({variant.says}) "
            f"| {variant.seconds:.3f} | {variant.cpu:.2f} | {pixels / 1e6 / variant.seconds:.3f} | {tflops:.3f} "
            f"| {f'{100 * tflops * 1e3 / peak:.0f} %' if peak else '-'} | "
            + (f"{reference / variant.seconds:.2f}" if reference < inf else "-")
            + f" | {'identical' if decibels == inf else f'{decibels:.1f}'} | {worst} |"
        )
    return rows


def sizes(model: Model, *, quick: bool, only: str = "") -> tuple[tuple[int, int], ...]:
    if quick:
        return ((96, 64),)
    if only:
        return tuple(
            (int(width), int(height)) for width, _, height in (size.partition("x") for size in only.split(","))
        )
    return model.cuda_sizes if torch.cuda.is_available() else (model.size,)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", default=",".join(MODELS))
    parser.add_argument("--weights", type=Path, help="a folder with official .pth files")
    parser.add_argument("--image", type=Path, help="a real picture; it is reduced to each model's size")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--sizes", default="", help="as 640x480,1920x1080, in place of each model's own")
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--avx2", action="store_true", help="use nothing beyond AVX2, as most processors have it")
    parser.add_argument("--quick", action="store_true", help="96×64 pictures: a smoke test, not a measurement")
    arguments = parser.parse_args()
    if arguments.avx2:
        beyond = ("avx512", "amx")
        able = {name: has for name, has in torch.cpu.get_capabilities().items() if not name.startswith(beyond)}
        torch.cpu.get_capabilities = cache(lambda: able)
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    device = torch.cuda.get_device_name() if torch.cuda.is_available() else cpu_name()
    peaks: dict[str, float | None] = {"fp32": peak_gflops(torch.float32)}
    if torch.cuda.is_available() or cpu_has_bf16():
        peaks["bf16"] = peak_gflops(torch.bfloat16)
    if torch.cuda.is_available():
        peaks["fp16"] = peak_gflops(torch.float16)
    print(f"{device}, {torch.get_num_threads()} threads, Python {platform.python_version()}, torch {torch.__version__}")
    print(
        "matrix peak, GFLOP/s: "
        + ", ".join(
            f"{name} {f'{value:.0f}' if value else 'unknown, the machine is busy'}" for name, value in peaks.items()
        )
    )
    print("\n| model | input | variant | s | CPU s | Mpx/s | TFLOP/s | of peak | ratio | PSNR dB | max diff |")
    print("|---|---|---|---|---|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as scratch:
        for name in arguments.models.split(","):
            for size in sizes(MODELS[name], quick=arguments.quick, only=arguments.sizes):
                for row in measure(MODELS[name], size, arguments, Path(scratch), peaks):
                    print(row, flush=True)
    print(f"\npeak memory of the process: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6:.2f} GB")


if __name__ == "__main__":
    main()
