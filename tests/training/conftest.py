"""Pictures of our own for the recipe: edges, gradients, dots and noise, seeded."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw

from training.degrade import Array


def scene(seed: int, width: int = 152, height: int = 136) -> Array:
    rng = np.random.default_rng(seed)
    across, down = np.meshgrid(np.linspace(0, 255, width), np.linspace(0, 255, height))
    image = Image.fromarray(np.stack([across, down, 255 - across], axis=2).astype(np.uint8))
    draw = ImageDraw.Draw(image)
    for _ in range(12):
        left, top = int(rng.integers(0, width - 30)), int(rng.integers(0, height - 30))
        colour = tuple(int(value) for value in rng.integers(0, 256, 3))
        draw.ellipse((left, top, left + int(rng.integers(8, 30)), top + int(rng.integers(8, 30))), fill=colour)
        draw.line((left, top, int(rng.integers(0, width)), int(rng.integers(0, height))), fill=colour, width=2)
    return np.asarray(image)


@pytest.fixture(scope="session")
def library() -> list[Array]:
    return [scene(seed) for seed in range(4)]


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("pictures")
    for seed in range(6):
        Image.fromarray(scene(seed)).save(path / f"picture-{seed}.png")
    (path / "notes.txt").write_text("not a picture")
    return path


@pytest.fixture(autouse=True)
def one_thread() -> None:
    """Sums over several threads differ in their last bits from run to run; equality of states needs one."""
    torch.set_num_threads(1)
