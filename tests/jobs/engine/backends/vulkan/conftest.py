"""Vulkan devices for the tests: a real one, on most machines Debian's software driver; and pretended ones."""

import functools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from jobs.engine.backends.network_cache import NetworkPool
from jobs.engine.backends.vulkan import devices
from jobs.engine.types import Runtime, Weights
from jobs.engine.upscaler import Upscaler
from modelstore.networks.srvgg import SRVGGNetCompact
from tests.jobs.engine.conftest import save_network

_PRETENDED = Path(__file__).with_name("pretended")


@pytest.fixture(scope="session")
def real() -> devices.VulkanDevice:
    """A real device with a real driver. CI installs ncnn and Debian's mesa-vulkan-drivers, which needs no card."""
    if not devices.count():
        pytest.skip(devices.trouble(named=True))
    return devices.look()[0][devices.preferred()]


@pytest.fixture
def pretend(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Upscaler]]:
    """Give the backend the pretended ncnn, which fails as told. Returns an upscaler on its second, discrete card."""
    monkeypatch.setattr(devices, "look", functools.cache(devices.look.__wrapped__))
    monkeypatch.setattr(devices, "_process", functools.cache(devices._process.__wrapped__))
    monkeypatch.setattr(devices, "find_spec", lambda name: name)

    def pretended(failure: str = "", *, precision: Any = "auto", **variables: str) -> Upscaler:
        monkeypatch.setenv("PYTHONPATH", str(_PRETENDED))
        monkeypatch.setenv("PRETENDED", failure)
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        return Upscaler(NetworkPool(Runtime(device="vulkan:1", precision=precision)))

    yield pretended
    for device in devices.look()[0]:
        devices._process(device)._end()


@pytest.fixture(scope="session")
def copier(tmp_path_factory: pytest.TempPathFactory) -> Weights:
    """SRVGGNetCompact x2 whose weights are zero: it copies pixels, as the pretended ncnn does."""
    network = SRVGGNetCompact(features=4, convolutions=1, scale=2)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.zero_()
    return save_network(tmp_path_factory.mktemp("weights") / "copier-x2.pth", network)
