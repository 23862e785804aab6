"""The weights that lie in the repository: what they claim, and what they are worth."""

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors import safe_open

from modelstore.networks import checkpoint
from training import pictures
from training.degrade import one_damage, published_damage, resize, standard_damage
from training.metrics import psnr
from training.run import Recipe
from training.validate import Shrink, Watch, cases, enlarge

ROOT = Path(__file__).parents[2]
WEIGHTS = ROOT / "modelstore" / "bundled" / "bundled-compact-x4.safetensors"
GAINS_DB: dict[Shrink, float] = {one_damage: 1.0, standard_damage: 0.45, published_damage: 1.05}
"""What the model card promises over bicubic, by how the small pictures were made (`one_damage`: only shrunk)."""


def test_the_weights_are_small_half_precision_and_say_what_they_are() -> None:
    assert WEIGHTS.stat().st_size <= 3_000_000
    with safe_open(WEIGHTS, "pt") as file:
        metadata = file.metadata()
        assert {file.get_tensor(name).dtype for name in file.keys()} == {torch.float16}  # noqa: SIM118 - not a mapping
    assert metadata["name"] == "bundled-compact-x4"
    assert metadata["licence"] == "BSD-3-Clause"
    assert int(metadata["training_steps"]) > 1000
    recipe = Recipe(**json.loads(metadata["recipe"]))
    spec = checkpoint.inspect(WEIGHTS)
    assert (spec.architecture, spec.scale) == ("srvggnet", 4)
    assert (spec.features, spec.blocks) == (recipe.features, recipe.convolutions)


def test_the_model_card_speaks_of_this_file() -> None:
    card = WEIGHTS.with_name("README.md").read_text()
    content = WEIGHTS.read_bytes()
    assert hashlib.sha256(content).hexdigest() in card
    assert f"{len(content):,} bytes" in card
    with safe_open(WEIGHTS, "pt") as file:
        assert f"{int(file.metadata()['training_steps']):,} steps" in card


def test_the_sample_picture_comes_back_better_than_bicubic_and_without_a_colour_shift() -> None:
    with Image.open(ROOT / "samples" / "sample.png") as image:
        truth = np.asarray(image.convert("RGB"))
    small = resize(truth, 60, 40)
    result = enlarge(checkpoint.load(WEIGHTS)[0], small)
    assert psnr(result, truth) > psnr(resize(small, 240, 160), truth) + 0.2
    assert np.abs(result.mean(axis=(0, 1)) - truth.mean(axis=(0, 1))).max() < 1


def test_flat_colours_stay_flat_and_the_same() -> None:
    network = checkpoint.load(WEIGHTS)[0]
    for colour in ((128, 128, 128), (20, 20, 20), (235, 235, 235), (200, 40, 40), (30, 60, 180)):
        flat = np.broadcast_to(np.array(colour, np.uint8), (48, 48, 3))
        result = enlarge(network, flat)[80:-80, 80:-80].astype(int)  # beyond the reach of the border
        assert np.abs(result - np.array(colour)).max() <= 4, colour
        assert result.std(axis=(0, 1)).max() < 1, f"a grid on {colour}"


def hard_squares() -> dict[str, np.ndarray]:
    """Small pictures as hard as they come: every pixel unlike its neighbours."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:64, :64]
    gray = {"board": (x + y) % 2, "stripes": x % 2, "wide stripes": y // 2 % 2, "dots": rng.integers(0, 2, (64, 64))}
    found = {name: np.repeat(255 * mask[:, :, np.newaxis], 3, axis=2) for name, mask in gray.items()}
    found["coloured dots"] = 255 * rng.integers(0, 2, (64, 64, 3))
    found["noise"] = rng.integers(0, 256, (64, 64, 3))
    return {name: picture.astype(np.uint8) for name, picture in found.items()}


@pytest.mark.parametrize("name", sorted(hard_squares()))
def test_hard_contrasts_do_not_run_away(name: str) -> None:
    """A longer training on photographs alone gave white spots in halos on sharpened pictures: outputs of up to 250."""
    small = torch.from_numpy(hard_squares()[name]).permute(2, 0, 1)[None].float() / 255
    with torch.inference_mode():
        raw = checkpoint.load(WEIGHTS)[0].float()(small)
    assert float(raw.min()) > -1
    assert float(raw.max()) < 2


@pytest.mark.slow
def test_on_photographs_it_never_saw_it_keeps_the_gains_of_its_model_card(shared_dir: Path) -> None:
    folder = shared_dir / "training-images"
    if not folder.is_dir():
        pytest.skip("shared/training-images is not here")
    with safe_open(WEIGHTS, "pt") as file:
        recipe = Recipe(**json.loads(file.metadata()["recipe"]))
    _, held = pictures.split(pictures.names(folder), recipe.holdout, recipe.seed)
    card = (ROOT / "training" / "README.md").read_text()
    assert all(name.removesuffix(".jpg") in card for name in held), "the recipe lists the held-out pictures"
    held_out = {name: pictures.read(folder / name) for name in held}
    network = checkpoint.load(WEIGHTS)[0]
    for shrink, gain in GAINS_DB.items():
        assert Watch(cases(held_out, 4, shrink)).gain(network) == pytest.approx(gain, abs=0.02), shrink
