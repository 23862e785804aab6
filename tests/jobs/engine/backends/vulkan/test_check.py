"""Doubts about a device's numbers: what is right is not doubted, by genuine networks neither; what is wrong is."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from benchmarks.made_pictures import pixels
from jobs.engine.backends.vulkan.check import CELL, fault
from modelstore.networks.checkpoint import load

pytestmark = pytest.mark.usefixtures("one_thread")


def source_of(array: np.ndarray) -> Tensor:
    """(H, W, C) of 8 bit as (1, C, H, W) in [0, 1]."""
    return torch.from_numpy(array.astype(np.float32) / 255).permute(2, 0, 1)[None]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["anime6B-fp16", "x4plus-fp16", "realesr-animevideov3"])
def test_what_torch_itself_computes_is_never_wrong(name: str, shared_dir: Path) -> None:
    """x4plus's tiles were told wrong in two of three pictures, and all of them computed on the CPU instead."""
    network, spec = load(shared_dir / "weights" / f"{name}.pth")
    photograph = np.asarray(Image.open(shared_dir / "images" / "0014.jpg").convert("RGB"))[100:148, 100:164]
    for array in (photograph, pixels(width=64, height=48)):
        source = source_of(array)
        with torch.inference_mode():
            result = network(source)
            assert fault(network, spec, source, result, always=True) == ""
            broken = result.clone()
            moved = CELL * spec.scale
            broken[:, :, :moved, :moved] = 1 - broken[:, :, :moved, :moved].round()  # one cell of garbage
            assert "from the right one" in fault(network, spec, source, broken, always=False)
