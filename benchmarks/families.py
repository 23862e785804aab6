"""Every family of spandrel's registry tried once: ``python benchmarks/families.py [FAMILY …]`` prints a table.

A small network of each, with weights from a seed (family_seeds.py), is saved as a file, examined as an import is, and a
picture goes through it whole and in tiles. Some minutes on two cores. What was found when stands in docs/models.md.
"""

import sys
import tempfile
import time
import warnings
from pathlib import Path

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.family_seeds import SEEDS, seeded
from benchmarks.made_pictures import pixels
from jobs.engine.backends.network_cache import NetworkPool
from jobs.engine.types import Frame, Picture, Runtime, UpscaleOptions, Weights
from jobs.engine.upscaler import Upscaler
from modelstore.networks.checkpoint import load
from modelstore.networks.errors import NetworkError

_TILE = 64


def row(family: str, folder: Path) -> str:
    """Return a family's row of the table."""
    path = folder / f"{family}.pth"
    torch.save(seeded(family), path)
    begun = time.process_time()
    try:
        _, spec = load(path)
    except NetworkError as error:
        return f"| {family} | refused: {error} | | | | |"
    took = time.process_time() - begun
    traits = spec.traits
    if traits is None:
        return f"| {family} | as our own {spec.architecture} | ×{spec.scale} | {spec.joins} | fp32, bf16, fp16 | |"
    seen = f"{spec.receptive_radius} px" if spec.receptive_radius is not None else "no bound"
    tiled = _tiled(Weights(family, path, spec=spec))
    return (
        f"| {family} | {seen}; windows of {traits.multiple} | ×{spec.scale} | {spec.joins}; {tiled} | "
        f"{', '.join(traits.precisions)} | {took:.0f} s |"
    )


def _tiled(weights: Weights) -> str:
    """Return how near a picture in tiles comes to the same picture whole, as 8 bit."""
    upscaler = Upscaler(NetworkPool(Runtime(device="cpu", precision="fp32", backend="torch")))
    picture = Picture("png", (Frame(pixels(width=150, height=110)),))
    whole, tiled = (
        upscaler.upscale(picture, weights, UpscaleOptions(tile_size=size))[0].frames[0].color for size in (0, _TILE)
    )
    error = float(np.mean((whole.astype(np.float64) - tiled) ** 2))
    return "equal" if error == 0 else f"{10 * np.log10(255**2 / error):.0f} dB"


def main(names: list[str]) -> None:
    """Print the table."""
    warnings.simplefilter("ignore")  # the packages', of things that only training meets
    torch.set_num_threads(1)
    print("| family | sees | scale | tiles at import; of a picture | precisions | examined in |")
    print("| --- | --- | --- | --- | --- | --- |")
    with tempfile.TemporaryDirectory() as folder:
        for family in names or sorted(SEEDS, key=str.lower):
            print(row(family, Path(folder)), flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
