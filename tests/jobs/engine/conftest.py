"""Small real networks and pictures for the engine's tests."""

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from jobs.engine.backends import openvino_trial
from jobs.engine.backends.network_cache import NetworkPool
from jobs.engine.backends.winograd import library as winograd
from jobs.engine.types import Frame, Limits, Metadata, Picture, Runtime, Weights
from jobs.engine.upscaler import Upscaler
from modelstore.networks.rrdbnet import RRDBNet
from modelstore.networks.srvgg import SRVGGNetCompact

LIMITS = Limits()


@pytest.fixture(autouse=True)
def no_database(request: pytest.FixtureRequest) -> Iterator[None]:
    """Fail the test that asks for a database: the engine knows none, and starting one takes longer than its tests."""
    from tests import conftest  # not on top: tests/gpu takes the helpers of this file to machines without Django

    asked = {"db", "transactional_db", "django_db_setup"} & set(request.fixturenames)
    assert not asked, f"a test of the engine asks for a database: {', '.join(sorted(asked))}"
    assert not request.node.get_closest_marker("django_db"), "a test of the engine asks for a database by its marker"
    ran = conftest.database_runs()
    yield
    assert ran or not conftest.database_runs(), "a test of the engine started a database"


def save_network(path: Path, network: torch.nn.Module) -> Weights:
    """Write a network as the official files are: a .pth with params_ema."""
    torch.save({"params_ema": network.state_dict()}, path)
    return Weights(name=path.stem, path=path)


def seeded(make: Callable[[], torch.nn.Module], seed: int = 3) -> torch.nn.Module:
    """A network with seeded weights whose output is a plausible picture: about the enlarged input."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return make().eval()


@pytest.fixture(scope="session")
def compact(tmp_path_factory: pytest.TempPathFactory) -> Weights:
    """SRVGGNetCompact x4, receptive radius 5."""
    network = seeded(lambda: SRVGGNetCompact(features=8, convolutions=3, scale=4))
    return save_network(tmp_path_factory.mktemp("weights") / "compact-x4.pth", network)


@pytest.fixture(scope="session")
def compact_x2(tmp_path_factory: pytest.TempPathFactory) -> Weights:
    """SRVGGNetCompact x2, receptive radius 3."""
    network = seeded(lambda: SRVGGNetCompact(features=8, convolutions=1, scale=2))
    return save_network(tmp_path_factory.mktemp("weights") / "compact-x2.pth", network)


@pytest.fixture(scope="session")
def dense(tmp_path_factory: pytest.TempPathFactory) -> dict[int, Weights]:
    """RRDBNet of one block by scale: 4, 2 (unshuffle 2) and 1 (unshuffle 4)."""
    folder = tmp_path_factory.mktemp("weights")
    return {
        4 // unshuffle: save_network(
            folder / f"dense-x{4 // unshuffle}.pth",
            seeded(partial(RRDBNet, features=8, growth=4, blocks=1, unshuffle=unshuffle)),
        )
        for unshuffle in (1, 2, 4)
    }


def upscaler(backend: Any = "torch", **runtime: Any) -> Upscaler:
    """An upscaler with a pool of its own, in fp32 unless asked otherwise: "auto" is bf16 on some processors.

    Skips where OpenVINO is asked for and cannot be used on this processor, or winograd and it was not built.
    """
    if backend == "openvino" and openvino_trial.trouble():
        pytest.skip(openvino_trial.trouble())
    if backend == "winograd":
        try:
            winograd.load()
        except winograd.NotBuilt as error:
            pytest.skip(str(error))
    return Upscaler(NetworkPool(Runtime(device="cpu", backend=backend, **{"precision": "fp32", **runtime})))


def photo(width: int, height: int, *, channels: int = 3, bits: int = 8, seed: int = 0) -> NDArray[Any]:
    """Something like a picture: smooth colours, edges and a little noise, over the whole range."""
    random = np.random.default_rng(seed)
    y, x = np.mgrid[0:height, 0:width]
    planes = [
        0.5 + 0.3 * np.sin(x / (5 + 3 * index) + seed) + 0.2 * np.sign(np.sin((x + 2 * y) / (9 + index)))
        for index in range(channels)
    ]
    noisy = np.stack(planes, axis=2) + random.normal(0, 0.02, (height, width, channels))
    full = 65535 if bits == 16 else 255
    return np.rint(np.clip(noisy, 0, 1) * full).astype(np.uint16 if bits == 16 else np.uint8)


def picture(pixels: NDArray[Any], alpha: NDArray[Any] | None = None, *, fmt: str = "png") -> Picture:
    """A still of those pixels."""
    return Picture(format=fmt, frames=(Frame(color=pixels, alpha=alpha),), metadata=Metadata())


def difference(one: NDArray[Any], other: NDArray[Any]) -> int:
    """The largest difference of two pictures of one shape."""
    assert one.shape == other.shape
    assert one.dtype == other.dtype
    return int(np.abs(one.astype(np.int64) - other.astype(np.int64)).max())


#: What a float32 result may differ by: one step of 16 bit, the finest that a result is ever rounded to.
_FLOAT_STEP = 1 / 65535


def steps_apart(one: NDArray[Any], other: NDArray[Any]) -> float:
    """The largest difference of two pictures in steps of their type: 1 is a pixel that was rounded the other way.

    The same window gives the same bits only in a call of the same shape. A library picks its convolution by the shape
    of the call, and so the order in which the products of a pixel are summed: n sums of float32 numbers of about 1 may
    end n / 2**24 apart, which for the some hundred of a small network is below 1 / 65535. Two equal numbers of that
    closeness round to the same step of 8 or 16 bit, or to neighbours.
    """
    if one.dtype != np.float32:
        return difference(one, other)
    assert one.shape == other.shape
    assert other.dtype == np.float32
    return float(np.abs(one - other).max()) / _FLOAT_STEP
