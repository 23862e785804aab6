import runpy
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

SAMPLES = Path(__file__).parents[2] / "samples"


def test_the_sample_picture_is_what_its_script_renders(tmp_path: Path) -> None:
    script = runpy.run_path(str(SAMPLES / "make_sample.py"))
    script["main"](["--output", str(tmp_path / "sample.png")])
    with Image.open(tmp_path / "sample.png") as image, Image.open(SAMPLES / "sample.png") as committed:
        rendered, kept = np.asarray(image, int), np.asarray(committed, int)
        assert committed.mode == "RGB"
    assert rendered.shape == kept.shape == (160, 240, 3)
    # Another FreeType may shade a letter's edge differently; another picture differs everywhere.
    assert np.abs(rendered - kept).mean() < 0.5


def test_the_sample_picture_is_small_and_rich_in_detail() -> None:
    path = SAMPLES / "sample.png"
    assert path.stat().st_size < 150_000
    with Image.open(path) as image:
        gray = np.asarray(image.convert("L"), float)
    assert np.abs(np.diff(gray, axis=1)).mean() > 4
    assert gray.max() - gray.min() > 180


def test_the_script_refuses_a_folder_that_does_not_exist(tmp_path: Path) -> None:
    script = runpy.run_path(str(SAMPLES / "make_sample.py"))
    with pytest.raises(FileNotFoundError):
        script["main"](["--output", str(tmp_path / "none" / "sample.png")])
