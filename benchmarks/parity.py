"""Parity of each device and backend with torch in fp32 on the CPU, for each model: the table of docs/parity.md.

    python benchmarks/parity.py [--weights DIR] [--devices cpu,vulkan:0,...] [--models NAME,...] [--side 96]

Genuine weights are used where they are found in DIR; the bundled model is always there; of other families small seeded
networks (family_seeds.py). One picture each, waves with a little noise, as 16 bit so that rounding hides
nothing: PSNR in dB of a range of 1, and the largest difference in steps of 255. "no" stands where a backend does not
compute a network. The commit that measured stands in the last line.
"""

import argparse
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.family_seeds import SEEDS, seeded
from benchmarks.made_pictures import pixels
from jobs.engine.backends.device import cpu_name, there
from jobs.engine.backends.network_cache import NetworkPool
from jobs.engine.errors import EngineError, OutOfMemory
from jobs.engine.types import Backend, Frame, Picture, Precision, Runtime, UpscaleOptions, Weights
from jobs.engine.upscaler import Upscaler
from modelstore.networks.checkpoint import inspect
from modelstore.networks.errors import NetworkError

#: Files of genuine weights by model: the official ones, or (see --weights) such as are named so.
GENUINE = {
    "RealESRGAN_x4plus": ("RealESRGAN_x4plus.pth", "x4plus-fp16.pth"),
    "RealESRGAN_x4plus_anime_6B": ("RealESRGAN_x4plus_anime_6B.pth", "anime6B-fp16.pth"),
    "RealESRGAN_x2plus": ("RealESRGAN_x2plus.pth",),
    "RealESRNet_x4plus": ("RealESRNet_x4plus.pth",),
    "realesr-animevideov3": ("realesr-animevideov3.pth",),
    "realesr-general-x4v3": ("realesr-general-x4v3.pth",),
}
_ROOT = Path(__file__).resolve().parent.parent
_BUNDLED = _ROOT / "modelstore/bundled/bundled-compact-x4.safetensors"
_CPU: tuple[tuple[Backend, Precision], ...] = (
    ("winograd", "fp32"),
    ("openvino", "fp32"),
    ("openvino", "bf16"),
    ("torch", "bf16"),
)


@dataclass(frozen=True)
class Way:
    """A way to compute: one column of the table."""

    device: str
    backend: Backend
    precision: Precision

    @property
    def title(self) -> str:
        """Its words in the table's head."""
        return f"{self.backend if self.device == 'cpu' else self.device} {self.precision}"


def models(folder: Path | None, made: Path, wanted: set[str]) -> Iterator[Weights]:
    """Yield the models that are here: genuine ones, the bundled one, and a seeded network of each family.

    :param wanted: only these, where it is not empty.
    """
    for name, files in GENUINE.items():
        found = [folder / file for file in files if (folder / file).is_file()] if folder else []
        if found and (not wanted or name in wanted):
            yield Weights(name, found[0], spec=inspect(found[0]))
    if not wanted or "bundled-compact-x4" in wanted:
        yield Weights("bundled-compact-x4", _BUNDLED, spec=inspect(_BUNDLED))
    for family in sorted(wanted & set(SEEDS) if wanted else SEEDS, key=str.lower):
        path = made / f"{family}.pth"
        try:
            torch.save(seeded(family), path)
            yield Weights(f"{family} (seeded)", path, spec=inspect(path))
        except NetworkError:
            continue  # refused by name, as docs/models.md says


def ways(devices: list[str]) -> list[Way]:
    """Return the columns: on a CPU every backend in every precision, elsewhere fp32 and fp16."""
    found = [Way("cpu", *both) for both in _CPU] if "cpu" in devices else []
    others = [device for device in devices if device != "cpu"]
    precisions: tuple[Precision, ...] = ("fp32", "fp16")
    return found + [Way(device, "auto", precision) for device, precision in product(others, precisions)]


def computed(way: Way, picture: Picture, weights: Weights) -> Picture:
    """Return the picture by one way. :raises EngineError: it does not compute this."""
    pool = NetworkPool(Runtime(device=way.device, backend=way.backend, precision=way.precision))
    made, report = Upscaler(pool).upscale(picture, weights, UpscaleOptions(precision=way.precision))
    if report.precision != way.precision or report.fp32_redone_tiles:
        raise EngineError(f"computed in {report.precision}" if not report.fp32_redone_tiles else "overflows")
    return made


def cell(way: Way, picture: Picture, weights: Weights, right: Picture) -> str:
    """Return what one way makes of one model, in the table's words."""
    try:
        made = computed(way, picture, weights)
    except OutOfMemory:
        return "out of memory"
    except EngineError as error:
        return "no" if "only" in str(error) or "does not compute" in str(error) else "not in " + way.precision
    apart = (made.frames[0].color.astype(np.float64) - right.frames[0].color) / 65535
    squared = float(np.mean(apart**2))
    if squared == 0:
        return "equal"
    return f"{10 * np.log10(1 / squared):.1f} ({float(np.abs(apart).max()) * 255:.2g})"


def commit() -> str:
    """Return the commit of this checkout, marked where files differ from it."""
    done = subprocess.run(
        ["git", "describe", "--always", "--dirty"], cwd=_ROOT, capture_output=True, text=True, check=False
    )
    return done.stdout.strip() or "no checkout"


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--weights", type=Path, help="folder of genuine weights")
    parser.add_argument("--devices", default="cpu", help="such as cpu,vulkan:0 (default: cpu)")
    parser.add_argument("--models", default="", help="only these, by name")
    parser.add_argument("--side", type=int, default=96, help="of the picture, in pixels (default: 96)")
    options = parser.parse_args()
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")  # the packages', of things that only training meets
    columns = ways(options.devices.split(","))
    wanted = set(filter(None, options.models.split(",")))
    picture = Picture("png", (Frame(pixels(width=options.side, height=options.side * 3 // 4).astype(np.uint16) * 257),))
    exact = Way("cpu", "torch", "fp32")
    print(f"| | {' | '.join(way.title for way in columns)} |")
    print(f"| --- {'| --- ' * len(columns)}|")
    with tempfile.TemporaryDirectory() as made:
        for weights in models(options.weights, Path(made), wanted):
            right = computed(exact, picture, weights)
            row: list[str] = []
            for way in columns:
                not_there = row and row[-1] == "no" and way.device != "cpu" and way.precision != "fp32"
                row.append("no" if not_there else cell(way, picture, weights, right))
            print(f"| {weights.name} | {' | '.join(row)} |", flush=True)
    print(f"\nCommit {commit()}, {cpu_name()}, torch {torch.__version__}; {', '.join(there())}")


if __name__ == "__main__":
    main()
