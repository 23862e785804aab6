"""Fused convolutions are taken where they can compute the network and agree with torch's; else it is said why not."""

import re
from collections.abc import Sequence
from functools import partial
from typing import Any

import pytest
import torch

from jobs.engine.backends.fused.choice import fuse
from jobs.engine.backends.fused.kernels import Program
from jobs.engine.backends.fused.network import FusedNetwork
from jobs.engine.backends.pixel_module import PixelModule
from jobs.engine.backends.torch_backend import _compute
from jobs.engine.types import UpscaleOptions, Weights
from modelstore.networks.deduce import deduce
from modelstore.networks.rrdbnet import RRDBNet
from modelstore.networks.srvgg import SRVGGNetCompact
from tests.jobs.engine.backends.fused.emulated_card import EmulatedCard
from tests.jobs.engine.conftest import photo, picture, seeded, upscaler

Compact = partial(SRVGGNetCompact, features=16, convolutions=1)


def choose(make: Any, card: Any, *, state: Any = None) -> tuple[FusedNetwork | None, str]:
    network = seeded(make)
    spec = deduce(network.state_dict())
    eager = partial(_compute, PixelModule(network, channels=spec.channels, compute=torch.float32))
    with torch.inference_mode():
        return fuse(network, state or network.state_dict(), spec, torch.device("cpu"), eager, card)


class Refusing(EmulatedCard):
    """A card whose compiler or driver says no."""

    def __init__(self, error: Exception) -> None:
        super().__init__()
        self.error = error

    def load(self, programs: Sequence[Program]) -> list[Any]:
        raise self.error


def test_a_network_that_agrees_with_torchs_is_taken() -> None:
    fused, reason = choose(Compact, EmulatedCard())
    assert isinstance(fused, FusedNetwork)
    assert reason == ""


@pytest.mark.parametrize(
    ("make", "card", "why"),
    [
        (partial(SRVGGNetCompact, features=24), EmulatedCard(), "features of 24 channels are not a multiple of 16"),
        (partial(RRDBNet, features=16, growth=8, blocks=1), EmulatedCard(), "growth of 8 channels are not"),
        (Compact, EmulatedCard(capability=(7, 5)), r"compute capability is 7\.5, and they need 8\.0"),
        (Compact, Refusing(OSError("no libnvrtc.so.13")), r"no libnvrtc\.so\.13"),
        (Compact, Refusing(RuntimeError("NVRTC for sm_130: unsupported\nmore")), "NVRTC for sm_130: unsupported$"),
    ],
)
def test_what_cannot_be_fused_says_why(make: Any, card: Any, why: str) -> None:
    fused, reason = choose(make, card)
    assert fused is None
    assert re.search(why, reason)


def test_a_card_that_computes_otherwise_is_not_trusted() -> None:
    state = {name: tensor * 1.5 for name, tensor in seeded(Compact).state_dict().items()}
    fused, reason = choose(Compact, EmulatedCard(), state=state)
    assert fused is None
    assert reason.endswith("away from torch's convolutions")


def test_weights_beyond_fp16_are_no_fault_of_the_kernels() -> None:
    loud = partial(_scaled, factor=1e30)
    fused, reason = choose(loud, EmulatedCard())
    assert isinstance(fused, FusedNetwork)
    assert reason == ""


def _scaled(factor: float) -> torch.nn.Module:
    network = SRVGGNetCompact(features=16, convolutions=1)
    with torch.no_grad():
        for each in network.parameters():
            each.mul_(factor)
    return network


def test_short_memory_is_not_taken_for_a_reason() -> None:
    with pytest.raises(torch.OutOfMemoryError):
        choose(Compact, Refusing(torch.OutOfMemoryError("CUDA out of memory")))


def test_the_reason_is_in_one_report(compact: Weights) -> None:
    engine = upscaler(precision="fp32")
    network: Any = engine.pool.get(compact)
    network.notes = ("no fused convolutions: because",)
    shot = picture(photo(40, 30))
    _, report = engine.upscale(shot, compact, UpscaleOptions(tile_size=32))
    assert report.notes == ("no fused convolutions: because",)
    _, report = engine.upscale(shot, compact)
    assert report.notes == ()
