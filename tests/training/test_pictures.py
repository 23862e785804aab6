from pathlib import Path

import numpy as np
import pytest

from training import pictures
from training.degrade import Array, resize
from training.metrics import psnr

FIFTY = [f"{index:03}.jpg" for index in range(50)]


def test_names_are_the_pictures_of_the_folder_in_order(folder: Path) -> None:
    assert pictures.names(folder) == [f"picture-{seed}.png" for seed in range(6)]


def test_a_folder_without_pictures_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="no pictures"):
        pictures.names(tmp_path)


def test_held_out_pictures_are_never_trained_on() -> None:
    for seed in range(20):
        kept, held = pictures.split(FIFTY, 7, seed)
        assert len(held) == 7
        assert not set(kept) & set(held)
        assert sorted(kept + held) == FIFTY


def test_the_choice_depends_on_the_seed_alone() -> None:
    assert pictures.split(FIFTY, 5, 1) == pictures.split(FIFTY, 5, 1)
    assert pictures.split(FIFTY, 5, 1) != pictures.split(FIFTY, 5, 2)


@pytest.mark.parametrize("holdout", [0, 50, 51])
def test_an_impossible_holdout_is_refused(holdout: int) -> None:
    with pytest.raises(ValueError, match="hold out"):
        pictures.split(FIFTY, holdout, 0)


def test_both_halves_of_a_pair_show_the_same_place(library: list[Array]) -> None:
    for seed in range(30):  # every turn and flip
        small, large = pictures.pair(library[0], 16, 4, 1.0, np.random.default_rng(seed))
        assert small.shape == (16, 16, 3)
        assert large.shape == (64, 64, 3)
        inner = resize(large, 16, 16)[2:-2, 2:-2]
        assert psnr(small[2:-2, 2:-2], inner, border=1) > 28, f"seed {seed}"


def test_a_picture_smaller_than_a_patch_is_refused_by_size(library: list[Array]) -> None:
    with pytest.raises(ValueError, match="152x136"):
        pictures.pair(library[0], 64, 4, 0.5, np.random.default_rng(0))


def test_a_batch_depends_on_seed_and_step_alone(library: list[Array]) -> None:
    def batch(seed: int, step: int) -> bytes:
        small, large = pictures.batch(library, size=3, patch=8, scale=4, clean_share=0.4, seed=seed, step=step)
        assert small.shape == (3, 8, 8, 3)
        assert large.shape == (3, 32, 32, 3)
        assert small.dtype == large.dtype == np.uint8
        return small.tobytes() + large.tobytes()

    assert batch(1, 5) == batch(1, 5)
    assert batch(1, 5) != batch(1, 6)
    assert batch(1, 5) != batch(2, 5)
