"""Decoding and encoding of a 12 megapixel picture, beside the plain calls of OpenCV and Pillow, interleaved.

python benchmarks/codecs.py [--image FILE] [--repeats 3] [--megapixels 12]
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Callable
from math import inf, sqrt
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import cv2
import numpy as np
from PIL import Image

from jobs.engine.codec import decode, encode
from jobs.engine.types import EncodeOptions, Frame, Limits, Picture


def content(image: Path | None, megapixels: float) -> Any:
    """Return a real picture enlarged to the size, with a little noise, so that it compresses like a photograph."""
    width, height = int(sqrt(megapixels * 4 / 3) * 1000), int(sqrt(megapixels * 3 / 4) * 1000)
    if image is None:
        y, x = np.mgrid[0:height, 0:width]
        pixels = np.stack([127 + 90 * np.sin(x / (70 + 9 * i)) * np.cos(y / 60) for i in range(3)], 2)
    else:
        pixels = cv2.resize(cv2.imread(str(image)), (width, height), interpolation=cv2.INTER_CUBIC).astype(np.float64)
    noise = np.random.default_rng(0).normal(0, 2, pixels.shape)
    return np.ascontiguousarray(np.clip(np.rint(pixels + noise), 0, 255).astype(np.uint8))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--image", type=Path)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--megapixels", type=float, default=12)
    arguments = parser.parse_args()
    pixels = content(arguments.image, arguments.megapixels)
    swapped = cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR)
    shot = Picture(format="png", frames=(Frame(color=pixels),))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "picture"

        def pillow(name: str, **options: Any) -> Callable[[], None]:
            return lambda: Image.fromarray(pixels).save(path, format=name, **options)

        def opencv(name: str, *options: int) -> Callable[[], object]:
            return lambda: path.write_bytes(cv2.imencode(name, swapped, options)[1].tobytes())

        def engine(name: Any, **options: Any) -> Callable[[], object]:
            return lambda: encode(shot, path, EncodeOptions(format=name, **options))

        cases: dict[str, Callable[[], object]] = {
            "PNG engine": engine("png"),
            "PNG OpenCV default": opencv(".png"),
            "PNG Pillow level 6": pillow("PNG"),
            "JPEG 95 engine (4:4:4)": engine("jpeg"),
            "JPEG 95 Pillow (4:4:4)": pillow("JPEG", quality=95, subsampling=0),
            "TIFF engine": engine("tiff"),
            "TIFF Pillow deflate": pillow("TIFF", compression="tiff_adobe_deflate", tiffinfo={317: 2}),
            "WebP 90 engine": engine("webp"),
            "WebP 90 OpenCV": opencv(".webp", cv2.IMWRITE_WEBP_QUALITY, 90),
            "AVIF 80 engine": engine("avif"),
        }
        best = dict.fromkeys(cases, inf)
        sizes = {}
        reads: dict[str, float] = {}
        for _ in range(arguments.repeats):
            for name, run in cases.items():
                start = time.perf_counter()
                run()
                best[name] = min(best[name], time.perf_counter() - start)
                sizes[name] = path.stat().st_size
                if "engine" in name:
                    start = time.perf_counter()
                    decode(path, Limits(max_input_pixels=10**9))
                    reads[name] = min(reads.get(name, inf), time.perf_counter() - start)
    print(f"{pixels.shape[1]}×{pixels.shape[0]}\n\n| case | write ms | MB | read ms |\n|---|---|---|---|")
    for name, seconds in best.items():
        read = f"{1000 * reads[name]:.0f}" if name in reads else ""
        print(f"| {name} | {1000 * seconds:.0f} | {sizes[name] / 1e6:.2f} | {read} |")


if __name__ == "__main__":
    main()
