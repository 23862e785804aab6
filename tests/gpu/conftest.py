"""A CUDA device or a skip that says so, and networks large enough to keep one busy."""

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch

from jobs.engine.pool import NetworkPool
from jobs.engine.types import Runtime, Weights
from jobs.engine.upscaler import Upscaler
from modelstore.networks.rrdbnet import RRDBNet
from modelstore.networks.srvgg import SRVGGNetCompact
from tests.engine.conftest import save_network, seeded

REPOSITORY = Path(__file__).resolve().parent.parent.parent


@pytest.fixture(autouse=True)
def cuda() -> Iterator[None]:
    """Clean device memory before a test; no limit on it after one."""
    if not torch.cuda.is_available():
        pytest.skip("no usable CUDA device on this machine")
    torch.cuda.empty_cache()
    yield
    for device in range(torch.cuda.device_count()):
        torch.cuda.set_per_process_memory_fraction(1.0, device)


@pytest.fixture(scope="session")
def networks(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Weights]:
    """Seeded networks of the official shapes, and the trained one that comes with the project."""
    folder = tmp_path_factory.mktemp("weights")
    makers: dict[str, Callable[[], torch.nn.Module]] = {
        "x4plus": RRDBNet,
        "anime_6B": partial(RRDBNet, blocks=6),
        "x2plus": partial(RRDBNet, unshuffle=2, blocks=4),
        "small": partial(RRDBNet, blocks=1),
        "animevideov3": SRVGGNetCompact,
    }
    made = {name: save_network(folder / f"{name}.pth", seeded(make)) for name, make in makers.items()}
    bundled = REPOSITORY / "modelstore" / "bundled" / "bundled-compact-x4.safetensors"
    made["bundled"] = Weights("bundled", bundled)
    genuine = REPOSITORY.parent / "shared" / "weights" / "realesr-animevideov3.pth"
    if genuine.is_file():
        made["animevideov3"] = Weights("animevideov3", genuine)
    return made


def on_gpu(precision: Any = "auto", *, graphs: bool = True, device: str = "cuda") -> Upscaler:
    """An upscaler of its own on a CUDA device."""
    return Upscaler(NetworkPool(Runtime(device=device, backend="torch", precision=precision), graphs=graphs))


def network_of(engine: Upscaler, weights: Weights) -> Any:
    """The engine's loaded network, to look into."""
    return engine.pool.get(weights)
