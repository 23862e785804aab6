"""The CUDA executor's bookkeeping on a pretended device: nothing lost, mixed up, or overwritten too early."""

import gc
import weakref
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from jobs.engine.backends.network_cache import NetworkPool
from jobs.engine.types import Runtime, UpscaleOptions, Weights
from jobs.engine.upscaler import Upscaler
from tests.jobs.engine.conftest import photo, picture, steps_apart, upscaler
from tests.jobs.engine.pretended_cuda import pretend

TILES = UpscaleOptions(tile_size=32)


def engine(*, graphs: bool = True) -> Upscaler:
    return Upscaler(NetworkPool(Runtime(device="cpu", backend="torch", precision="fp32"), graphs=graphs))


@pytest.mark.slow
@pytest.mark.parametrize(("channels", "bits"), [(3, 8), (1, 8), (3, 16), (1, 16)])
@pytest.mark.parametrize("outscale", [None, 3.0])
def test_by_the_lane_the_picture_is_the_same(
    compact: Weights, monkeypatch: pytest.MonkeyPatch, channels: int, bits: int, outscale: float | None
) -> None:
    shot = picture(photo(140, 90, channels=channels, bits=bits))
    options = UpscaleOptions(tile_size=32, outscale=outscale)
    wanted, _ = upscaler(precision="fp32").upscale(shot, compact, options)
    cuda = pretend(monkeypatch)
    for graphs in (False, True):
        for batch in (1, 4):
            made_by = engine(graphs=graphs)
            network: Any = made_by.pool.get(compact)
            network.batch = batch
            made, report = made_by.upscale(shot, compact, options)
            assert steps_apart(made.frames[0].color, wanted.frames[0].color) <= 1
            assert (report.tiles, report.notes) == (15, ())
            # The first call is plain; four windows at a time come too seldom to be recorded.
            assert network.executor.graph_cache.replays == (14 if graphs and batch == 1 else 0)
    assert cuda.log.count("replay") == 14


@pytest.mark.slow
def test_a_recording_that_fails_is_in_every_report_and_tried_once(
    compact: Weights, monkeypatch: pytest.MonkeyPatch
) -> None:
    shot = picture(photo(140, 90))
    wanted, _ = upscaler(precision="fp32").upscale(shot, compact, TILES)
    cuda = pretend(monkeypatch)
    cuda.fault = RuntimeError("CUDA error: operation not permitted when stream is capturing\nAdvice for developers")
    made_by = engine()
    network: Any = made_by.pool.get(compact)
    network.batch = 1
    for _ in range(2):
        made, report = made_by.upscale(shot, compact, TILES)
        assert steps_apart(made.frames[0].color, wanted.frames[0].color) <= 1
        assert len(report.notes) == 1
        assert report.notes[0].endswith("CUDA error: operation not permitted when stream is capturing")
        cuda.fault = None  # it would succeed now, but a recording that broke off may leave torch's allocator confused


@pytest.mark.slow
def test_a_recording_without_memory_is_tried_for_other_shapes(
    compact: Weights, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Torch cannot end such a recording, and raises an error that hides the first one."""
    cuda = pretend(monkeypatch)
    cuda.fault = RuntimeError("CUDA error: operation failed due to a previous error during capture")
    cuda.fault.__context__ = torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")
    made_by = engine()
    network: Any = made_by.pool.get(compact)
    network.batch = 1
    _, report = made_by.upscale(picture(photo(140, 90)), compact, TILES)
    assert len(report.notes) == 1
    assert report.notes[0].endswith(": CUDA out of memory. Tried to allocate 2.00 GiB.")
    assert report.out_of_memory_shrinks == 0
    cuda.fault = None
    _, report = made_by.upscale(picture(photo(120, 100)), compact, TILES)
    assert report.notes == ()
    assert network.executor.graph_cache.replays > 0


def test_a_recording_that_fails_leaves_nothing_of_its_memory_behind(
    compact: Weights, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Torch counts the pool of a recording that was never ended as in use for ever (pytorch#190348)."""
    cuda = pretend(monkeypatch)
    cuda.fault = torch.OutOfMemoryError("CUDA out of memory.")
    made_by = engine()
    network: Any = made_by.pool.get(compact)
    network.batch = 1
    _, report = made_by.upscale(picture(photo(140, 90)), compact, TILES)
    assert len(report.notes) == 1
    assert cuda.pools == {}


@pytest.mark.parametrize("older_torch", [False, True])
def test_pinned_memory_of_the_host_is_given_back_too(
    compact: Weights, monkeypatch: pytest.MonkeyPatch, older_torch: bool
) -> None:
    cuda = pretend(monkeypatch)
    if older_torch:
        cuda._C._host_emptyCache = cuda.accelerator.empty_host_cache
        cuda.accelerator = SimpleNamespace()
    made_by = engine()
    made_by.upscale(picture(photo(140, 90)), compact, TILES)
    assert cuda.host_cached > 0
    made_by.pool.release()
    assert cuda.host_cached == 0


def test_recordings_are_dropped_when_the_pool_makes_room(
    compact: Weights, compact_x2: Weights, monkeypatch: pytest.MonkeyPatch
) -> None:
    cuda = pretend(monkeypatch)
    pool = NetworkPool(Runtime(device="cpu", backend="torch", precision="fp32"), max_bytes=1)
    network: Any = pool.get(compact)
    network.batch = 1
    Upscaler(pool).upscale(picture(photo(140, 90)), compact, TILES)
    assert len(network.executor.graph_cache) == 1
    pool.get(compact_x2)
    assert len(network.executor.graph_cache) == 0
    assert cuda.log[-1] == "reset"


def test_what_is_under_way_is_waited_for_when_the_caller_stops(
    compact: Weights, monkeypatch: pytest.MonkeyPatch
) -> None:
    cuda = pretend(monkeypatch)

    def stop(done: int, total: int) -> None:
        raise KeyboardInterrupt

    made_by = engine()
    network: Any = made_by.pool.get(compact)
    network.batch = 1
    with pytest.raises(KeyboardInterrupt):
        made_by.upscale(picture(photo(140, 90)), compact, TILES, stop)
    assert cuda.log.count("wait") == 3  # the one that was wanted, and the two behind it


def test_a_network_that_is_put_out_leaves_no_cycle_behind(compact: Weights, monkeypatch: pytest.MonkeyPatch) -> None:
    """What waits for Python's search for cycles keeps device memory meanwhile."""
    pretend(monkeypatch)
    made_by = engine()
    network: Any = made_by.pool.get(compact)
    network.batch = 1
    made_by.upscale(picture(photo(140, 90)), compact, TILES)
    gone = [weakref.ref(network), weakref.ref(network.executor), weakref.ref(network.module)]
    gc.disable()
    try:
        made_by.pool.clear()
        del network
        assert [reference() for reference in gone] == [None, None, None]
    finally:
        gc.enable()
