"""Weights files: what is understood, and what is refused by name."""

import os
import pickle
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from modelstore.networks import checkpoint
from modelstore.networks.errors import (
    ArchitectureUnknown,
    BlendMismatch,
    CheckpointUnreadable,
    CheckpointUnsafe,
    WeightsNotFinite,
)
from modelstore.networks.rrdbnet import RRDBNet
from modelstore.networks.srvgg import SRVGGNetCompact
from tests.jobs.engine.conftest import seeded


def same(one: torch.nn.Module, other: torch.nn.Module) -> bool:
    with torch.random.fork_rng(devices=[]), torch.inference_mode():
        torch.manual_seed(0)
        x = torch.rand(1, 3, 8, 8)
        return torch.equal(one(x), other(x))


@pytest.mark.parametrize(
    ("arguments", "scale", "mflop", "radius"),
    [
        ({}, 4, 35.85, 349),
        ({"unshuffle": 2}, 2, 8.97, 698),
        ({"blocks": 6}, 4, 11.41, 94),
        ({"blocks": 1, "unshuffle": 4}, 1, 0.2673, 76),
        ({"blocks": 1, "doublings": 1}, 2, 1.90, 19),
        ({"blocks": 1, "doublings": 3}, 8, 12.0, 19),
    ],
)
def test_an_rrdbnet_is_deduced_from_its_tensors(
    tmp_path: Path, arguments: dict[str, int], scale: int, mflop: float, radius: int
) -> None:
    network = seeded(lambda: RRDBNet(**arguments))
    torch.save({"params_ema": network.state_dict()}, tmp_path / "n.pth")
    loaded, spec = checkpoint.load(tmp_path / "n.pth")
    assert spec.architecture == "rrdbnet"
    assert spec.scale == scale
    assert spec.unshuffle == arguments.get("unshuffle", 1)
    assert spec.blocks == arguments.get("blocks", 23)
    assert spec.mflop_per_pixel == pytest.approx(mflop, rel=0.2 if "doublings" in arguments else 0.01)
    assert spec.receptive_radius is not None
    assert radius <= spec.receptive_radius <= radius + 1
    assert spec.exact_padding is not None
    assert spec.exact_padding % spec.unshuffle == 0
    assert not loaded.training
    assert same(network, loaded)


@pytest.mark.parametrize(("convolutions", "mflop", "radius"), [(16, 1.238, 18), (32, 2.418, 34)])
def test_a_compact_network_is_deduced_from_its_tensors(
    tmp_path: Path, convolutions: int, mflop: float, radius: int
) -> None:
    network = seeded(lambda: SRVGGNetCompact(convolutions=convolutions))
    save_file(network.state_dict(), tmp_path / "n.safetensors")
    loaded, spec = checkpoint.load(tmp_path / "n.safetensors")
    assert (spec.architecture, spec.scale, spec.blocks, spec.features) == ("srvggnet", 4, convolutions, 64)
    assert spec.receptive_radius == spec.exact_padding == radius
    assert spec.mflop_per_pixel == pytest.approx(mflop, rel=0.01)
    assert same(network, loaded)


