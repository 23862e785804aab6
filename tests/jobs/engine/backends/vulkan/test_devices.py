"""Which Vulkan device a name means, what "auto" takes, and what is said where something is missing."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from benchmarks.family_seeds import seeded
from jobs.engine.backends.device import precisions, resolve
from jobs.engine.backends.foreign import foreign
from jobs.engine.backends.vulkan import devices
from jobs.engine.errors import DeviceUnavailable, PrecisionUnavailable
from jobs.engine.types import Runtime
from jobs.engine.upscaler import Upscaler
from modelstore.networks.checkpoint import load
from modelstore.networks.families import registry

Pretend = Callable[..., Upscaler]


def test_a_name_without_number_is_the_discrete_card(pretend: Pretend) -> None:
    pretend()
    place = resolve(Runtime(device="vulkan"))
    assert (place.device, place.name) == ("vulkan:1", "Pretended RX 580")
    assert (place.backend, place.precision) == ("vulkan", "fp16")
    assert place.kind == "vulkan"
    assert place.free_bytes() == 2048 << 20


@pytest.mark.parametrize(("device", "precision"), [("vulkan:0", "fp32"), ("vulkan:1", "fp16"), ("vulkan:2", "fp16")])
def test_auto_is_fp16_where_the_device_stores_it(device: str, precision: str, pretend: Pretend) -> None:
    pretend()
    assert resolve(Runtime(device=device)).precision == precision
    assert precisions(Runtime(device=device)) == (("fp32", "fp16") if precision == "fp16" else ("fp32",))


@pytest.mark.parametrize(
    ("runtime", "kind", "words"),
    [
        (Runtime(device="vulkan:3"), DeviceUnavailable, r"vulkan:3 .*vulkan:0 \(Pretended HD 4000\) and vulkan:1"),
        (Runtime(device="vulkan:x"), DeviceUnavailable, "vulkan:x"),
        (Runtime(device="vulkan:0", precision="fp16"), PrecisionUnavailable, "vulkan:0 has no fp16"),
        (Runtime(device="vulkan", precision="bf16"), PrecisionUnavailable, "vulkan:1 has no bf16"),
        (Runtime(device="vulkan", backend="openvino"), DeviceUnavailable, "the openvino backend does not run on"),
        (Runtime(device="vulkan", backend="reference"), DeviceUnavailable, "the reference backend does not run on"),
    ],
)
def test_what_is_not_there_is_refused_by_name(runtime: Runtime, kind: Any, words: str, pretend: Pretend) -> None:
    pretend()
    with pytest.raises(kind, match=words):
        resolve(runtime)


@pytest.mark.parametrize(
    ("failure", "words"),
    [
        ("no device", "no usable Vulkan device: vkCreateInstance failed -9. .*mesa-vulkan-drivers"),
        ("driver crashes", r"the Vulkan driver crashed \(SIGSEGV\)"),
    ],
)
def test_a_machine_without_device_is_told_what_helps(failure: str, words: str, pretend: Pretend) -> None:
    pretend(failure)
    with pytest.raises(DeviceUnavailable, match=f"the device vulkan was asked for, but .*{words}"):
        resolve(Runtime(device="vulkan"))
    assert resolve(Runtime()).kind != "vulkan"


def test_a_missing_package_is_told_with_its_command(pretend: Pretend, monkeypatch: pytest.MonkeyPatch) -> None:
    pretend()
    monkeypatch.setattr(devices, "find_spec", lambda name: None)
    with pytest.raises(DeviceUnavailable, match="the ncnn package is not installed; `make vulkan` installs it"):
        resolve(Runtime(device="vulkan"))
    assert resolve(Runtime()).kind != "vulkan"


@pytest.mark.skipif(torch.cuda.is_available(), reason="auto takes torch's own devices first")
def test_auto_takes_a_card_but_no_processor(pretend: Pretend) -> None:
    pretend()
    assert resolve(Runtime()).device == "vulkan:1"
    assert resolve(Runtime(backend="torch")).device == "cpu"
    assert resolve(Runtime(device="cpu")).device == "cpu"


@pytest.mark.skipif(torch.cuda.is_available(), reason="auto takes torch's own devices first")
def test_auto_never_takes_a_driver_that_computes_on_the_processor(pretend: Pretend) -> None:
    pretend("processor only")
    assert resolve(Runtime()).device == "cpu"
    assert resolve(Runtime(device="vulkan")).name == "llvmpipe (pretended)"


def test_a_real_driver_lists_its_devices(real: devices.VulkanDevice) -> None:
    assert real.name
    assert real.budget > 0
    assert real.type in ("discrete", "integrated", "virtual", "cpu")


def test_a_network_without_a_graph_is_the_cpus_for_auto_and_refused_by_a_named_device(
    pretend: Pretend, tmp_path: Path
) -> None:
    if not registry.available():
        pytest.skip("spandrel is not installed; `make families` does it")
    torch.save(seeded("SwinIR"), tmp_path / "SwinIR.pth")
    place = pretend().pool.place()
    network, spec = load(tmp_path / "SwinIR.pth")
    made = foreign(network, spec, place, runtime=Runtime(), named=False)
    assert (made.place.device, made.place.backend, made.place.precision) == ("cpu", "torch", "fp32")
    assert "it does not compute on vulkan:1, since it looks at its tensors in other shapes" in made.place.choice
    with pytest.raises(DeviceUnavailable, match="the SwinIR network does not compute on vulkan:1: it looks"):
        foreign(network, spec, place, runtime=Runtime(device="vulkan:1"), named=False)
