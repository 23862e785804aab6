"""Whole networks by the kernels' own source on an emulated card, held against torch's in fp32."""

from functools import partial
from typing import Any

import pytest
import torch

from jobs.engine.backends.batching import Kind
from jobs.engine.backends.pixel_module import PixelModule
from jobs.engine.backends.torch_backend import _compute
from modelstore.networks.deduce import deduce
from modelstore.networks.rrdbnet import RRDBNet
from modelstore.networks.srvgg import SRVGGNetCompact
from tests.jobs.engine.backends.fused.emulated_card import EmulatedCard, GuardedNetwork
from tests.jobs.engine.conftest import seeded

CPU = torch.device("cpu")
Dense = partial(RRDBNet, features=32, growth=16, blocks=1)
Compact = partial(SRVGGNetCompact, features=32, convolutions=2)
GEFORCE = {"capability": (8, 6), "shared_bytes": 101_376}


def both(make: Any, kind: Kind, count: int = 1, **card: Any) -> None:
    """Compute noise by torch in fp32 and by the fused network; no more than rounding to fp16 lies between them."""
    network = seeded(make)
    spec = deduce(network.state_dict())
    eager = PixelModule(network, channels=spec.channels, compute=torch.float32)
    fused = GuardedNetwork(network, network.state_dict(), spec, EmulatedCard(**card), CPU)
    full = 256 if kind.source == "uint8" else 65536
    source = torch.randint(0, full, (count, kind.height, kind.width, kind.channels))
    source = source.to(torch.uint8 if full == 256 else torch.int32)
    if full > 256:
        source = source.to(torch.int16)
    with torch.inference_mode():
        wanted, _ = _compute(eager, source, kind)
        made, finite = fused(source, kind)
    assert bool(finite.all())
    assert finite.shape == (count,)
    assert (made.shape, made.dtype) == (wanted.shape, wanted.dtype)
    assert fused.untouched()

    def levels(pixels: torch.Tensor) -> torch.Tensor:
        if pixels.dtype == torch.int16:
            return (pixels.to(torch.int32) & 0xFFFF) / 65535
        return pixels / 255 if pixels.dtype == torch.uint8 else pixels

    step = 1 / 255 if kind.output == "uint8" else 0
    assert float((levels(made) - levels(wanted)).abs().max()) <= step + 0.004


@pytest.mark.parametrize("card", [{}, GEFORCE], ids=["wgmma", "mma"])
@pytest.mark.parametrize("make", [Dense, Compact], ids=["rrdbnet", "srvggnet"])
def test_both_families_equal_torchs(make: Any, card: dict[str, Any]) -> None:
    both(make, Kind(9, 13, 3, "uint8", "uint8"), count=2, **card)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(("source", "output"), [("uint8", "uint16"), ("uint16", "float32"), ("uint16", "uint8")])
def test_every_type_gray_and_colour(channels: int, source: str, output: str) -> None:
    both(Compact, Kind(7, 6, channels, source, output))


@pytest.mark.parametrize("channels", [1, 3])
def test_a_gray_network_takes_a_colour_picture_as_three(channels: int) -> None:
    both(
        partial(Compact, in_channels=1, out_channels=1, convolutions=1), Kind(6, 5, channels, "uint8", "uint8"), count=2
    )


@pytest.mark.parametrize("scale", [1, 2, 3])
def test_other_scales_of_the_compact_network(scale: int) -> None:
    both(partial(Compact, convolutions=1, scale=scale), Kind(5, 9, 3, "uint8", "float32"))


@pytest.mark.parametrize("unshuffle", [2, 4])
def test_an_unshuffled_input(unshuffle: int) -> None:
    both(partial(Dense, unshuffle=unshuffle), Kind(8, 12, 3, "uint8", "uint8"))


def test_a_batch_too_large_for_one_call_comes_in_several(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("jobs.engine.backends.fused.network.largest_window", lambda _: 70)
    both(partial(Compact, convolutions=1), Kind(5, 7, 3, "uint8", "uint8"), count=3)
    both(partial(Compact, in_channels=1, out_channels=1, convolutions=1), Kind(5, 7, 3, "uint8", "uint8"), count=1)
    with pytest.raises(ValueError, match="a window of 11×7 px has more than 2³¹ numbers"):
        both(partial(Compact, convolutions=1), Kind(7, 11, 3, "uint8", "uint8"))


def test_numbers_beyond_fp16_are_seen_picture_by_picture() -> None:
    network = seeded(partial(Compact, convolutions=1))
    state = network.state_dict()
    state["body.2.weight"] = state["body.2.weight"] * 1e6
    spec = deduce(network.state_dict())
    fused = GuardedNetwork(network, state, spec, EmulatedCard(), CPU)
    source = torch.zeros(2, 6, 6, 3, dtype=torch.uint8)
    fused._layers["body.0"].bias.zero_()
    fused._layers["body.2"].bias.zero_()
    source[1] = 255
    _, finite = fused(source, Kind(6, 6, 3, "uint8", "uint8"))
    assert finite.tolist() == [True, False]
