"""Tiles fit into memory, and estimates are what really happens."""

import tracemalloc
from typing import Any

import pytest
import torch

from jobs.engine.backends.memory import free_host_bytes
from jobs.engine.tiling.cost import (
    CPU_WORKING_SET,
    MOST_BYTES,
    batch_size,
    choose_tile,
    default_pad,
    estimate,
    network_bytes,
    plan_plane,
)
from jobs.engine.types import UpscaleOptions, Weights
from modelstore.networks.checkpoint import inspect
from modelstore.networks.deduce import deduce
from modelstore.networks.rrdbnet import RRDBNet
from modelstore.networks.srvgg import SRVGGNetCompact
from tests.jobs.engine.conftest import photo, picture, upscaler

with torch.device("meta"):
    X4PLUS = deduce(RRDBNet().state_dict())
    X2PLUS = deduce(RRDBNet(unshuffle=2).state_dict())
    ANIME = deduce(SRVGGNetCompact().state_dict())
SPECS = [X4PLUS, X2PLUS, ANIME]


@pytest.mark.parametrize("spec", SPECS)
@pytest.mark.parametrize("kind", ["cpu", "cuda", "mps"])
@pytest.mark.parametrize("free", [0, 200_000_000, 2_000_000_000, 100_000_000_000])
@pytest.mark.parametrize("size", [(64, 64), (640, 480), (2048, 1536), (8000, 6000)])
def test_the_tile_fits_into_free_memory(spec: Any, kind: str, free: int, size: tuple[int, int]) -> None:
    pad = default_pad(spec)
    tile = choose_tile(spec, *size, kind=kind, pad=pad, free_bytes=free)
    pixels = (size[0] + 10) * (size[1] + 10) if tile == 0 else (tile + 2 * pad) ** 2
    if tile > 32:
        assert network_bytes(spec, pixels) <= max(free, CPU_WORKING_SET)
    assert tile == 0 or tile >= 32


@pytest.mark.parametrize("spec", SPECS)
@pytest.mark.parametrize("tile", [None, 0, 1024, 2048])
@pytest.mark.parametrize("size", [(1400, 1400), (2048, 1536), (30_000, 20), (8000, 6000)])
def test_no_call_of_a_cuda_device_holds_more_numbers_than_its_kernels_count(
    spec: Any, tile: int | None, size: tuple[int, int]
) -> None:
    cut = plan_plane(
        spec, *size, tile_size=tile, tile_pad=None, kind="cuda", free_bytes=140 << 30, item_bytes=2
    )  # fmt: skip
    assert cut.window_pixels * spec.features * spec.scale**2 < 2**31
    if tile == 0 and size == (30_000, 20):
        assert cut.tiles == 1  # long, and not large


@pytest.mark.parametrize("spec", SPECS)
@pytest.mark.parametrize("kind", sorted(MOST_BYTES))
@pytest.mark.parametrize("item", [2, 4])
@pytest.mark.parametrize("tile", [None, 0, 4096])
def test_no_tensor_of_a_call_is_larger_than_the_device_bears(spec: Any, kind: str, item: int, tile: int | None) -> None:
    """Metal ends the whole process."""
    for size in ((1000, 1000), (2048, 1536), (8000, 6000)):
        cut = plan_plane(spec, *size, tile_size=tile, tile_pad=None, kind=kind, free_bytes=140 << 30, item_bytes=item)
        together = batch_size(spec, cut.window_pixels, kind=kind, free_bytes=140 << 30, item_bytes=item)
        assert together * cut.window_pixels * spec.features * spec.scale**2 * item < 2**32


def test_compact_networks_get_their_exact_padding() -> None:
    assert default_pad(ANIME) == 18
    assert default_pad(X4PLUS) >= 16


@pytest.mark.slow
@pytest.mark.parametrize("outscale", [None, 2.0, 7.0])
@pytest.mark.parametrize("tile", [None, 40])
def test_the_estimate_is_what_happens(compact: Weights, outscale: float | None, tile: int | None) -> None:
    made = picture(photo(90, 70), photo(90, 70, channels=1, seed=2)[:, :, 0])
    guess = estimate(
        inspect(compact.path),
        width=90,
        height=70,
        alpha=True,
        outscale=outscale,
        tile_size=tile,
        free_bytes=free_host_bytes(),
    )
    _, report = upscaler().upscale(made, compact, UpscaleOptions(outscale=outscale, tile_size=tile))
    assert (guess.tiles, guess.passes) == (report.tiles, report.passes)
    assert guess.bytes > 0
    assert guess.gflop > 0


def test_a_large_picture_through_a_dense_network_stays_within_its_memory() -> None:
    guess = estimate(X4PLUS, width=2048, height=1536, free_bytes=8_000_000_000)
    assert guess.bytes < 2_500_000_000
    assert guess.tiles > 1


@pytest.mark.parametrize("outscale", [None, 1.0, 16.0])
@pytest.mark.parametrize("tile", [None, 64])
def test_the_estimate_of_a_chain_knows_all_its_members(
    dense: dict[int, Weights], compact_x2: Weights, compact: Weights, outscale: float | None, tile: int | None
) -> None:
    chain = (dense[1], compact_x2, compact)
    specs = [inspect(weights.path) for weights in chain]
    free = free_host_bytes()
    guess = estimate(specs, width=90, height=70, free_bytes=free, outscale=outscale, tile_size=tile)
    _, report = upscaler().upscale(picture(photo(90, 70)), chain, UpscaleOptions(outscale, tile))
    assert (guess.tiles, guess.passes) == (report.tiles, report.passes)
    alone = [estimate(spec, width=90, height=70, free_bytes=free, tile_size=tile) for spec in specs]
    assert guess.gflop > sum(cost.gflop for cost in alone)


@pytest.mark.parametrize("restorers", [1, 2])
def test_the_memory_of_a_chain_counts_what_lies_between_its_members(
    dense: dict[int, Weights], compact: Weights, restorers: int
) -> None:
    """With a result as small as the input, what lies between is most of it. numpy tells tracemalloc of its arrays."""
    chain = (compact, *[dense[1]] * restorers)
    guess = estimate(
        [inspect(weights.path) for weights in chain],
        width=400, height=300, outscale=1.0, tile_size=64, kind="cuda",  # a card's memory is not the host's
    )  # fmt: skip
    engine, made = upscaler(), picture(photo(400, 300))
    engine.upscale(picture(photo(40, 30)), chain)  # libraries and weights
    tracemalloc.start()
    try:
        engine.upscale(made, chain, UpscaleOptions(outscale=1.0, tile_size=64))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert 0.6 * guess.bytes < peak < 1.5 * guess.bytes
