"""Nearness to the truth at factors that are not the network's own: our resize against the reference's.

    python benchmarks/outscale.py --weights FILE.pth --images DIR [--count 10] [--factors 2,3,3.5]

Each photograph is cut to sides that the factor divides, shrunk (area average, as a camera's pixels gather light),
upscaled by the network, brought to its first size, and compared with itself: PSNR and SSIM on luma (BT.601), borders of
8 px left out. The reference's way is that of `RealESRGANer.enhance`: the network's output rounded to 8 bit, then
OpenCV's LANCZOS4, which does not widen its kernel where it shrinks. Ours resizes the unrounded output with a kernel as
wide as the shrinking asks for. Both have the same network output, in fp32.
"""

import argparse
import sys
from math import log10
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import cv2
import numpy as np
from numpy.typing import NDArray

from jobs.engine.backends.network_cache import NetworkPool
from jobs.engine.types import Frame, Picture, Runtime, UpscaleOptions, Weights
from jobs.engine.upscaler import Upscaler

_BORDER = 8


def luma(pixels: NDArray[Any]) -> NDArray[np.float64]:
    """Return luma (H, W) of RGB (H, W, 3) uint8, 0 to 255."""
    gray: NDArray[np.float64] = pixels.astype(np.float64) @ np.array([0.299, 0.587, 0.114])
    return gray[_BORDER:-_BORDER, _BORDER:-_BORDER]


def psnr(one: NDArray[np.float64], two: NDArray[np.float64]) -> float:
    """Return the peak signal-to-noise ratio of two planes of 0 to 255, in dB."""
    return 10 * log10(255**2 / float(((one - two) ** 2).mean()))


def ssim(one: NDArray[np.float64], two: NDArray[np.float64]) -> float:
    """Return the mean structural similarity (Wang et al., 2004: Gaussian of 11 px, sigma 1.5)."""

    def mean(plane: NDArray[np.float64]) -> NDArray[np.float64]:
        blurred: NDArray[np.float64] = cv2.GaussianBlur(plane, (11, 11), 1.5)
        return blurred

    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    m1, m2 = mean(one), mean(two)
    v1, v2, both = mean(one * one) - m1 * m1, mean(two * two) - m2 * m2, mean(one * two) - m1 * m2
    return float((((2 * m1 * m2 + c1) * (2 * both + c2)) / ((m1 * m1 + m2 * m2 + c1) * (v1 + v2 + c2))).mean())


def main() -> None:
    """Print one line per factor: mean PSNR and SSIM of both ways, and on how many pictures ours is at least as near."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--weights", type=Path, required=True)
    parser.add_argument("--images", type=Path, required=True)
    parser.add_argument("--count", type=int, default=10)
    parser.add_argument("--factors", default="2,3,3.5")
    arguments = parser.parse_args()
    upscaler = Upscaler(NetworkPool(Runtime(device="cpu", precision="fp32")))
    weights = Weights(arguments.weights.stem, arguments.weights)
    paths = [path for path in sorted(arguments.images.iterdir()) if path.suffix.lower() in (".jpg", ".png", ".jpeg")]
    paths = paths[:: max(1, len(paths) // arguments.count)][: arguments.count]
    print(f"{weights.name}, {len(paths)} pictures")
    print("factor   ours: PSNR   SSIM     reference: PSNR   SSIM     ours nearer by PSNR, by SSIM")
    for factor in (float(text) for text in arguments.factors.split(",")):
        rows = [_compared(upscaler, weights, path, factor) for path in paths]
        ours_psnr, ours_ssim, theirs_psnr, theirs_ssim = (float(np.mean(column)) for column in zip(*rows, strict=True))
        nearer = [sum(row[at] >= row[at + 2] for row in rows) for at in (0, 1)]
        print(
            f"{factor:6g}   {ours_psnr:10.3f}   {ours_ssim:.4f}   {theirs_psnr:15.3f}   {theirs_ssim:.4f}"
            f"   {nearer[0]:3d}, {nearer[1]} of {len(rows)}",
            flush=True,
        )


def _compared(upscaler: Upscaler, weights: Weights, path: Path, factor: float) -> tuple[float, float, float, float]:
    read = cv2.imread(str(path), cv2.IMREAD_COLOR)
    assert read is not None, path
    truth: NDArray[Any] = cv2.cvtColor(read, cv2.COLOR_BGR2RGB)
    step = int(2 * factor)  # a shift of part of a pixel would say more about itself than about kernels
    truth = truth[: truth.shape[0] // step * step, : truth.shape[1] // step * step]
    small_size = (round(truth.shape[1] / factor), round(truth.shape[0] / factor))
    small: NDArray[Any] = cv2.resize(truth, small_size, interpolation=cv2.INTER_AREA)
    picture = Picture("png", (Frame(small),))
    native = upscaler.upscale(picture, weights, UpscaleOptions())[0].frames[0].color
    theirs: NDArray[Any] = cv2.resize(native, (truth.shape[1], truth.shape[0]), interpolation=cv2.INTER_LANCZOS4)
    ours = upscaler.upscale(picture, weights, UpscaleOptions(outscale=factor))[0].frames[0].color
    true, near, far = (luma(pixels) for pixels in (truth, ours, theirs))
    return psnr(true, near), ssim(true, near), psnr(true, far), ssim(true, far)


if __name__ == "__main__":
    main()
