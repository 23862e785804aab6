"""Luma PSNR and SSIM, as the super-resolution literature takes them."""

import cv2
import numpy as np
import numpy.typing as npt

from training.degrade import Array


def luma(picture: Array) -> npt.NDArray[np.float64]:
    """Return the BT.601 luma (H, W) in 16..235 (as MATLAB's rgb2ycbcr), unrounded, of a uint8 RGB picture (H, W, 3)."""
    weights = np.array([65.481, 128.553, 24.966]) / 255
    return np.asarray(picture.astype(np.float64) @ weights + 16)


def psnr(result: Array, truth: Array, border: int = 4) -> float:
    """Return the PSNR of the luma in decibels; infinite for equal pictures.

    :param border: pixels left out at each edge.
    """
    difference = (luma(result) - luma(truth))[border:-border, border:-border]
    error = float(np.mean(difference**2))
    return float("inf") if error == 0 else float(10 * np.log10(255**2 / error))


def squareness(result: Array, scale: int) -> float:
    """Measure how far the input's pixels show as squares: mean luma step across their borders, against steps within.

    About 1 in a photograph, 1.5 where bicubic enlargement met pure noise, infinite for nearest-neighbour enlargement.
    Only columns are looked at. Our own, after the measure of blocking by Wang, Bovik and Evans, ICIP 2000.
    """
    steps = np.abs(np.diff(luma(result), axis=1))
    across = np.arange(steps.shape[1]) % scale == scale - 1
    within = float(steps[:, ~across].mean())
    return float(steps[:, across].mean()) / within if within else float("inf")


def ssim(result: Array, truth: Array, border: int = 4) -> float:
    """Mean structural similarity of the luma (Wang et al., 2004): Gaussian window of 11 px, sigma 1.5, no padding."""
    a, b = (luma(picture)[border:-border, border:-border] for picture in (result, truth))
    window = cv2.getGaussianKernel(11, 1.5)

    def mean(plane: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        return np.asarray(cv2.sepFilter2D(plane, -1, window, window)[5:-5, 5:-5], np.float64)

    mean_a, mean_b = mean(a), mean(b)
    variance_a, variance_b = mean(a * a) - mean_a**2, mean(b * b) - mean_b**2
    covariance = mean(a * b) - mean_a * mean_b
    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    score = (2 * mean_a * mean_b + c1) * (2 * covariance + c2)
    score /= (mean_a**2 + mean_b**2 + c1) * (variance_a + variance_b + c2)
    return float(score.mean())
