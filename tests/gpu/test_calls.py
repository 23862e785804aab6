"""Batches and CUDA graphs: ways to make the same calls faster, with the same result."""

from typing import Any

import numpy as np
import pytest
import torch

from jobs.engine.backends import cuda as cuda_lane
from jobs.engine.errors import Cancelled
from jobs.engine.types import Frame, Picture, UpscaleOptions, Weights
from tests.gpu.conftest import CARD, SMALLER, cases, network_of, on_gpu, shot
from tests.jobs.engine.conftest import difference, photo, picture

FRAMES = 40 if CARD else 8
TILES = UpscaleOptions(tile_size=64 // SMALLER)


@pytest.mark.parametrize("precision", cases("fp32", "fp16"))
@pytest.mark.parametrize("name", cases("animevideov3", "bundled", "small", "x2plus"))
def test_batches_equal_single_windows(networks: dict[str, Weights], name: str, precision: str) -> None:
    """Not bit for bit: cuDNN chooses its algorithms by the batch's size too."""
    pixels = shot(300, 250)
    results = {}
    for size in (1, 3, 16):
        engine = on_gpu(precision, graphs=False)
        network_of(engine, networks[name]).batch = size
        results[size], report = engine.upscale(pixels, networks[name], TILES)
        assert report.notes == ()
    for size in (3, 16):
        assert difference(results[1].frames[0].color, results[size].frames[0].color) <= (
            1 if precision == "fp32" else 3
        )


@pytest.mark.parametrize(("channels", "bits"), cases((3, 8), (1, 8), (3, 16), (1, 16)))
@pytest.mark.parametrize("outscale", cases(None, 3.0))
@pytest.mark.parametrize("name", cases("animevideov3", "small"))
def test_graphs_equal_plain_calls(
    networks: dict[str, Weights], name: str, channels: int, bits: int, outscale: float | None
) -> None:
    pixels = shot(330, 290, channels=channels, bits=bits)
    options = UpscaleOptions(tile_size=64 // SMALLER, outscale=outscale)
    plain, _ = on_gpu(graphs=False).upscale(pixels, networks[name], options)
    engine = on_gpu()
    network = network_of(engine, networks[name])
    network.batch = 1
    for _ in range(3):
        made, report = engine.upscale(pixels, networks[name], options)
        assert report.notes == ()
        assert difference(plain.frames[0].color, made.frames[0].color) <= (2 if bits == 8 else 512)
    assert network.executor.graph_cache.replays >= 3 * report.tiles - 1
    again, _ = engine.upscale(pixels, networks[name], options)
    assert np.array_equal(made.frames[0].color, again.frames[0].color)


def test_shapes_and_networks_take_turns(networks: dict[str, Weights]) -> None:
    """Static buffers of several recordings, their eviction, and results that must not be mixed up."""
    engine, plain = on_gpu("fp32"), on_gpu("fp32", graphs=False)
    for name in ("animevideov3", "small"):
        network_of(engine, networks[name]).batch = 1
    sizes = [(330, 290), (250, 310), (200, 190), (270, 130), (310, 300), (290, 190)]
    for turn in cases(0, 1, 2):
        for name in ("animevideov3", "small"):
            for size in sizes:
                made_of = shot(*size, seed=turn)
                wanted, _ = plain.upscale(made_of, networks[name], TILES)
                made, report = engine.upscale(made_of, networks[name], TILES)
                assert report.notes == ()
                assert difference(wanted.frames[0].color, made.frames[0].color) <= 1
    for name in ("animevideov3", "small"):
        shelf = network_of(engine, networks[name]).executor.graph_cache
        assert shelf.replays > 0
        assert 1 <= len(shelf) <= 4


def test_frames_of_one_size_share_calls(networks: dict[str, Weights]) -> None:
    frames = tuple(Frame(color=photo(100, 80, seed=seed)) for seed in range(FRAMES))
    engine = on_gpu()
    made, report = engine.upscale(Picture(format="webp", frames=frames), networks["bundled"])
    assert report.tiles == FRAMES
    plain = on_gpu(graphs=False)
    for frame, source in zip(made.frames, frames, strict=True):
        alone, _ = plain.upscale(picture(source.color), networks["bundled"])
        assert difference(frame.color, alone.frames[0].color) <= 3


def test_released_recordings_give_their_memory_back(networks: dict[str, Weights], cuda: Any) -> None:
    engine = on_gpu()
    network = network_of(engine, networks["small"])
    network.batch = 1
    pixels = shot(900, 700)
    first, _ = engine.upscale(pixels, networks["small"], UpscaleOptions(tile_size=200 // SMALLER))
    cuda.empty_cache()
    held, before = network.executor.graph_cache.held_bytes, cuda.memory_reserved()
    assert held > (50_000_000 if CARD else 0)
    assert engine.pool.release()
    assert before - cuda.memory_reserved() > held // 2
    assert not engine.pool.release()
    second, _ = engine.upscale(pixels, networks["small"], UpscaleOptions(tile_size=200 // SMALLER))
    # Recorded anew, perhaps with another algorithm.
    assert difference(first.frames[0].color, second.frames[0].color) <= 2


@pytest.mark.needs_card
def test_a_recording_that_fails_is_reported_and_does_no_harm(
    networks: dict[str, Weights], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A real failure: something inside the recording waits for the device, which CUDA does not permit."""
    engine = on_gpu("fp32")
    network = network_of(engine, networks["animevideov3"])
    network.batch = 1

    def wait(module: Any, inputs: Any, output: Any) -> None:
        if torch.cuda.is_current_stream_capturing():
            output[1].cpu()

    network.module.register_forward_hook(wait)
    pixels = shot(300, 250)
    made, report = engine.upscale(pixels, networks["animevideov3"], TILES)
    assert len(report.notes) == 1
    assert report.notes[0].startswith("no CUDA graph for 1 × ")
    wanted, _ = on_gpu("fp32", graphs=False).upscale(pixels, networks["animevideov3"], TILES)
    assert difference(wanted.frames[0].color, made.frames[0].color) <= 1
    _, report = engine.upscale(pixels, networks["animevideov3"], TILES)
    assert len(report.notes) == 1  # every picture's report says so
    assert torch.cuda.current_stream() == torch.cuda.default_stream()


def test_stopping_between_tiles_leaves_the_device_well(networks: dict[str, Weights]) -> None:
    engine = on_gpu("fp32")
    pixels = shot(700, 500)
    wanted, _ = engine.upscale(pixels, networks["animevideov3"], TILES)

    def stop(done: int, total: int) -> None:
        if done >= 5:
            raise Cancelled("enough")

    for _ in cases(*range(5)):
        with pytest.raises(Cancelled):
            engine.upscale(shot(700, 500, seed=9), networks["animevideov3"], TILES, stop)
        made, _ = engine.upscale(pixels, networks["animevideov3"], TILES)
        assert difference(wanted.frames[0].color, made.frames[0].color) <= 1


def test_searching_for_algorithms_begins_with_many_windows() -> None:
    assert cuda_lane.SEARCH_FROM > 1  # single pictures of ever new sizes must not pay for a search each
