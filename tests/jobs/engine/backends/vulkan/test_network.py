"""Windows and pictures through a real driver: pixels, types, rectangles, tiles, and what the report says."""

from pathlib import Path

import numpy as np
import pytest

from jobs.engine.backends.base import Window
from jobs.engine.backends.device import resolve
from jobs.engine.backends.network_cache import NetworkPool
from jobs.engine.backends.vulkan import devices
from jobs.engine.errors import Cancelled
from jobs.engine.types import Runtime, UpscaleOptions, Weights
from jobs.engine.upscaler import Upscaler
from modelstore.networks.srvgg import SRVGGNetCompact
from tests.jobs.engine.conftest import photo, picture, save_network, seeded, steps_apart, upscaler


def on(real: devices.VulkanDevice, precision: str = "fp32") -> Upscaler:
    return Upscaler(NetworkPool(Runtime(device=f"vulkan:{real.index}", precision=precision)))  # type: ignore[arg-type]


@pytest.fixture(scope="session")
def gray(tmp_path_factory: pytest.TempPathFactory) -> Weights:
    """A network of one channel."""
    network = seeded(lambda: SRVGGNetCompact(in_channels=1, out_channels=1, features=8, convolutions=1, scale=2))
    return save_network(tmp_path_factory.mktemp("weights") / "gray-x2.pth", network)


@pytest.mark.parametrize("output", ["uint8", "uint16", "float32"])
@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("kind", ["rgb", "gray"])
def test_a_rectangle_of_a_window_is_that_of_torch(
    kind: str, channels: int, bits: int, output: str, real: devices.VulkanDevice, compact_x2: Weights, gray: Weights
) -> None:
    weights = compact_x2 if kind == "rgb" else gray
    window = Window(photo(20, 14, channels=channels, bits=bits), 4, 6, 19, 30, np.dtype(output))
    ours, torchs = (next(iter(one.pool.get(weights).run(iter([window])))) for one in (on(real), upscaler()))
    assert ours.finite
    assert not ours.notes
    assert ours.pixels.shape == (19, 30, channels)
    assert steps_apart(ours.pixels, torchs.pixels) <= 1


@pytest.mark.parametrize("scale", [1, 2, 4])
def test_a_picture_in_tiles_is_that_of_torch(scale: int, real: devices.VulkanDevice, dense: dict[int, Weights]) -> None:
    source, options = picture(photo(70, 41)), UpscaleOptions(tile_size=32)
    ours, report = on(real).upscale(source, dense[scale], options)
    torchs, expected = upscaler().upscale(source, dense[scale], options)
    assert steps_apart(ours.frames[0].color, torchs.frames[0].color) <= 1
    assert report.tiles == expected.tiles > 1
    assert (report.device, report.device_name) == (f"vulkan:{real.index}", real.name)
    assert (report.backend, report.precision, report.notes) == ("vulkan", "fp32", ())


def test_fp16_is_storage_that_keeps_55_db(real: devices.VulkanDevice, compact: Weights) -> None:
    if not real.fp16:
        pytest.skip(f"{real.name} does not store fp16")
    source = picture(photo(40, 32, bits=16))
    ours, report = on(real, "auto").upscale(source, compact)
    torchs, _ = upscaler().upscale(source, compact)
    assert report.precision == "fp16"
    apart = (ours.frames[0].color.astype(float) - torchs.frames[0].color) / 65535
    assert 10 * np.log10(1 / (apart**2).mean()) >= 55


def test_a_caller_may_stop_between_tiles(real: devices.VulkanDevice, compact_x2: Weights) -> None:
    seen = []

    def stop(done: int, total: int) -> None:
        seen.append((done, total))
        raise Cancelled("enough")

    with pytest.raises(Cancelled):
        on(real).upscale(picture(photo(70, 32)), compact_x2, UpscaleOptions(tile_size=32), stop)
    assert seen == [(1, 3)]


def test_a_network_that_is_dropped_leaves_the_device(real: devices.VulkanDevice, compact: Weights) -> None:
    one = on(real)
    network = one.pool.get(compact)
    process = devices.process_of(f"vulkan:{real.index}")
    number = network._device._number  # type: ignore[attr-defined]
    assert process.has(number)
    assert network.weight_bytes > 0
    del network
    one.pool.clear()
    one.pool.get(compact)
    assert not process.has(number)


def test_memory_is_given_back_once(real: devices.VulkanDevice, compact_x2: Weights) -> None:
    one = on(real)
    one.upscale(picture(photo(20, 20)), compact_x2)
    assert one.pool.release()
    assert not one.pool.release()
    one.upscale(picture(photo(20, 20)), compact_x2)


def test_free_memory_is_the_heaps_budget(real: devices.VulkanDevice, compact_x2: Weights) -> None:
    place = resolve(Runtime(device="vulkan"))
    assert place.free_bytes() > 100_000_000
    on(real).upscale(picture(photo(20, 20)), compact_x2)
    assert place.free_bytes() > 100_000_000


@pytest.mark.slow
@pytest.mark.parametrize(("name", "side"), [("realesr-animevideov3", 32), ("anime6B-fp16", 32), ("x4plus-fp16", 24)])
def test_genuine_weights_keep_55_db(name: str, side: int, real: devices.VulkanDevice, shared_dir: Path) -> None:
    path = shared_dir / "weights" / f"{name}.pth"
    if not path.is_file():
        pytest.skip(f"shared/weights/{name}.pth is not here")
    weights, source = Weights(name, path), picture(photo(side, side, bits=16))
    right = upscaler().upscale(source, weights)[0].frames[0].color.astype(float)
    for precision, least in (("fp32", 90), ("fp16", 55)):
        if precision == "fp16" and not real.fp16:
            continue
        result, report = on(real, precision).upscale(source, weights)
        apart = (result.frames[0].color - right) / 65535
        assert not report.notes
        assert 10 * np.log10(1 / max(1e-12, (apart**2).mean())) >= least
