from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional

from training import pictures
from training.degrade import Array
from training.muon import Muon, orthogonal
from training.run import SCALE, Recipe, Run, build

TINY = Recipe(features=8, convolutions=2, batch=2, patch=8, seed=3)


def steps(run: Run, library: list[Array], last: int) -> list[float]:
    losses = []
    while run.step < last:
        recipe = run.recipe
        small, large = pictures.batch(
            library, size=recipe.batch, patch=recipe.patch, scale=SCALE, clean_share=0.4, seed=3, step=run.step
        )
        losses.append(run.train_step(small, large, 1.0))
    return losses


def states(run: Run) -> list[torch.Tensor]:
    return [*run.network.state_dict().values(), *run.average.state_dict().values()]


def test_a_new_network_is_nearest_neighbour_enlargement() -> None:
    x = torch.rand(1, 3, 9, 7)
    with torch.no_grad():
        assert torch.equal(build(TINY)(x), functional.interpolate(x, scale_factor=4, mode="nearest"))


def test_one_seed_makes_one_network() -> None:
    first, second = Run(TINY, "cpu"), Run(TINY, "cpu")
    assert all(torch.equal(a, b) for a, b in zip(states(first), states(second), strict=True))


@pytest.mark.parametrize("optimizer", ["muon", "adamw"])
def test_training_lowers_the_error(optimizer: str, library: list[Array]) -> None:
    recipe = Recipe(features=8, convolutions=2, batch=4, patch=8, optimizer=optimizer)
    run = Run(recipe, "cpu")
    small, large = pictures.batch(library, size=4, patch=8, scale=SCALE, clean_share=1.0, seed=3, step=0)
    losses = [run.train_step(small, large, 1.0) for _ in range(100)]
    assert losses[-1] < 0.93 * losses[0]


@pytest.mark.parametrize("optimizer", ["muon", "adamw"])
def test_a_resumed_run_equals_an_unbroken_one(optimizer: str, library: list[Array], tmp_path: Path) -> None:
    recipe = Recipe(features=8, convolutions=2, batch=2, patch=8, optimizer=optimizer)
    unbroken = Run(recipe, "cpu")
    steps(unbroken, library, 6)
    broken = Run(recipe, "cpu")
    steps(broken, library, 3)
    broken.save(tmp_path / "run.pt", {"started": 12.5})
    resumed, extra = Run.load(tmp_path / "run.pt", "cpu")
    steps(resumed, library, 6)
    assert extra == {"started": 12.5}
    assert resumed.recipe == recipe
    assert resumed.step == 6
    assert all(torch.equal(a, b) for a, b in zip(states(unbroken), states(resumed), strict=True))


def test_the_last_phase_minimises_what_psnr_measures(library: list[Array]) -> None:
    small, large = pictures.batch(library, size=2, patch=8, scale=SCALE, clean_share=1.0, seed=3, step=0)
    plain, squared = Run(TINY, "cpu"), Run(TINY, "cpu")
    both = [plain.train_step(small, large, 1.0), squared.train_step(small, large, 1.0, squared=True)]
    assert both[0] == both[1], "what is returned is one measure, whatever is minimised"
    assert not all(torch.equal(a, b) for a, b in zip(states(plain), states(squared), strict=True))

    def decibels(run: Run) -> float:
        with torch.no_grad():
            error = (run.network(run.tensor(small)) - run.tensor(large)) ** 2
        return float((-10 * torch.log10(error.mean(dim=(1, 2, 3)))).mean())

    for _ in range(60):
        plain.train_step(small, large, 1.0)
        squared.train_step(small, large, 1.0, squared=True)
    assert decibels(squared) > decibels(plain)


def test_a_factor_of_zero_changes_nothing(library: list[Array]) -> None:
    run = Run(TINY, "cpu")
    before = [value.clone() for value in run.network.state_dict().values()]
    small, large = pictures.batch(library, size=2, patch=8, scale=SCALE, clean_share=0.4, seed=3, step=0)
    run.train_step(small, large, 0.0)
    assert all(torch.equal(a, b) for a, b in zip(before, run.network.state_dict().values(), strict=True))


def test_the_average_lags_behind_the_network(library: list[Array]) -> None:
    run = Run(TINY, "cpu")
    start = [value.clone() for value in run.average.parameters()]
    steps(run, library, 10)
    moved = sum(float((a - b).detach().norm()) for a, b in zip(run.average.parameters(), start, strict=True))
    ahead = sum(float((a - b).detach().norm()) for a, b in zip(run.network.parameters(), start, strict=True))
    assert 0 < moved < ahead


def test_bf16_training_keeps_its_weights_in_fp32(library: list[Array]) -> None:
    run = Run(Recipe(features=8, convolutions=2, batch=2, patch=8, precision="bf16"), "cpu")
    assert all(np.isfinite(steps(run, library, 3)))
    assert {value.dtype for value in run.network.parameters()} == {torch.float32}


@pytest.mark.parametrize("shape", [(8, 72), (72, 8), (16, 16)])
def test_muons_update_has_singular_values_near_one(shape: tuple[int, int]) -> None:
    torch.manual_seed(0)
    values = torch.linalg.svdvals(orthogonal(torch.randn(shape)))
    assert float(values.min()) > 0.5
    assert float(values.max()) < 1.5


def test_muons_step_has_the_size_of_its_rate_whatever_the_gradient() -> None:
    for scale in (1e-6, 1.0, 1e3):
        torch.manual_seed(0)
        weight = torch.nn.Parameter(torch.zeros(16, 16, 3, 3))
        weight.grad = scale * torch.randn_like(weight)
        Muon([weight], lr=0.01).step()
        assert float(weight.detach().square().mean().sqrt()) == pytest.approx(0.01 * 0.2, rel=0.3)
