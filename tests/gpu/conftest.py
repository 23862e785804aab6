"""A CUDA device, and networks large enough to keep one busy; or a pretended one, and small networks.

On the pretended card the engine's own work is tested: its plans, batches, recordings, and what it does when memory is
short. A test that is about what a real one does is marked ``needs_card`` and skipped where there is none.
"""

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch

from jobs.engine.backends.network_cache import NetworkPool
from jobs.engine.types import Picture, Runtime, Weights
from jobs.engine.upscaler import Upscaler
from modelstore.networks.rrdbnet import RRDBNet
from modelstore.networks.srvgg import SRVGGNetCompact
from tests.jobs.engine.conftest import photo, picture, save_network, seeded
from tests.jobs.engine.pretended_cuda import pretend

REPOSITORY = Path(__file__).resolve().parent.parent.parent


#: Whether there is a real one. Asked once: each module's cases depend on it.
CARD = torch.cuda.is_available()


#: Sides of pictures and tiles are divided by this for a pretended card, whose networks are smaller too.
SMALLER = 1 if CARD else 4


def shot(width: int, height: int, **photo_of: Any) -> Picture:
    """A picture; smaller for a pretended card."""
    return picture(photo(width // SMALLER, height // SMALLER, **photo_of))


def cases(*values: Any) -> Any:
    """Parameters of a test: all on a card, the first on a pretended one, whose arithmetic is the processor's."""
    return values if CARD else values[:1]


@pytest.fixture(autouse=True)
def cuda(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Clean device memory before a test, no limit on it after one; or a pretended device."""
    if not CARD:
        if request.node.get_closest_marker("needs_card"):
            pytest.skip("no usable CUDA device on this machine")
        yield pretend(monkeypatch).cuda
        return
    torch.cuda.empty_cache()
    yield torch.cuda
    for device in range(torch.cuda.device_count()):
        torch.cuda.set_per_process_memory_fraction(1.0, device)


@pytest.fixture(scope="session")
def networks(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Weights]:
    """Seeded networks of the official shapes, and the trained one that comes with the project.

    For a pretended card with a few features each: it computes on the processor.
    """
    folder = tmp_path_factory.mktemp("weights")
    dense = RRDBNet if CARD else partial(RRDBNet, features=4, growth=2, blocks=1)
    compact = SRVGGNetCompact if CARD else partial(SRVGGNetCompact, features=4, convolutions=2)
    makers: dict[str, Callable[[], torch.nn.Module]] = {
        "x4plus": dense,
        "anime_6B": partial(dense, blocks=6 if CARD else 1),
        "x2plus": partial(dense, unshuffle=2, blocks=4 if CARD else 1),
        "small": partial(dense, blocks=1),
        "animevideov3": compact,
    }
    made = {name: save_network(folder / f"{name}.pth", seeded(make)) for name, make in makers.items()}
    if not CARD:
        return made | {"bundled": made["animevideov3"]}
    bundled = REPOSITORY / "modelstore" / "bundled" / "bundled-compact-x4.safetensors"
    made["bundled"] = Weights("bundled", bundled)
    genuine = REPOSITORY.parent / "shared" / "weights" / "realesr-animevideov3.pth"
    if genuine.is_file():
        made["animevideov3"] = Weights("animevideov3", genuine)
    return made


def on_gpu(precision: Any = "auto", *, graphs: bool = True, fused: bool = True, device: str = "cuda") -> Upscaler:
    """An upscaler of its own on a CUDA device."""
    runtime = Runtime(device=device, backend="torch", precision=precision)
    return Upscaler(NetworkPool(runtime, graphs=graphs, fused=fused))


def network_of(engine: Upscaler, weights: Weights) -> Any:
    """The engine's loaded network, to look into."""
    return engine.pool.get(weights)
