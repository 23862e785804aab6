"""Networks of other families: read, measured, and refused by name."""

import random
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from benchmarks.family_seeds import SEEDS, seeded
from jobs.engine.backends import reference_imports
from jobs.engine.types import UpscaleOptions, Weights
from modelstore.networks import checkpoint
from modelstore.networks.errors import ArchitectureUnknown, CheckpointUnsafe, NetworkError, WeightsNotFinite
from modelstore.networks.families import foreign, measurement, registry
from modelstore.networks.spec import NetworkSpec
from tests.jobs.engine.conftest import photo, picture, upscaler
from tests.service import REPOSITORY

pytestmark = [
    pytest.mark.usefixtures("one_thread"),
    pytest.mark.skipif(not registry.available(), reason="spandrel is not installed; `make families` does it"),
]

#: Trained and shared today, with the period of their windows where they have any.
TRAINED = {
    "ATD": 8, "DAT": 8, "DRCT": 16, "FDAT": None, "HAT": 8, "MoSR": 1, "OmniSR": 8, "PLKSR": 1, "RCAN": 1,
    "RealCUGAN": 2, "SAFMN": 8, "SPAN": 1, "Swin2SR": 8, "SwinIR": 8,
}  # fmt: skip


def save(path: Path, state: dict[str, Tensor]) -> Path:
    torch.save({"params_ema": state}, path)
    return path


def spec_of(family: str, **changes: Any) -> NetworkSpec:
    return measurement.measure(*foreign.recognise(seeded(family, **changes)))


def test_every_family_of_the_package_has_a_small_network() -> None:
    assert sorted(SEEDS, key=str.lower) == registry.names()


@pytest.mark.parametrize("family", TRAINED)
def test_a_picture_in_tiles_comes_as_near_as_was_measured(family: str, tmp_path: Path) -> None:
    path = save(tmp_path / "n.pth", seeded(family))
    _, spec = checkpoint.load(path)
    assert spec.architecture == family
    assert spec.traits is not None
    if TRAINED[family] is not None:
        assert spec.traits.multiple == TRAINED[family]
    assert NetworkSpec.from_table(asdict(spec)) == spec
    weights = Weights("n", path, spec=spec)
    shot = picture(photo(97, 71))
    whole, _ = upscaler().upscale(shot, weights, UpscaleOptions(tile_size=0))
    tiled, report = upscaler().upscale(shot, weights, UpscaleOptions(tile_size=48))
    assert whole.frames[0].color.shape == (71 * spec.scale, 97 * spec.scale, 3)
    assert report.tiles > 1
    assert (report.backend, report.tile_pad) == ("torch", spec.traits.padding)
    apart = whole.frames[0].color.astype(float) - tiled.frames[0].color
    decibels = -10 * np.log10(max(1e-9, float(np.mean((apart / 255) ** 2))))
    # Another picture than the one that was measured, smaller, and rounded to 8 bit, which alone is 59 dB.
    if spec.traits.tiling != "whole":
        assert decibels > min(59.0, (spec.traits.seam or 99.0) - 12)


def test_what_a_network_sees_is_found_out() -> None:
    assert spec_of("DnCNN").receptive_radius == 7  # a radius of one for each convolution
    assert spec_of("Compact").receptive_radius == 8
    assert spec_of("RealCUGAN").receptive_radius is None  # it weighs channels by their mean over the picture


def test_a_network_that_needs_the_whole_picture_is_known_by_its_tiles(monkeypatch: pytest.MonkeyPatch) -> None:
    """None of the seeded ones does; this one takes its brightness from the first pixel that it sees."""
    network, facts = foreign.recognise(seeded("DnCNN"))
    monkeypatch.setattr(network, "compute", lambda x: x + x[:, :, :1, :1] - 0.5)
    traits = measurement.measure(network, facts).traits
    assert traits is not None
    assert traits.tiling == "whole"
    assert traits.seam is not None
    assert traits.seam < 40


def test_bytes_and_operations_are_counted(tmp_path: Path) -> None:
    """Beside our own numbers for the same network."""
    state = seeded("Compact")
    counted = measurement.measure(*foreign.recognise(state))
    _, known = checkpoint.load(save(tmp_path / "n.pth", state))
    assert known.traits is None  # ours, and so the fast kernels compute it
    assert counted.mflop_per_pixel == pytest.approx(known.mflop_per_pixel)
    assert counted.parameters == known.parameters
    assert counted.scale == known.scale
    assert counted.traits is not None
    # Two tensors of 24 features at the peak, or the result and what it is made from; and the copy of the input.
    assert 2 * 4 * 24 <= counted.traits.bytes_per_pixel <= 4 * (2 * 48 + 3 + 3)


