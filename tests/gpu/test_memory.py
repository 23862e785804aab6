"""Memory of a real device: too little of it, numbers that overflow, and nothing that grows."""

from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch

from jobs.engine.errors import OutOfMemory
from jobs.engine.types import UpscaleOptions, Weights
from modelstore.networks.srvgg import SRVGGNetCompact
from tests.gpu.conftest import CARD, SMALLER, cases, network_of, on_gpu, shot
from tests.jobs.engine.conftest import difference, photo, picture, save_network, seeded, upscaler
from tests.jobs.engine.pretended_cuda import MEMORY

TOTAL = torch.cuda.get_device_properties(0).total_memory if CARD else MEMORY


def allow(cuda: Any, gigabytes: float) -> None:
    """Let torch have that much more of the device than it has now."""
    cuda.empty_cache()
    more = gigabytes * 1e9 / SMALLER**3
    cuda.set_per_process_memory_fraction(min(1.0, (cuda.memory_reserved() + more) / TOTAL), 0)


@pytest.mark.parametrize("precision", cases("fp32", "fp16"))
@pytest.mark.parametrize("name", cases("small", "animevideov3", "x2plus"))
def test_a_real_shortage_halves_tiles_and_the_picture_is_the_same(
    networks: dict[str, Weights], name: str, precision: Any, cuda: Any
) -> None:
    pixels = shot(1300, 1100)
    whole, _ = on_gpu(precision).upscale(pixels, networks[name], UpscaleOptions(tile_size=0))
    engine = on_gpu(precision)
    engine.pool.get(networks[name])
    allow(cuda, 0.6 if name != "animevideov3" else 0.3)
    seen: list[tuple[int, int]] = []
    made, report = engine.upscale(
        pixels, networks[name], UpscaleOptions(tile_size=0), lambda done, total: seen.append((done, total))
    )
    assert report.out_of_memory_shrinks >= 1
    assert report.tiles > 1
    assert seen[-1] == (report.tiles, report.tiles)
    assert difference(whole.frames[0].color, made.frames[0].color) <= (1 if precision == "fp32" else 4)


def test_a_shortage_in_the_middle_keeps_what_is_finished(networks: dict[str, Weights], cuda: Any) -> None:
    engine = on_gpu("fp16", graphs=False)
    pixels = shot(1600, 1200)
    options = UpscaleOptions(tile_size=400 // SMALLER)
    whole, _ = engine.upscale(pixels, networks["small"], options)
    network_of(engine, networks["small"]).batch = 1

    def tighten(done: int, total: int) -> None:
        if done == 5:
            allow(cuda, 0.3)

    made, report = engine.upscale(pixels, networks["small"], options, tighten)
    assert report.out_of_memory_shrinks >= 1
    assert difference(whole.frames[0].color, made.frames[0].color) <= 4


def test_a_batch_that_does_not_fit_is_halved_and_reported(networks: dict[str, Weights], cuda: Any) -> None:
    engine = on_gpu("fp16", graphs=False)
    pixels = shot(1600, 1200)
    options = UpscaleOptions(tile_size=200 // SMALLER)
    whole, _ = engine.upscale(pixels, networks["small"], options)
    network_of(engine, networks["small"]).batch = 16
    allow(cuda, 2.0)  # one window of 256 px takes 0.28 GB
    made, report = engine.upscale(pixels, networks["small"], options)
    assert any("memory was short for 16 tiles at once" in note for note in report.notes)
    assert report.out_of_memory_shrinks == 0
    assert report.tiles == 48
    assert difference(whole.frames[0].color, made.frames[0].color) <= 4


def test_recordings_make_room_when_memory_is_short(networks: dict[str, Weights], cuda: Any) -> None:
    engine = on_gpu("fp16")
    for name in ("animevideov3", "bundled"):
        network_of(engine, networks[name]).batch = 1
        engine.upscale(shot(2000, 1500), networks[name], UpscaleOptions(tile_size=400 // SMALLER))
        assert len(network_of(engine, networks[name]).executor.graph_cache) == 1
    held = network_of(engine, networks["animevideov3"]).executor.graph_cache.held_bytes
    allow(cuda, 0.02)
    _, report = engine.upscale(shot(500, 400, seed=3), networks["bundled"], UpscaleOptions(tile_size=0))
    assert report.tiles >= 1
    assert network_of(engine, networks["animevideov3"]).executor.graph_cache.held_bytes == 0 < held


def test_weights_that_do_not_fit_are_out_of_memory(networks: dict[str, Weights], cuda: Any) -> None:
    allow(cuda, 0.0)
    with pytest.raises(OutOfMemory, match="too little free memory for the network's weights"):
        on_gpu("fp32").upscale(picture(photo(50, 40)), networks["x4plus"])
    cuda.set_per_process_memory_fraction(1.0, 0)
    _, report = on_gpu("fp32").upscale(picture(photo(50, 40)), networks["x4plus"])
    assert report.tiles == 1


@pytest.mark.parametrize("graphs", cases(True, False))
def test_tiles_that_overflow_in_fp16_are_redone_in_fp32(tmp_path: Path, graphs: bool) -> None:
    """Layers scaled up and the last one down again: the same function, with numbers beyond fp16 on the way."""
    network = seeded(partial(SRVGGNetCompact, features=16, convolutions=2))
    assert isinstance(network, SRVGGNetCompact)
    with torch.no_grad():
        for index, factor in ((0, 3000.0), (2, 3000.0), (6, 1 / 9e6)):
            layer: Any = network.body[index]
            layer.weight.mul_(factor)
            layer.bias.mul_({0: 3000.0, 2: 9e6, 6: 1.0}[index])
        middle: Any = network.body[4]
        middle.bias.mul_(9e6)
    weights = save_network(tmp_path / "loud.pth", network)
    pixels = photo(300, 250)
    options = UpscaleOptions(tile_size=64)
    wanted, _ = upscaler(precision="fp32").upscale(picture(pixels), weights, options)
    made, report = on_gpu("fp16", graphs=graphs).upscale(picture(pixels), weights, options)
    assert (report.precision, report.fp32_redone_tiles) == ("fp16", report.tiles)
    assert difference(wanted.frames[0].color, made.frames[0].color) <= 1


def host_bytes() -> int:
    """Resident memory of this process."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


@pytest.mark.needs_card
def test_fifty_pictures_leave_no_memory_behind(networks: dict[str, Weights]) -> None:
    engine = on_gpu()
    shots = [picture(photo(200 + 37 * index, 180 + 21 * index)) for index in range(5)]

    def ten_rounds() -> None:
        for _ in range(10):
            for each in shots:
                engine.upscale(each, networks["animevideov3"], UpscaleOptions(tile_size=128))

    ten_rounds()  # recordings, pinned buffers and algorithms are there now
    host, device = host_bytes(), torch.cuda.memory_reserved()
    ten_rounds()
    assert host_bytes() - host < 64_000_000
    assert torch.cuda.memory_reserved() - device < 64_000_000
