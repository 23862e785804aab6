import numpy as np
import pytest
import torch

from modelstore.networks.srvgg import SRVGGNetCompact
from training.degrade import Array, resize, standard_damage
from training.metrics import luma, psnr, squareness, ssim
from training.validate import Watch, cases, mean_gain, scores


def test_luma_runs_from_16_to_235() -> None:
    ends = np.array([[[0, 0, 0], [255, 255, 255]]], np.uint8)
    assert luma(ends) == pytest.approx(np.array([[16.0, 235.0]]))


def test_psnr_of_a_known_error() -> None:
    dark, light = np.full((20, 20, 3), 100, np.uint8), np.full((20, 20, 3), 110, np.uint8)
    error = 10 * 219 / 255
    assert psnr(dark, light) == pytest.approx(20 * np.log10(255 / error))
    assert psnr(dark, dark) == float("inf")


def test_the_border_does_not_count() -> None:
    truth = np.full((20, 20, 3), 100, np.uint8)
    result = truth.copy()
    result[:4] = 0
    result[:, -4:] = 255
    assert psnr(result, truth) == float("inf")


def test_squares_of_pixels_are_told_from_smooth_enlargement() -> None:
    small = np.random.default_rng(0).integers(0, 256, (24, 24, 3), np.uint8)
    squares = small.repeat(4, 0).repeat(4, 1)
    assert squareness(squares, 4) == float("inf")
    assert squareness(resize(small, 96, 96), 4) < 2
    noise = np.random.default_rng(1).integers(0, 256, (96, 96, 3), np.uint8)
    assert squareness(noise, 4) == pytest.approx(1, abs=0.05)
    assert squareness(((squares.astype(int) + noise) // 2).astype(np.uint8), 4) > 1.2


def test_ssim_is_one_for_equals_and_falls_with_noise() -> None:
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 256, (64, 64, 3), np.uint8)
    noisy = [np.clip(truth + s * rng.standard_normal(truth.shape), 0, 255).astype(np.uint8) for s in (5, 40)]
    assert ssim(truth, truth) == pytest.approx(1)
    assert 1 > ssim(noisy[0], truth) > ssim(noisy[1], truth) > 0


def test_ssim_of_two_flat_pictures_follows_the_formula() -> None:
    dark, light = np.full((40, 40, 3), 0, np.uint8), np.full((40, 40, 3), 255, np.uint8)
    c1 = (0.01 * 255) ** 2
    assert ssim(dark, light) == pytest.approx((2 * 16 * 235 + c1) / (16**2 + 235**2 + c1), abs=1e-6)


def test_the_watch_of_a_run_tells_what_the_evaluation_tells(library: list[Array]) -> None:
    torch.manual_seed(1)
    network = SRVGGNetCompact(features=8, convolutions=1)
    wanted = cases({str(index): picture for index, picture in enumerate(library)}, 4, standard_damage)
    assert Watch(wanted).gain(network) == pytest.approx(mean_gain(scores(network, wanted)))