@pytest.mark.parametrize(
    ("family", "changes", "scale", "channels"),
    [
        ("DnCNN", {}, 1, 3),
        ("DnCNN", {"in_nc": 1, "out_nc": 1}, 1, 1),
        ("ESRGAN", {"in_nc": 4, "out_nc": 4}, 4, 3),
        ("SPAN", {"upscale": 4}, 4, 3),
    ],
    ids=["restorer", "gray", "RGBA", "x4"],
)
@pytest.mark.parametrize("shown", [1, 3])
def test_channels_and_scales_of_every_kind(
    family: str, changes: dict[str, Any], scale: int, channels: int, shown: int, tmp_path: Path
) -> None:
    path = save(tmp_path / "n.pth", seeded(family, **changes))
    _, spec = checkpoint.load(path)
    assert (spec.scale, spec.channels) == (scale, channels)
    pixels = photo(40, 33, channels=shown, bits=16)
    made, report = upscaler().upscale(picture(pixels), Weights("n", path, spec=spec))
    assert made.frames[0].color.shape == (33 * scale, 40 * scale, shown)
    assert made.frames[0].color.dtype == np.uint16
    assert report.scale == scale


def test_a_known_network_is_not_measured_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = save(tmp_path / "n.pth", seeded("SPAN"))
    first, spec = checkpoint.load(path)
    monkeypatch.setattr(checkpoint, "measure", None)
    monkeypatch.setattr(checkpoint, "recognise", None)
    again, same = checkpoint.load(path, spec=spec)
    assert same is spec
    x = measurement.texture(3, 32)
    with torch.inference_mode():
        assert torch.equal(first(x), again(x))


@pytest.mark.parametrize(
    ("family", "says"),
    [
        ("LaMa", "fills holes"),
        ("GFPGAN", "faces that were cut out before"),
        ("RestoreFormer", "faces that were cut out before"),
        ("AuraSR", "another picture each time"),
    ],
)
def test_families_that_take_no_plain_picture_are_refused_by_name(family: str, says: str) -> None:
    with pytest.raises(ArchitectureUnknown, match=f"(?s){family}.*{says}|{says}.*{family}"):
        measurement.measure(*foreign.recognise(seeded(family)))


def test_a_file_of_two_families_is_refused_by_both_names(tmp_path: Path) -> None:
    both = {**seeded("SPAN"), **seeded("MoSR")}
    with pytest.raises(ArchitectureUnknown, match=r"looks like (SPAN|MoSR), but: Unexpected key"):
        checkpoint.load(save(tmp_path / "n.pth", both))


def test_a_name_that_counts_too_many_blocks_is_refused_before_they_are_built(tmp_path: Path) -> None:
    state = {**seeded("PLKSR"), "feats.999999999.weight": torch.zeros(1)}
    with pytest.raises(ArchitectureUnknown, match="counts more than 4096 blocks"):
        checkpoint.load(save(tmp_path / "n.pth", state))


def test_numbers_that_are_none_are_refused(tmp_path: Path) -> None:
    state = seeded("SPAN")
    state["conv_1.sk.bias"] = torch.full_like(state["conv_1.sk.bias"], torch.nan)
    with pytest.raises(WeightsNotFinite, match=r"conv_1\.sk\.bias"):
        checkpoint.load(save(tmp_path / "n.pth", state))
    huge = {key: value * 1e30 if value.is_floating_point() else value for key, value in seeded("SPAN").items()}
    with pytest.raises(WeightsNotFinite, match="came back with NaN or infinity"):
        checkpoint.load(save(tmp_path / "n.pth", huge))


def test_a_tensor_larger_than_its_file_is_refused(tmp_path: Path) -> None:
    state = {**seeded("SPAN"), "extra": torch.zeros(1).expand(1 << 34)}
    with pytest.raises(CheckpointUnsafe, match="more numbers than the file holds"):
        checkpoint.load(save(tmp_path / "n.pth", state))


