"""Fused convolutions on a card: torch's own picture within rounding, and nothing written where it must not be."""

from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch

from jobs.engine.backends.batching import Kind
from jobs.engine.types import UpscaleOptions, Weights
from modelstore.networks.deduce import deduce
from modelstore.networks.rrdbnet import RRDBNet
from modelstore.networks.srvgg import SRVGGNetCompact
from tests.gpu.conftest import network_of, on_gpu
from tests.gpu.test_parity import NAMES, psnr
from tests.jobs.engine.conftest import difference, photo, picture, save_network, seeded

pytestmark = pytest.mark.needs_card


@pytest.fixture(autouse=True)
def ampere() -> None:
    if torch.cuda.is_available() and torch.cuda.get_device_capability() < (8, 0):
        pytest.skip("the card's compute capability is under 8.0")


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(("channels", "bits"), [(3, 8), (1, 8), (3, 16), (1, 16)])
def test_close_to_fp32_and_to_torchs_convolutions(
    networks: dict[str, Weights], name: str, channels: int, bits: int
) -> None:
    pixels = picture(photo(323, 210, channels=channels, bits=bits))
    engine = on_gpu("fp16")
    assert network_of(engine, networks[name]).fused
    made, report = engine.upscale(pixels, networks[name])
    assert (report.precision, report.fp32_redone_tiles, report.notes) == ("fp16", 0, ())
    exact, _ = on_gpu("fp32").upscale(pixels, networks[name])
    eager, _ = on_gpu("fp16", fused=False).upscale(pixels, networks[name])
    full = 2.0**bits - 1
    decibels = psnr(made.frames[0].color, exact.frames[0].color, full)
    assert decibels >= 55
    assert decibels >= psnr(eager.frames[0].color, exact.frames[0].color, full) - 1


@pytest.mark.parametrize("graphs", [True, False])
@pytest.mark.parametrize("name", ["x4plus", "animevideov3"])
def test_batches_and_recordings_change_nothing(networks: dict[str, Weights], name: str, graphs: bool) -> None:
    """Bit for bit: the order of sums does not depend on the batch, as it does with cuDNN."""
    pixels = picture(photo(430, 390))
    options = UpscaleOptions(tile_size=64)
    results = []
    for size in (1, 2, 16):
        engine = on_gpu("fp16", graphs=graphs)
        network = network_of(engine, networks[name])
        network.batch = size
        for _ in range(2):
            made, report = engine.upscale(pixels, networks[name], options)
            assert report.notes == ()
        assert (network.executor.graph_cache.replays > 0) == (graphs and size < 16)
        results.append(made.frames[0].color)
    for other in results[1:]:
        assert difference(results[0], other) == 0


@pytest.mark.parametrize("size", [(7, 5), (64, 64), (131, 200)])
@pytest.mark.parametrize("make", [partial(RRDBNet, blocks=2), partial(RRDBNet, blocks=1, unshuffle=2), SRVGGNetCompact])
def test_nothing_is_written_outside_nor_read_before_it_is_there(make: Any, size: tuple[int, int]) -> None:
    from jobs.engine.backends.fused.driver import CudaCard
    from tests.jobs.engine.backends.fused.emulated_card import GuardedNetwork

    network = seeded(make)
    spec = deduce(network.state_dict())
    device = torch.device("cuda", 0)
    torch.zeros(1, device=device)
    width, height = (-(-side // spec.unshuffle) * spec.unshuffle for side in size)
    with torch.inference_mode():
        fused = GuardedNetwork(network, network.state_dict(), spec, CudaCard(device), device)
        source = torch.randint(0, 256, (2, height, width, 3), device=device).to(torch.uint8)
        _, finite = fused(source, Kind(height, width, 3, "uint8", "uint8"))
    assert finite.tolist() == [True, True]
    assert fused.untouched()


def test_two_threads_at_once(networks: dict[str, Weights]) -> None:
    """Each has its engine; kernels and compiler are shared by the process."""
    pixels = [picture(photo(400, 300, seed=seed)) for seed in range(2)]

    def work(seed: int) -> Any:
        engine = on_gpu("fp16")
        return [engine.upscale(pixels[seed], networks["small"])[0].frames[0].color for _ in range(10)]

    with ThreadPoolExecutor(2) as pool:
        results = list(pool.map(work, range(2)))
    for seed, made in enumerate(results):
        wanted, _ = on_gpu("fp16", fused=False).upscale(pixels[seed], networks["small"])
        for each in made:
            assert difference(each, wanted.frames[0].color) <= 3


def test_a_network_that_cannot_be_fused_says_so_once(tmp_path: Path) -> None:
    weights = save_network(tmp_path / "n.pth", seeded(partial(SRVGGNetCompact, features=24, convolutions=2)))
    engine = on_gpu("fp16")
    _, report = engine.upscale(picture(photo(90, 70)), weights)
    assert report.notes == ("no fused convolutions: features of 24 channels are not a multiple of 16",)
    _, report = engine.upscale(picture(photo(90, 70)), weights)
    assert report.notes == ()


def test_memory_stays_under_what_is_planned(networks: dict[str, Weights]) -> None:
    from jobs.engine.tiling.cost import network_bytes

    for name, bytes_per_pixel in (("x4plus", 4500), ("animevideov3", 450)):
        engine = on_gpu("fp16", graphs=False)
        network = network_of(engine, networks[name])
        pixels = picture(photo(600, 500))
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        engine.upscale(pixels, networks[name], UpscaleOptions(tile_size=0))
        used = torch.cuda.max_memory_allocated() - before
        assert used <= network_bytes(network.spec, 610 * 510, item_bytes=2)
        assert used <= bytes_per_pixel * 610 * 510
