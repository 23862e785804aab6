"""Which card is taken, on a pretended one: what "auto" passes over is said; what was asked for is had or refused."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from jobs.engine.backends import cuda_devices
from jobs.engine.backends.device import precisions, resolve
from jobs.engine.errors import DeviceUnavailable, PrecisionUnavailable
from jobs.engine.types import Runtime, UpscaleOptions, Weights
from tests.jobs.engine.conftest import photo, picture
from tests.jobs.engine.pretended_cuda import MEMORY, PretendedCuda, engine_on, pretend


@pytest.fixture
def cuda(monkeypatch: pytest.MonkeyPatch) -> PretendedCuda:
    monkeypatch.setattr(cuda_devices, "nodes", lambda: [Path("/dev/nvidia0")])
    return pretend(monkeypatch)


def card(name: str, major: int, minor: int) -> SimpleNamespace:
    return SimpleNamespace(name=name, major=major, minor=minor, uuid=f"{name}-id", total_memory=MEMORY)


def test_auto_takes_the_card_and_knows_it_by_its_uuid(cuda: PretendedCuda) -> None:
    place = resolve(Runtime())
    assert (place.device, place.name, place.precision, place.note) == ("cuda:0", "Pretended", "fp16", "")
    assert place.uuid == "GPU-0000"
    assert place.free_bytes() == MEMORY
    assert precisions(Runtime()) == ("fp32", "bf16", "fp16")


@pytest.mark.parametrize(
    ("built_for", "major", "minor", "runs"),
    [
        (["sm_80", "sm_90"], 8, 0, True),
        (["sm_80", "sm_90"], 8, 9, True),  # binaries run on later cards of their generation
        (["sm_86", "sm_90"], 8, 0, False),
        (["sm_80", "sm_90"], 6, 1, False),
        (["sm_80", "sm_90"], 12, 0, False),
        (["sm_80", "compute_90"], 12, 0, True),  # the driver compiles intermediate code for later ones
        (["sm_80", "compute_90"], 7, 5, False),
        (["sm_90a"], 9, 0, True),
        (["sm_100a"], 10, 3, False),
        ([], 5, 0, True),  # it does not tell
    ],
)
def test_a_card_without_kernels_is_not_taken(
    cuda: PretendedCuda, built_for: list[str], major: int, minor: int, runs: bool
) -> None:
    cuda.architectures, cuda.cards = built_for, [card("Some", major, minor)]
    place = resolve(Runtime())
    if runs:
        assert (place.device, place.note) == ("cuda:0", "")
        return
    assert place.device == "cpu"
    assert place.note.startswith("computes on the CPU, though there is a graphics card: cuda:0 (Some, sm_")
    with pytest.raises(DeviceUnavailable, match=r"Some, sm_\d+\) has no kernels in this torch"):
        resolve(Runtime(device="cuda"))


def test_the_next_card_is_taken_where_the_first_has_no_kernels(cuda: PretendedCuda) -> None:
    cuda.cards = [card("Old", 5, 2), card("New", 9, 0)]
    place = resolve(Runtime())
    assert (place.device, place.uuid) == ("cuda:1", "GPU-New-id")
    assert "Old, sm_52" in place.note


def test_an_amd_card_is_known_by_its_own_names(cuda: PretendedCuda) -> None:
    cuda.version = SimpleNamespace(cuda=None, hip="7.0")
    cuda.architectures = ["gfx90a", "gfx942"]
    cuda.cards[0].gcnArchName = "gfx942:sramecc+:xnack-"
    assert resolve(Runtime()).device == "cuda:0"
    cuda.cards[0].gcnArchName = "gfx803"
    assert "gfx803) has no kernels" in resolve(Runtime()).note


def test_auto_says_why_it_computes_on_the_cpu_when_the_driver_fails(cuda: PretendedCuda, compact: Weights) -> None:
    cuda.driver_error = "The NVIDIA driver on your system is too old (found version 12040).\nPlease update"
    engine = engine_on("auto", backend="torch", precision="fp32")
    _, report = engine.upscale(picture(photo(20, 20)), compact)
    assert report.device == "cpu"
    why = "The NVIDIA driver on your system is too old (found version 12040)."
    assert report.notes == (f"computes on the CPU, though there is a graphics card: {why}",)
    with pytest.raises(DeviceUnavailable, match="no usable CUDA device: The NVIDIA driver"):
        resolve(Runtime(device="cuda"))


def test_auto_says_so_when_torch_was_built_without_cuda(cuda: PretendedCuda) -> None:
    cuda.cards, cuda.version = [], SimpleNamespace(cuda=None, hip=None)
    assert resolve(Runtime()).note.endswith("torch was installed without support for it")


def test_no_card_and_a_hidden_card_are_no_trouble(cuda: PretendedCuda, monkeypatch: pytest.MonkeyPatch) -> None:
    cuda.driver_error = "No CUDA GPUs are available"  # what CUDA_VISIBLE_DEVICES= leads to
    assert (resolve(Runtime()).device, resolve(Runtime()).note) == ("cpu", "")
    cuda.driver_error = "Found no NVIDIA driver on your system"
    cuda_devices.trouble.cache_clear()
    monkeypatch.setattr(cuda_devices, "nodes", list)
    assert resolve(Runtime()).note == ""


def test_the_reference_refuses_bf16_on_a_card_as_it_does_on_a_cpu(cuda: PretendedCuda) -> None:
    """It would compute in fp32 and report bf16."""
    with pytest.raises(PrecisionUnavailable, match="fp32 or fp16"):
        resolve(Runtime(backend="reference"), "bf16")
    assert precisions(Runtime(backend="reference")) == ("fp32", "fp16")


def test_what_recorded_calls_hold_is_not_free_for_others(cuda: PretendedCuda, compact: Weights) -> None:
    engine = engine_on("cuda", precision="fp32")
    network: Any = engine.pool.get(compact)
    network.batch = 1
    place = network.place
    before = place.free_bytes()
    for _ in range(2):
        engine.upscale(picture(photo(300, 40)), compact, UpscaleOptions(tile_size=32))
    assert cuda.pools
    assert place.free_bytes() == before - sum(cuda.pools.values())
    assert engine.pool.release()
    assert place.free_bytes() == before


@pytest.mark.slow
def test_a_cut_picture_has_windows_of_few_shapes(cuda: PretendedCuda, compact: Weights) -> None:
    """cuDNN keeps a plan for every shape that it has seen."""
    engine = engine_on("cuda", precision="fp32")
    network: Any = engine.pool.get(compact)
    for width in range(100, 140, 3):
        engine.upscale(picture(photo(width, 60)), compact, UpscaleOptions(tile_size=40))
    shapes = {(kind.height, kind.width) for kind, _ in network.executor.graph_cache._seen}
    assert shapes == {(64, 64)}