def test_without_the_package_a_refusal_says_how_to_get_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = save(tmp_path / "n.pth", seeded("SPAN"))
    spec = checkpoint.inspect(path)
    monkeypatch.setattr(registry, "find_spec", lambda _: None)
    for known in (None, spec):
        with pytest.raises(ArchitectureUnknown, match="make families"):
            checkpoint.load(path, spec=known)


@pytest.mark.processes
@pytest.mark.parametrize("before", ["", "from jobs.engine.backends.reference_imports import load; load(); "])
def test_the_stand_ins_come_and_go_beside_those_of_the_reference(before: str) -> None:
    """In a process of its own: modules are imported once."""
    if before and not reference_imports.available():
        pytest.skip("the realesrgan package is not installed")
    look = "{name: id(module) for name, module in sys.modules.items() if name.startswith('torchvision')}"
    code = f"import sys; {before}had = {look}; from modelstore.networks.families import registry; "
    code += f"assert len(registry.names()) > 40; assert had == {look}"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=REPOSITORY)


def test_a_stand_in_that_is_called_says_what_it_is() -> None:
    with registry._torchvision():
        functional = sys.modules["torchvision.transforms.functional"]
    with pytest.raises(NotImplementedError, match="stand-in for torchvision"):
        functional.normalize(torch.zeros(1), 0, 1)


def test_branches_of_span_are_merged_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """And not in every call, where it took most of the time of a small picture."""
    network, _ = foreign.recognise(seeded("SPAN"))
    monkeypatch.setattr(foreign, "_merged", lambda model: model)
    plain, _ = foreign.recognise(seeded("SPAN"))
    x = measurement.texture(3, 32)
    weights = {name: value.clone() for name, value in network.state_dict().items()}
    with torch.inference_mode():
        assert torch.equal(network(x), plain(x))
    assert all(torch.equal(value, weights[name]) for name, value in network.state_dict().items())
    merging = [module for module in network.modules() if hasattr(module, "update_params")]
    assert len(merging) > 10
    assert {module.update_params for module in merging} == {foreign._nothing}


def test_trainers_prefixes_are_dropped() -> None:
    for prefix in ("module.", "netG."):
        _, facts = foreign.recognise({prefix + key: value for key, value in seeded("SPAN").items()})
        assert facts.family == "SPAN"


def _mutated(state: dict[str, Tensor], dice: random.Random) -> dict[str, Tensor]:
    made = dict(state)
    for _ in range(dice.choice((1, 1, 2, 5))):
        key = dice.choice(sorted(made))
        value = made.pop(key)
        kind = dice.randrange(7)
        if kind == 0:
            made[key[:-1]] = value
        elif kind == 1:
            made[key] = value.flatten()
        elif kind == 2:
            made[key] = value.unsqueeze(0)
        elif kind == 3 and value.dim():
            made[key] = torch.cat((value, value))
        elif kind == 4 and value.dim():
            made[key] = value[:0]
        elif kind == 5:
            made[key] = value.to(dice.choice((torch.int64, torch.bool, torch.bfloat16)))
        # else: it is missing
    return made


@pytest.mark.parametrize("family", TRAINED)
def test_mutated_files_end_in_networks_or_in_errors_of_ours(family: str) -> None:
    """24 of each of 14 families, 336 in all."""
    dice = random.Random(family)
    state = seeded(family)
    outcomes: set[type] = set()
    for _ in range(24):
        try:
            network, facts = foreign.recognise(_mutated(state, dice))
        except NetworkError as error:
            outcomes.add(type(error))
        else:
            assert isinstance(network, foreign.ForeignNetwork)
            outcomes.add(type(facts))
    assert ArchitectureUnknown in outcomes


def test_a_network_leaves_its_input_as_it_is() -> None:
    """RCAN without norms multiplies in place: a second look at the same pixels saw others, and measured nonsense."""
    network, _ = foreign.recognise(seeded("RCAN"))
    pixels = torch.rand(1, 3, 24, 32)
    before = pixels.clone()
    with torch.inference_mode():
        first, second = network(pixels), network(pixels)
    assert torch.equal(pixels, before)
    assert torch.equal(first, second)


def test_a_precision_that_fails_at_another_size_is_not_borne() -> None:
    """GRL's tables for a new size are fp32 beside weights in bf16: jobs in bf16 ended in an internal error."""
    network, facts = foreign.recognise(seeded("GRL"))
    assert "bf16" in facts.precisions
    with torch.inference_mode():
        assert list(measurement._precisions(network, facts, 64)) == ["fp32"]
