from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from training import degrade
from training.degrade import Array
from training.metrics import psnr

Maker = Callable[[Array, int, np.random.Generator], Array]
MAKERS: list[Maker] = [degrade.clean, degrade.damage, degrade.standard_damage, degrade.published_damage]


@pytest.mark.parametrize("make", MAKERS)
def test_a_small_picture_is_a_quarter_as_wide_and_keeps_type_and_content(make: Maker, library: list[Array]) -> None:
    for seed in range(20):
        small = make(library[0], 4, np.random.default_rng(seed))
        assert small.shape == (34, 38, 3)
        assert small.dtype == np.uint8
        plain = degrade.resize(library[0], 38, 34)
        assert psnr(small, plain) > 18, f"seed {seed} is another picture"


@pytest.mark.parametrize("make", MAKERS)
def test_one_seed_makes_one_picture_and_leaves_the_large_one_alone(make: Maker, library: list[Array]) -> None:
    before = library[1].copy()
    first = make(library[1], 4, np.random.default_rng(3))
    second = make(library[1], 4, np.random.default_rng(3))
    assert np.array_equal(first, second)
    assert np.array_equal(library[1], before)


def test_damage_differs_from_seed_to_seed(library: list[Array]) -> None:
    made = [degrade.damage(library[0], 4, np.random.default_rng(seed)).tobytes() for seed in range(10)]
    assert len(set(made)) == 10


def test_damage_hurts_more_than_shrinking_alone(library: list[Array]) -> None:
    plain = degrade.resize(library[0], 38, 34)
    hurt = [psnr(degrade.damage(library[0], 4, np.random.default_rng(seed)), plain) for seed in range(20)]
    clean = [psnr(degrade.clean(library[0], 4, np.random.default_rng(seed)), plain) for seed in range(20)]
    assert np.median(hurt) < np.median(clean)


@given(along=st.floats(0.2, 3), across=st.floats(0.2, 3), angle=st.floats(0, 3.14))
def test_a_blur_kernel_neither_brightens_nor_shifts(along: float, across: float, angle: float) -> None:
    kernel = degrade.anisotropic_kernel(along, across, angle)
    assert kernel.sum() == pytest.approx(1, abs=1e-5)
    assert np.allclose(kernel, kernel[::-1, ::-1], atol=1e-7)


def test_jpeg_qualities_reach_from_bad_to_good_and_are_mostly_good() -> None:
    rng = np.random.default_rng(0)
    found = [degrade.jpeg_quality(rng) for _ in range(2000)]
    assert (min(found), max(found)) == (30, 98)
    assert np.mean(found) == pytest.approx(75, abs=1)


def test_vivid_pictures_have_the_same_places_and_harder_contrasts(library: list[Array]) -> None:
    for seed in range(10):
        vivid = degrade.vivid(library[0], np.random.default_rng(seed))
        assert vivid.shape == library[0].shape
        assert vivid.astype(float).std() > library[0].astype(float).std()


def test_drawn_pictures_are_hard_squares_that_shrinking_by_box_gives_back() -> None:
    for seed in range(40):
        large = degrade.drawn(96, 4, np.random.default_rng(seed))
        assert large.shape == (96, 96, 3)
        small = degrade.resize(large, 24, 24, degrade.KERNELS[2])
        assert np.array_equal(small.repeat(4, 0).repeat(4, 1), large)


def test_noise_has_the_strength_asked_for() -> None:
    gray = np.full((200, 200, 3), 128, np.uint8)
    noisy = degrade.gaussian_noise(gray, 8, np.random.default_rng(0))
    assert noisy.astype(float).std() == pytest.approx(8, rel=0.05)
    assert noisy.astype(float).mean() == pytest.approx(128, abs=0.2)
    one = degrade.gaussian_noise(gray, 8, np.random.default_rng(0), gray=True)
    assert np.array_equal(one[:, :, 0], one[:, :, 1])


def test_shot_noise_spares_the_dark() -> None:
    rng = np.random.default_rng(0)
    dark, bright = (np.full((100, 100, 3), value, np.uint8) for value in (10, 200))
    assert degrade.shot_noise(dark, 10, rng).std() < degrade.shot_noise(bright, 10, rng).std() / 2


@pytest.mark.parametrize("level", [10, 60, 240])
def test_poisson_noise_is_the_root_of_the_light(level: int) -> None:
    flat = np.full((300, 300, 3), level, np.uint8)
    rng = np.random.default_rng(0)
    assert degrade.poisson_noise(flat, 0.5, rng).std() == pytest.approx(0.5 * level**0.5, rel=0.05)
    gray = degrade.poisson_noise(flat, 0.5, rng, gray=True)
    assert gray.std() == pytest.approx(0.5 * level**0.5, rel=0.05)
    assert np.array_equal(gray[:, :, 0], gray[:, :, 2])


def test_noise_at_the_ends_of_the_range_is_clipped_not_wrapped() -> None:
    black = np.zeros((64, 64, 3), np.uint8)
    assert degrade.gaussian_noise(black, 10, np.random.default_rng(0)).max() < 80


def test_jpeg_keeps_the_order_of_colours() -> None:
    red = np.zeros((32, 32, 3), np.uint8)
    red[:, :, 0] = 200
    result = degrade.jpeg(red, 90)
    assert result[:, :, 0].mean() > 190
    assert result[:, :, 2].mean() < 20


def test_one_damage_applies_what_is_named_and_nothing_else(library: list[Array]) -> None:
    rng = np.random.default_rng(0)
    plain = degrade.resize(library[0], 38, 34)
    assert np.array_equal(degrade.one_damage(library[0], 4, rng), plain)
    assert np.array_equal(degrade.one_damage(library[0], 4, rng, quality=60), degrade.jpeg(plain, 60))
    noisy = degrade.one_damage(library[0], 4, rng, noise=6.0).astype(float) - plain
    assert 3 < noisy.std() < 8
    assert psnr(degrade.one_damage(library[0], 4, rng, blur=3.0), plain) < 40
