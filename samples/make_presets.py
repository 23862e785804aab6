# ruff: noqa: INP001 - a script beside its pictures, imported by nobody
"""Render the samples of the page's presets: left the small picture enlarged plainly, right what the preset makes of it.

`python samples/make_presets.py --weights FOLDER --photographs FOLDER`. The folder of weights holds RealESRGAN_x4plus
and RealESRGAN_x4plus_anime_6B under their file names; that of photographs chelsea.png and camera.png as scikit-image
ships them (both CC0, by Stefan van der Walt and Lav Varshney). The drawing is samples/sample.png, our own.
"""

import argparse
import io
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

from jobs.engine.backends.network_cache import NetworkPool
from jobs.engine.codec import decode, encode
from jobs.engine.types import EncodeOptions, Limits, Runtime, UpscaleOptions, Weights
from jobs.engine.upscaler import Upscaler

ROOT = Path(__file__).resolve().parent.parent
SIZE = (232, 144)  # pixels of a sample: twice what the page shows, for screens with dense pixels
LINE = 3


def old(picture: Image.Image) -> Image.Image:
    """Make a picture look scanned from an old print: grain, soft blacks, hard compression."""
    grain = np.random.default_rng(7).normal(0, 11, picture.size[::-1])
    aged = Image.fromarray(np.clip(np.asarray(picture, float) * 0.86 + 22 + grain, 0, 255).astype(np.uint8))
    packed = io.BytesIO()
    aged.save(packed, "JPEG", quality=55)
    return Image.open(packed)


def small(path: Path, box: tuple[int, int, int, int], shrink: int, age: bool = False) -> Image.Image:
    """Return a part of a picture, so many times smaller."""
    part = Image.open(path).crop(box)
    part = part.resize((part.width // shrink, part.height // shrink), Image.Resampling.BICUBIC)
    return old(part) if age else part


def sample(before: Image.Image, upscale: Callable[[Image.Image], Image.Image]) -> Image.Image:
    """Return both halves side by side in SIZE."""
    left = before.convert("RGB").resize(SIZE, Image.Resampling.BICUBIC)
    both = upscale(before).convert("RGB").resize(SIZE, Image.Resampling.LANCZOS)
    both.paste(left.crop((0, 0, SIZE[0] // 2, SIZE[1])), (0, 0))
    both.paste((255, 255, 255), (SIZE[0] // 2 - LINE // 2 - 1, 0, SIZE[0] // 2 + LINE // 2 + 1, SIZE[1]))
    return both


def main() -> None:
    """Write the four files."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--weights", type=Path, required=True)
    parser.add_argument("--photographs", type=Path, required=True)
    parser.add_argument("--output", type=Path, default=ROOT / "templates" / "static" / "page" / "presets")
    options = parser.parse_args()
    engine = Upscaler(NetworkPool(Runtime(device="cpu", precision="fp32", backend="auto")))

    def by(weights: Path) -> Callable[[Image.Image], Image.Image]:
        def upscale(picture: Image.Image) -> Image.Image:
            with tempfile.TemporaryDirectory() as folder:
                source, target = Path(folder) / "in.png", Path(folder) / "out.png"
                picture.save(source)
                result, _ = engine.upscale(
                    decode(source, Limits()), Weights(weights.stem, weights), UpscaleOptions(outscale=4)
                )
                encode(result, target, EncodeOptions(format="png"))
                return Image.open(io.BytesIO(target.read_bytes()))

        return upscale

    best = by(options.weights / "RealESRGAN_x4plus.pth")
    cat = small(options.photographs / "chelsea.png", (142, 56, 374, 200), 4)
    man = small(options.photographs / "camera.png", (66, 66, 298, 210), 4, age=True)
    samples = {
        "photo-best": sample(cat, best),
        "photo-fast": sample(cat, by(ROOT / "modelstore" / "bundled" / "bundled-compact-x4.safetensors")),
        "illustration": sample(
            small(ROOT / "samples" / "sample.png", (50, 40, 166, 112), 2),
            by(options.weights / "RealESRGAN_x4plus_anime_6B.pth"),
        ),
        "old-scan": sample(man, best),
    }
    for name, picture in samples.items():
        picture.save(options.output / f"{name}.webp", quality=78, method=6)


if __name__ == "__main__":
    main()
