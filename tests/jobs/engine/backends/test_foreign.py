"""Networks of other families in the engine: by torch, in what they bear, and by no backend that does not know them."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from benchmarks.family_seeds import SEEDS, seeded
from jobs.engine.backends import device
from jobs.engine.backends.accelerator import Accelerator, Memory
from jobs.engine.backends.base import Window
from jobs.engine.backends.device import ComputeDevice, Kind
from jobs.engine.backends.network_cache import NetworkPool
from jobs.engine.backends.torch_backend import TorchNetwork
from jobs.engine.errors import DeviceUnavailable, PrecisionUnavailable
from jobs.engine.tiling import cost
from jobs.engine.types import Frame, Picture, Runtime, UpscaleOptions, Weights
from jobs.engine.upscaler import Upscaler
from modelstore.networks import checkpoint
from modelstore.networks.families import registry
from modelstore.networks.families.foreign import recognise
from modelstore.networks.families.measurement import bears_channels_last
from modelstore.networks.spec import NetworkSpec, Traits
from tests.jobs.engine.conftest import difference, photo, picture, upscaler
from tests.jobs.engine.test_chains import by_hand

pytestmark = [
    pytest.mark.usefixtures("one_thread"),
    pytest.mark.skipif(not registry.available(), reason="spandrel is not installed; `make families` does it"),
]


def weights_of(folder: Path, family: str) -> Weights:
    path = folder / f"{family}.pth"
    torch.save(seeded(family), path)
    return Weights(family, path, spec=checkpoint.inspect(path))


@pytest.fixture(scope="module")
def span(tmp_path_factory: pytest.TempPathFactory) -> Weights:
    return weights_of(tmp_path_factory.mktemp("families"), "SPAN")


@pytest.mark.parametrize("backend", ["winograd", "openvino", "reference"])
def test_a_backend_that_computes_our_own_two_says_so(span: Weights, backend: Any) -> None:
    machine = upscaler(backend)  # skips where the backend is not there
    with pytest.raises(DeviceUnavailable, match=f"{backend} backend computes RRDBNet and SRVGGNetCompact only.*SPAN"):
        machine.upscale(picture(photo(20, 20)), span)


def test_a_restorer_of_another_family_goes_before_a_network_of_our_own(tmp_path: Path, compact: Weights) -> None:
    """In one chain by two kinds of network; as one after the other by hand, in float."""
    clean = weights_of(tmp_path, "DnCNN")
    pixels = photo(48, 36)
    made, report = upscaler().upscale(picture(pixels), (clean, compact))
    assert [(member.model, member.scale) for member in report.members] == [("DnCNN", 1), ("compact-x4", 4)]
    assert difference(made.frames[0].color, by_hand((clean, compact), pixels)) <= 1
    assert report.choice.startswith("DnCNN: torch fp32; ")  # why this one is computed so; ours was asked for by name


REFUSED = {"AuraSR", "GFPGAN", "LaMa", "RestoreFormer"}


@pytest.mark.parametrize("family", sorted(set(SEEDS) - REFUSED))
def test_every_family_computes_a_window(family: str) -> None:
    """Without its measurement: what is accepted must compute, whatever the ranks of its tensors."""
    network, facts = recognise(seeded(family))
    side = -(-max(32, facts.minimum) // facts.multiple) * facts.multiple
    in_order = bears_channels_last(network, facts, side)
    assert in_order != (family in {"FFTformer", "IPT"})  # tensors of five dimensions; a view
    traits = Traits(facts.multiple, "blended", 8, 50.0, ("fp32",), 1.0, 1.0, 1.0, in_order, facts.purpose)
    spec = NetworkSpec(family, facts.scale, facts.channels, 0, 0, 0, 1, None, 1.0, 1, traits)
    place = ComputeDevice("cpu", "a processor", "torch", "fp32")
    height, width = (-(-side // spec.align) * spec.align for side in (24, 40))
    window = Window(photo(width, height), 0, 0, height * spec.scale, width * spec.scale, np.dtype(np.uint8))
    (block,) = TorchNetwork(network, spec, place).run([window])
    assert block.finite
    assert block.pixels.shape == (height * spec.scale, width * spec.scale, 3)


def test_torch_by_name_computes_it_and_says_so(span: Weights) -> None:
    made, report = Upscaler(NetworkPool(Runtime(device="cpu", backend="torch"))).upscale(picture(photo(40, 30)), span)
    assert (made.width, made.height) == (80, 60)
    assert (report.backend, report.choice) == ("torch", "torch fp32; the only backend for SPAN")


@pytest.mark.parametrize("family", ["SPAN", "SwinIR"])
def test_auto_measures_what_computes_it_here_and_comes_near_to_torch(family: str, tmp_path: Path) -> None:
    weights = weights_of(tmp_path, family)
    shot = picture(photo(67, 43))
    made, report = Upscaler(NetworkPool(Runtime(device="cpu"))).upscale(shot, weights)
    exact, _ = Upscaler(NetworkPool(Runtime(device="cpu", backend="torch", precision="fp32"))).upscale(shot, weights)
    assert report.choice.startswith(f"{report.backend} {report.precision}")
    assert (report.backend == "openvino") <= (family == "SPAN")  # it would fix the windows of the other
    apart = (made.frames[0].color.astype(float) - exact.frames[0].color) / 255
    assert np.mean(apart**2) < 10 ** (-48 / 10)  # 50 dB on the texture of the trial


def test_what_differs_at_another_size_is_no_candidate(span: Weights, monkeypatch: pytest.MonkeyPatch) -> None:
    """As a network whose windows were fixed at the size of its conversion."""
    from jobs.engine.backends import openvino_backend

    true = openvino_backend.OpenVinoGraphs.compute

    def compute(self: Any, pixels: Any, dtype: Any) -> Any:
        out, finite = true(self, pixels, dtype)
        return (out if pixels.shape[0] == pixels.shape[1] else out[::-1]), finite

    monkeypatch.setattr(openvino_backend.OpenVinoGraphs, "compute", compute)
    _, report = Upscaler(NetworkPool(Runtime(device="cpu"))).upscale(picture(photo(30, 30)), span)
    assert report.backend == "torch"


def test_a_precision_that_the_network_does_not_bear_is_refused_by_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    weights = weights_of(tmp_path, "SwinIR")
    assert weights.spec is not None
    assert not weights.spec.bears("bf16")
    monkeypatch.setattr("jobs.engine.backends.device.cpu_has_bf16", lambda: True)
    machine = Upscaler(NetworkPool(Runtime(device="cpu", precision="auto", backend="torch")))
    with pytest.raises(PrecisionUnavailable, match="SwinIR with these weights does not come to 50 dB of fp32 in bf16"):
        machine.upscale(picture(photo(20, 20)), weights, UpscaleOptions(precision="bf16"))
    lower = Upscaler(NetworkPool(Runtime(device="cpu", precision="bf16", backend="torch")))
    _, report = lower.upscale(picture(photo(20, 20)), weights)
    assert report.precision == "fp32"  # the operator's wish is for what can bear it
    assert "does not come to 50 dB of fp32 in bf16" in report.choice
    with pytest.raises(PrecisionUnavailable, match="does not come to 50 dB of fp32 in bf16"):
        lower.upscale(picture(photo(20, 20)), weights, UpscaleOptions(precision="bf16"))  # loaded already


def test_auto_computes_it_on_the_cpu_where_torch_has_no_part_in_the_device(
    span: Weights, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = Accelerator(
        "openvino-gpu", "openvino-gpu:0", "Arc", ("fp32", "fp16"), lambda: Memory(0, 0, 0), by_torch=False
    )
    kind = Kind("OpenVINO GPU", lambda: 1, lambda **_: "", lambda _: one, lambda _: "", device._by_openvino)
    monkeypatch.setattr(device, "_KINDS", {"openvino-gpu": kind})
    machine = Upscaler(NetworkPool(Runtime()))
    assert machine.pool.place().device == "openvino-gpu:0"
    _, report = machine.upscale(picture(photo(20, 20)), span)
    assert (report.device, report.backend, report.precision) == ("cpu", "torch", "fp32")
    assert report.choice == "torch fp32; the only backend for SPAN, which does not compute on openvino-gpu:0"
    with pytest.raises(PrecisionUnavailable, match="use fp32"):
        machine.upscale(picture(photo(20, 20)), span, UpscaleOptions(precision="fp16"))
    named = Upscaler(NetworkPool(Runtime(device="openvino-gpu")))
    with pytest.raises(DeviceUnavailable, match=r"the openvino \(on openvino-gpu:0\) backend computes RRDBNet and"):
        named.upscale(picture(photo(20, 20)), span)


def test_one_that_wants_the_whole_picture_is_cut_only_where_memory_is_short(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    weights = weights_of(tmp_path, "RCAN")
    spec = weights.spec
    assert spec is not None
    assert spec.traits is not None
    # None of the seeded networks wants it: what came of its tiles is put here.
    weights = replace(weights, spec=replace(spec, traits=replace(spec.traits, tiling="whole", seam=20.0)))
    shot = picture(photo(120, 90))
    _, report = upscaler().upscale(shot, weights)
    assert (report.tiles, report.notes) == (1, ())
    monkeypatch.setattr("jobs.engine.backends.device.free_host_bytes", lambda: 30_000_000)
    _, report = upscaler().upscale(shot, weights)
    assert report.tiles > 1
    assert [note for note in report.notes if "wants the whole picture: memory is short" in note]


def test_alpha_and_a_single_pixel_pass_through(span: Weights) -> None:
    alpha = np.tile(np.linspace(0, 255, 30).astype(np.uint8), (20, 1))
    made, _ = upscaler().upscale(Picture("png", (Frame(photo(30, 20), alpha),)), span)
    assert made.frames[0].alpha is not None
    assert made.frames[0].alpha.shape == (40, 60)
    dot, _ = upscaler().upscale(picture(photo(1, 1)), span)
    assert (dot.width, dot.height) == (2, 2)


def test_the_plan_counts_with_what_was_measured(span: Weights) -> None:
    spec = span.spec
    assert spec is not None
    assert spec.traits is not None
    assert cost.default_pad(spec) == spec.traits.padding
    assert cost.network_bytes(spec, 1000) == int(1.5 * spec.traits.bytes_per_pixel * 1000)
    assert cost.largest_window(spec) == int((2**31 - 1) / spec.traits.widest)
    estimate = cost.estimate(spec, width=500, height=400)
    assert estimate.gflop >= 500 * 400 * spec.mflop_per_pixel / 1e3
