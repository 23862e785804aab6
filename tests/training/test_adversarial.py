from pathlib import Path

import pytest
import torch

from training import adversarial, pictures
from training.degrade import Array
from training.run import SCALE, Recipe, Run
from training.train import CHECKPOINT

TINY = Recipe(features=8, convolutions=2, batch=2, patch=16, holdout=2, seed=3)


def test_the_discriminator_gives_one_opinion_per_eight_pixels() -> None:
    assert adversarial.discriminator()(torch.rand(2, 3, 64, 48)).shape == (2, 1, 8, 6)


def test_the_discriminator_learns_to_tell_results_from_photographs(library: list[Array]) -> None:
    torch.manual_seed(0)
    contest = adversarial.Contest(Run(TINY, "cpu"), weight=0.0)
    small, large = pictures.batch(library, size=4, patch=16, scale=SCALE, clean_share=1.0, seed=3, step=0)
    x, y = contest.run.tensor(small), contest.run.tensor(large)
    hinges = [contest.step(x, y)[1] for _ in range(60)]
    assert hinges[0] == pytest.approx(2, abs=0.1), "it begins without an opinion"
    assert hinges[-1] < 0.9 * hinges[0]


def test_the_network_pleases_the_discriminator_at_the_cost_of_the_error(library: list[Array]) -> None:
    small, large = pictures.batch(library, size=4, patch=16, scale=SCALE, clean_share=1.0, seed=3, step=0)
    errors = {}
    for weight in (0.0, 10.0):
        contest = adversarial.Contest(Run(TINY, "cpu"), weight)
        x, y = contest.run.tensor(small), contest.run.tensor(large)
        errors[weight] = [contest.step(x, y)[0] for _ in range(60)][-1]
    assert errors[0.0] < errors[10.0]


def test_the_command_makes_a_run_that_can_be_exported(folder: Path, tmp_path: Path) -> None:
    first = Run(TINY, "cpu")
    (tmp_path / "first").mkdir()
    first.save(tmp_path / "first" / CHECKPOINT, {"started": 1.0})
    where = ["--run", str(tmp_path / "first"), "--pictures", str(folder), "--output", str(tmp_path / "second")]
    adversarial.main([*where, "--steps", "3", "--threads", "1"])
    second, _ = Run.load(tmp_path / "second" / CHECKPOINT, "cpu")
    assert second.step == 3
    assert second.recipe == TINY
    changed = zip(first.average.parameters(), second.average.parameters(), strict=True)
    assert not all(torch.equal(a, b) for a, b in changed)
