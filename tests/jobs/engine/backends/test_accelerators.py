"""AMD's, Intel's and Apple's GPUs, pretended: found, tried, chosen, and whole pictures by the plain road."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from jobs.engine.backends import accelerators, cuda_devices
from jobs.engine.backends.base import Window
from jobs.engine.backends.batching import Kind
from jobs.engine.backends.device import precisions, resolve, usable
from jobs.engine.backends.pixel_module import PixelModule
from jobs.engine.backends.torch_backend import _compute
from jobs.engine.errors import DeviceLost, DeviceUnavailable, OutOfMemory, PrecisionUnavailable
from jobs.engine.types import Runtime, UpscaleOptions, Weights
from modelstore.networks.rrdbnet import RRDBNet
from modelstore.networks.srvgg import SRVGGNetCompact
from tests.jobs.engine.conftest import difference, photo, picture, upscaler
from tests.jobs.engine.pretended_devices import LOST, MEMORY, NAMED, SHORT, engine_on, pretend

FAMILIES = list(NAMED)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("name", ["compact", "dense"])
def test_whole_pictures_are_those_of_the_cpu(
    monkeypatch: pytest.MonkeyPatch, compact: Weights, dense: dict[int, Weights], family: str, bits: int, channels: int,
    name: str,
) -> None:  # fmt: skip
    weights = compact if name == "compact" else dense[2]
    shot = picture(photo(50, 38, bits=bits, channels=channels), alpha=photo(50, 38, bits=bits, channels=1)[:, :, 0])
    exact, _ = upscaler("torch").upscale(shot, weights, UpscaleOptions(tile_size=32))
    device = pretend(monkeypatch, family)
    made, report = engine_on("auto").upscale(shot, weights, UpscaleOptions(tile_size=32))
    assert (report.device, report.backend, report.precision, report.notes) == (NAMED[family][1], "torch", "fp32", ())
    # Calls of other shapes: the CPU takes one window at once.
    assert difference(made.frames[0].color, exact.frames[0].color) <= 1
    assert difference(made.frames[0].alpha, exact.frames[0].alpha) <= 1  # type: ignore[arg-type]  # there is one
    assert device.calls


@pytest.mark.parametrize("family", FAMILIES)
def test_half_precision_is_taken_by_itself(monkeypatch: pytest.MonkeyPatch, compact: Weights, family: str) -> None:
    shot = picture(photo(24, 20))
    exact, _ = upscaler("torch").upscale(shot, compact)
    pretend(monkeypatch, family)
    made, report = engine_on("auto", precision="auto").upscale(shot, compact)
    assert report.precision == "fp16"
    # fp16 of pixels in [0, 1] is half a step of 8 bit near 1, and a few layers add theirs.
    assert difference(made.frames[0].color, exact.frames[0].color) <= 4


@pytest.mark.parametrize("family", FAMILIES)
def test_memory_that_is_short_makes_tiles_smaller(
    monkeypatch: pytest.MonkeyPatch, compact: Weights, family: str
) -> None:
    shot = picture(photo(150, 110))
    exact, _ = upscaler("torch").upscale(shot, compact)
    device = pretend(monkeypatch, family)
    engine = engine_on("auto")
    engine.pool.get(compact)
    device.allowed = 4_000_000
    monkeypatch.setattr(type(engine.pool.get(compact).place), "free_bytes", lambda _: MEMORY)  # others took it since
    made, report = engine.upscale(shot, compact)
    assert report.out_of_memory_shrinks
    assert difference(made.frames[0].color, exact.frames[0].color) <= 1
    device.allowed = 1000
    with pytest.raises(OutOfMemory, match=str(SHORT[family]).partition("\n")[0][:20]):
        engine.upscale(shot, compact)


@pytest.mark.parametrize("family", FAMILIES)
def test_tiles_are_planned_by_the_devices_memory(
    monkeypatch: pytest.MonkeyPatch, compact: Weights, family: str
) -> None:
    device = pretend(monkeypatch, family)
    engine = engine_on("auto")
    device.allowed = 8_000_000
    _, report = engine.upscale(picture(photo(150, 110)), compact)
    assert 0 < report.tile_size < 110
    assert report.out_of_memory_shrinks == 0
    place = engine.pool.place()
    assert place.accelerator is not None
    held = place.accelerator.memory()
    assert (held.total, held.used) == (MEMORY, MEMORY - device.allowed)
    assert place.free_bytes() == device.allowed + (200 if family == "xpu" else 0), "torch's own cache is free"


@pytest.mark.parametrize("family", FAMILIES)
def test_a_lost_device_is_told_as_one(monkeypatch: pytest.MonkeyPatch, compact: Weights, family: str) -> None:
    device = pretend(monkeypatch, family)
    engine = engine_on("auto")
    device.fault = LOST[family]
    with pytest.raises(DeviceLost) as caught:
        engine.upscale(picture(photo(20, 20)), compact)
    assert str(caught.value) == f"the device failed: {str(LOST[family]).splitlines()[0]}"


@pytest.mark.parametrize("family", FAMILIES)
def test_what_torch_keeps_is_given_back(monkeypatch: pytest.MonkeyPatch, compact: Weights, family: str) -> None:
    device = pretend(monkeypatch, family)
    engine = engine_on("auto")
    engine.upscale(picture(photo(20, 20)), compact)
    assert bool(device.emptied) == (family == "mps"), "a Mac's memory is everybody's"
    before = device.emptied
    assert not engine.pool.release(), "smaller tiles are all that is left"
    engine.pool.clear()
    assert device.emptied >= before + 2


@pytest.mark.parametrize(
    ("family", "architecture", "expected"),
    [
        ("rocm", "gfx90a", torch.channels_last),
        ("rocm", "gfx942", torch.channels_last),
        ("rocm", "gfx1030", torch.contiguous_format),
        ("rocm", "gfx1100", torch.contiguous_format),
        ("rocm", "gfx1201", torch.contiguous_format),
        ("xpu", "", torch.channels_last),
        ("mps", "", torch.contiguous_format),
    ],
)
def test_each_has_its_memory_format(
    monkeypatch: pytest.MonkeyPatch, compact: Weights, family: str, architecture: str, expected: torch.memory_format
) -> None:
    device = pretend(monkeypatch, family)
    device.architecture, device.built_for = architecture, [architecture]
    engine = engine_on("auto")
    network: Any = engine.pool.get(compact)
    engine.upscale(picture(photo(20, 20)), compact)
    assert device.formats == {expected}
    weight = next(each for each in network.module.parameters() if each.dim() == 4 and each.shape[1] > 1)
    assert weight.is_contiguous(memory_format=expected)
    assert (network.executor, network.fused, network.notes) == (None, False, ()), "the plain road"


@pytest.mark.parametrize("family", FAMILIES)
def test_a_device_is_had_by_its_name_and_number(monkeypatch: pytest.MonkeyPatch, family: str) -> None:
    pretend(monkeypatch, family, count=2 if family != "mps" else 1)
    word, first = NAMED[family]
    place = resolve(Runtime(device=word))
    assert (place.device, place.precision, place.note) == (first, "fp16", "")
    if family == "mps":
        assert (place.name, place.uuid) == ("M9", "")
        return
    second = resolve(Runtime(device=f"{word}:1"))
    assert (second.device, second.name) == (f"{word}:1", f"Pretended {family} 1")
    assert "uuid-1" in second.uuid
    with pytest.raises(DeviceUnavailable) as caught:
        resolve(Runtime(device=f"{word}:2"))
    assert str(caught.value) == (
        f"the device {word}:2 was asked for. "
        f"There is cpu, {word}:0 (Pretended {family} 0) and {word}:1 (Pretended {family} 1)"
    )


@pytest.mark.parametrize("family", FAMILIES)
def test_who_asks_for_another_kind_is_told_what_there_is(monkeypatch: pytest.MonkeyPatch, family: str) -> None:
    pretend(monkeypatch, family)
    for word in {"cuda", "xpu", "mps"} - {NAMED[family][0]}:
        with pytest.raises(DeviceUnavailable, match=f"the device {word} was asked for, but .* no usable") as caught:
            resolve(Runtime(device=word))
        assert f"There is cpu and {NAMED[family][1]} (" in str(caught.value)
    with pytest.raises(DeviceUnavailable, match="tpu is not known; cpu, cuda, xpu, mps"):
        resolve(Runtime(device="tpu"))


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("how", ["fails", "wrong"])
def test_one_that_fails_its_trial_is_passed_over_or_refused(
    monkeypatch: pytest.MonkeyPatch, compact: Weights, family: str, how: str
) -> None:
    device = pretend(monkeypatch, family)
    if how == "fails":
        device.unusable[0] = RuntimeError("no kernel image is available for execution on the device\nAdvice")
        why = "fails at its first convolution: no kernel image is available for execution on the device"
    else:
        device.wrong = {0}
        why = "computes wrong numbers in fp32"
    _, report = engine_on("auto", backend="torch").upscale(picture(photo(20, 20)), compact)
    assert report.device == "cpu"
    (note,) = report.notes
    assert note.startswith(f"computes on the CPU, though there is a graphics card: {NAMED[family][1]} (")
    assert note.endswith(why)
    with pytest.raises(DeviceUnavailable, match=why):
        resolve(Runtime(device=NAMED[family][0]))


@pytest.mark.parametrize("family", ["rocm", "xpu"])
def test_auto_takes_the_next_one_where_the_first_fails(monkeypatch: pytest.MonkeyPatch, family: str) -> None:
    device = pretend(monkeypatch, family, count=2)
    device.unusable[0] = RuntimeError("driver too old")
    place = resolve(Runtime())
    assert place.device == f"{NAMED[family][0]}:1"
    assert place.note.endswith("fails at its first convolution: driver too old")
    assert usable(NAMED[family][0]) == [f"{NAMED[family][0]}:1"]


@pytest.mark.parametrize("family", FAMILIES)
def test_one_whose_memory_is_taken_at_this_moment_is_no_worse_for_it(
    monkeypatch: pytest.MonkeyPatch, family: str
) -> None:
    device = pretend(monkeypatch, family)
    device.unusable[0] = SHORT[family]
    assert (resolve(Runtime()).device, resolve(Runtime()).note) == (NAMED[family][1], "")


def test_precisions_are_those_that_the_device_has(monkeypatch: pytest.MonkeyPatch) -> None:
    pretend(monkeypatch, "xpu")
    assert precisions(Runtime()) == ("fp32", "bf16", "fp16")
    pretend(monkeypatch, "mps")
    assert precisions(Runtime()) == ("fp32", "fp16")
    with pytest.raises(PrecisionUnavailable, match="mps has no bf16"):
        resolve(Runtime(), "bf16")
    with pytest.raises(DeviceUnavailable, match="winograd backend runs on the CPU only"):
        resolve(Runtime(backend="winograd"))


def test_an_intel_gpu_whose_driver_does_not_tell_its_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    device = pretend(monkeypatch, "xpu")

    def refuses(_: int) -> None:
        raise RuntimeError("The device (Intel(R) UHD) doesn't support querying the available free memory")

    device.xpu.mem_get_info = refuses
    place = resolve(Runtime())
    assert place.accelerator is not None
    held = place.accelerator.memory()
    assert (held.total, held.used, held.free) == (MEMORY, 300, MEMORY - 300 + 200)


def test_why_there_is_none_is_said_where_the_system_shows_one(monkeypatch: pytest.MonkeyPatch) -> None:
    nothing = pretend(monkeypatch, "mps", count=0)
    monkeypatch.setattr(accelerators, "intel_nodes", lambda: [Path("/sys/class/drm/renderD128/device")])
    assert resolve(Runtime()).note == "", "every desktop has such a GPU, and this torch was not built for it"
    nothing.version.xpu = "20260000"
    assert "the level-zero driver shows torch no Intel GPU" in resolve(Runtime()).note
    nothing.version.xpu = None
    monkeypatch.setattr(accelerators, "platform", SimpleNamespace(system=lambda: "Darwin", machine=lambda: "arm64"))
    assert resolve(Runtime()).note.endswith("torch was installed without support for it")
    with pytest.raises(
        DeviceUnavailable,
        match=r"no usable MPS device: torch was installed without support for it\. There is cpu alone",
    ):
        resolve(Runtime(device="mps"))
    monkeypatch.setattr(cuda_devices, "nodes", lambda: [Path("/dev/kfd")])
    cuda_devices.trouble.cache_clear()
    with pytest.raises(DeviceUnavailable, match="no usable CUDA device: torch was installed without support for it"):
        resolve(Runtime(device="cuda"))


@pytest.mark.parametrize("gray", [False, True])
@pytest.mark.parametrize("make", [RRDBNet, SRVGGNetCompact])
@pytest.mark.parametrize(("source", "output"), [("uint8", "uint8"), ("uint16", "uint16"), ("uint8", "float32")])
def test_nothing_of_a_call_stays_on_the_host(gray: bool, make: Any, source: str, output: str) -> None:
    """On torch's device without memory: a tensor of the host beside one of it raises."""
    network = make(features=16, **({"blocks": 1} if make is RRDBNet else {"convolutions": 1})).half()
    module = PixelModule(network, channels=3, compute=torch.float16).to("meta")
    channels = 1 if gray else 3
    dtype = torch.uint8 if source == "uint8" else torch.int16
    with torch.inference_mode():
        pixels = torch.empty(2, 8, 12, channels, dtype=dtype, device="meta")
        made, finite = _compute(module, pixels, Kind(8, 12, channels, source, output))
    assert (made.device.type, finite.device.type) == ("meta", "meta")
    assert made.shape == (2, 32, 48, channels)


def test_a_batch_is_sent_to_the_device(monkeypatch: pytest.MonkeyPatch, compact: Weights) -> None:
    """To torch's device without memory, which keeps what is sent there and cannot give it back."""
    device = pretend(monkeypatch, "xpu")
    network: Any = engine_on("auto").pool.get(compact)
    network.device = torch.device("meta")
    network.module.to("meta")
    window = Window(np.zeros((10, 12, 3), np.uint8), 0, 0, 40, 48, np.dtype(np.uint8))
    with pytest.raises((RuntimeError, NotImplementedError), match="meta"):
        list(network.run([window]))
    assert device.sources == {"meta"}