def test_the_receptive_radius_is_true(tmp_path: Path) -> None:
    """One changed pixel changes the output exactly as far away as the spec says, at some alignment."""
    for unshuffle in (1, 2, 4):
        network = seeded(partial(RRDBNet, features=4, growth=4, blocks=1, unshuffle=unshuffle))
        torch.save(network.state_dict(), tmp_path / "n.pth")
        spec = checkpoint.inspect(tmp_path / "n.pth")
        assert spec.receptive_radius is not None
        side = 4 * ((2 * spec.receptive_radius + 40) // 4)
        reached = 0
        with torch.inference_mode():
            for offset in range(unshuffle):
                one = torch.rand(1, 3, 8, side, dtype=torch.float64)
                other = one.clone()
                place = side // 2 + offset
                other[:, :, :, place] += 0.5
                wide = network.double()
                changed = (wide(one) - wide(other)).abs().amax(dim=(0, 1, 2)) > 0
                columns = torch.nonzero(changed).flatten() // spec.scale
                reached = max(reached, place - int(columns.min()), int(columns.max()) - place)
        assert 0.9 * spec.receptive_radius <= reached <= spec.receptive_radius


def old_names(state: dict[str, Any]) -> dict[str, Any]:
    """Today's names as the first ESRGAN release had them."""
    tail = {"conv_up1": "model.3", "conv_up2": "model.6", "conv_hr": "model.8", "conv_last": "model.10"}
    renamed = {}
    for key, value in state.items():
        head, _, rest = key.partition(".")
        if head == "conv_first":
            renamed[f"model.0.{rest}"] = value
        elif head == "conv_body":
            renamed[f"model.1.sub.2.{rest}"] = value
        elif head == "body":
            block, dense, convolution, kind = rest.split(".")
            renamed[f"model.1.sub.{block}.{dense.upper()}.{convolution}.0.{kind}"] = value
        else:
            renamed[f"{tail[head]}.{rest}"] = value
    return renamed


def bsrgan_names(state: dict[str, Any]) -> dict[str, Any]:
    words = {"conv_body": "trunk_conv", "conv_up1": "upconv1", "conv_up2": "upconv2", "conv_hr": "HRconv"}
    renamed = {}
    for key, value in state.items():
        head, _, rest = key.partition(".")
        if head == "body":
            block, dense, tail = rest.split(".", 2)
            renamed[f"RRDB_trunk.{block}.{dense.upper()}.{tail}"] = value
        else:
            renamed[f"{words.get(head, head)}.{rest}"] = value
    return renamed


@pytest.mark.parametrize("rename", [old_names, bsrgan_names])
def test_old_key_names_are_understood(tmp_path: Path, rename: Any) -> None:
    network = seeded(lambda: RRDBNet(features=8, growth=4, blocks=2))
    torch.save(rename(network.state_dict()), tmp_path / "old.pth")
    loaded, spec = checkpoint.load(tmp_path / "old.pth")
    assert (spec.blocks, spec.scale) == (2, 4)
    assert same(network, loaded)


def test_the_averaged_weights_are_preferred(tmp_path: Path) -> None:
    wanted = seeded(lambda: SRVGGNetCompact(features=4, convolutions=1), seed=1)
    other = seeded(lambda: SRVGGNetCompact(features=4, convolutions=1), seed=2)
    torch.save({"params": other.state_dict(), "params_ema": wanted.state_dict()}, tmp_path / "n.pth")
    assert same(checkpoint.load(tmp_path / "n.pth")[0], wanted)


def test_half_precision_files_are_widened(tmp_path: Path) -> None:
    network = seeded(lambda: SRVGGNetCompact(features=4, convolutions=1))
    save_file({key: value.half() for key, value in network.state_dict().items()}, tmp_path / "n.safetensors")
    loaded, _ = checkpoint.load(tmp_path / "n.safetensors")
    assert {parameter.dtype for parameter in loaded.parameters()} == {torch.float32}


def test_a_blend_mixes_two_files(tmp_path: Path) -> None:
    one = seeded(lambda: SRVGGNetCompact(features=4, convolutions=1), seed=1)
    two = seeded(lambda: SRVGGNetCompact(features=4, convolutions=1), seed=2)
    torch.save({"params": one.state_dict()}, tmp_path / "one.pth")
    torch.save({"params": two.state_dict()}, tmp_path / "two.pth")
    mixed, _ = checkpoint.load_blend(tmp_path / "one.pth", tmp_path / "two.pth", 0.25)
    for key, value in mixed.state_dict().items():
        torch.testing.assert_close(value, 0.25 * one.state_dict()[key] + 0.75 * two.state_dict()[key])
    torch.save({"params": SRVGGNetCompact(features=4, convolutions=2).state_dict()}, tmp_path / "other.pth")
    with pytest.raises(BlendMismatch, match=r"one\.pth and other\.pth"):
        checkpoint.load_blend(tmp_path / "one.pth", tmp_path / "other.pth", 0.5)


class Bomb:
    """A pickle that writes a file when it is loaded carelessly."""

    def __init__(self, path: str) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return (os.mkdir, (self.path,))


@pytest.mark.parametrize("zipped", [True, False])
def test_a_file_that_would_execute_code_is_refused_and_does_not(tmp_path: Path, zipped: bool) -> None:
    mark = tmp_path / "executed"
    torch.save({"params": Bomb(str(mark))}, tmp_path / "evil.pth", _use_new_zipfile_serialization=zipped)
    with pytest.raises(CheckpointUnsafe, match="execute code"):
        checkpoint.inspect(tmp_path / "evil.pth")
    assert not mark.exists()
    pickle.loads(pickle.dumps(Bomb(str(mark))))
    assert mark.exists()  # the bomb was a live one


def test_a_file_that_claims_more_than_it_holds_is_refused(tmp_path: Path) -> None:
    state = SRVGGNetCompact(features=4, convolutions=1).state_dict()
    state["body.2.weight"] = torch.ones(1).expand(100_000, 100_000, 3, 3)
    torch.save({"params": state}, tmp_path / "n.pth")
    with pytest.raises(CheckpointUnsafe, match="more numbers"):
        checkpoint.inspect(tmp_path / "n.pth")


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_damaged_numbers_are_refused(tmp_path: Path, value: float) -> None:
    state = SRVGGNetCompact(features=4, convolutions=1).state_dict()
    state["body.2.weight"][0, 0, 0, 0] = value
    save_file(state, tmp_path / "n.safetensors")
    with pytest.raises(WeightsNotFinite, match=r"body\.2\.weight"):
        checkpoint.inspect(tmp_path / "n.safetensors")


def test_missing_and_unknown_tensors_are_named(tmp_path: Path) -> None:
    state = RRDBNet(features=8, growth=4, blocks=1).state_dict()
    removed = {key: value for key, value in state.items() if key != "conv_hr.bias"}
    torch.save(removed, tmp_path / "a.pth")
    with pytest.raises(ArchitectureUnknown, match=r"lacks conv_hr\.bias"):
        checkpoint.inspect(tmp_path / "a.pth")
    torch.save({**state, "attention.weight": torch.ones(1)}, tmp_path / "b.pth")
    with pytest.raises(ArchitectureUnknown, match=r"unknown attention\.weight"):
        checkpoint.inspect(tmp_path / "b.pth")
    torch.save({"layer.weight": torch.ones(3, 3)}, tmp_path / "c.pth")
    with pytest.raises(ArchitectureUnknown, match="neither"):
        checkpoint.inspect(tmp_path / "c.pth")


@pytest.mark.parametrize("content", [b"", b"hello, I am no network", b"\x80\x02junk", b"PK\x03\x04junk" * 10])
def test_what_is_no_checkpoint_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "n.pth").write_bytes(content)
    with pytest.raises(CheckpointUnreadable, match=r"n\.pth"):
        checkpoint.inspect(tmp_path / "n.pth")


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
@pytest.mark.parametrize("share", [0.1, 0.5, 0.99])
def test_a_truncated_file_is_refused(tmp_path: Path, suffix: str, share: float) -> None:
    path = tmp_path / f"n{suffix}"
    state = SRVGGNetCompact(features=8, convolutions=1).state_dict()
    if suffix == ".pth":
        torch.save({"params": state}, path)
    else:
        save_file(state, path)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * share)])
    with pytest.raises(CheckpointUnreadable):
        checkpoint.inspect(path)


def test_the_format_is_decided_by_content_not_by_name(tmp_path: Path) -> None:
    torch.save({"params": SRVGGNetCompact(features=4, convolutions=1).state_dict()}, tmp_path / "n.safetensors")
    assert checkpoint.inspect(tmp_path / "n.safetensors").architecture == "srvggnet"


def test_the_genuine_file_loads_on_a_machine_without_cuda(real_weights: Path) -> None:
    spec = checkpoint.inspect(real_weights)
    assert (spec.architecture, spec.scale, spec.blocks, spec.parameters) == ("srvggnet", 4, 16, 621424)
