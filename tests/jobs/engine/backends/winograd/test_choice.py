"""Who computes by Winograd, who does not, and what is said about it."""

from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from jobs.engine.backends import openvino_trial
from jobs.engine.backends.device import cpu_has_bf16, lacks_kernels, resolve
from jobs.engine.backends.network_cache import NetworkPool
from jobs.engine.backends.selection import candidate
from jobs.engine.backends.winograd import choice, library, plan
from jobs.engine.backends.winograd.library import NotBuilt
from jobs.engine.backends.winograd.variants import variants
from jobs.engine.errors import Cancelled, DeviceUnavailable, PrecisionUnavailable
from jobs.engine.types import Runtime, UpscaleOptions, Weights
from jobs.engine.upscaler import Upscaler
from modelstore.networks.srvgg import SRVGGNetCompact
from tests.jobs.engine.conftest import difference, photo, picture, save_network, seeded, upscaler

NEXT = "torch" if openvino_trial.trouble() else "openvino"


@pytest.fixture
def there(best: library.Library, monkeypatch: pytest.MonkeyPatch) -> None:
    """The kernels, as if they were built beside the package."""
    monkeypatch.setattr(library, "load", lambda: best)
    monkeypatch.setattr(choice, "load", lambda: best)


def unable(monkeypatch: pytest.MonkeyPatch, error: OSError) -> None:
    def load() -> None:
        raise error

    monkeypatch.setattr(library, "load", load)


@pytest.mark.usefixtures("there")
def test_auto_takes_winograd_where_it_computes_in_fp32() -> None:
    assert resolve(Runtime(device="cpu", precision="fp32")).backend == "winograd"
    place = resolve(Runtime(device="cpu", backend="winograd"))
    assert (place.backend, place.precision) == ("winograd", "fp32")


@pytest.mark.parametrize("units", [(), ("avx512_bf16",), ("amx_bf16", "avx512_bf16")])
@pytest.mark.usefixtures("there")
def test_before_a_network_is_known_auto_is_in_fp32(monkeypatch: pytest.MonkeyPatch, units: tuple[str, ...]) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: dict.fromkeys(units, True))
    place = resolve(Runtime(device="cpu"))
    assert (place.backend, place.precision) == ("winograd", "fp32")
    if units:
        assert resolve(Runtime(device="cpu", precision="bf16")).precision == "bf16"  # asked for by name
    unable(monkeypatch, library.NotBuilt("not built"))
    without = resolve(Runtime(device="cpu"))
    assert (without.backend, without.precision) == (NEXT, "fp32")


@pytest.mark.usefixtures("there")
def test_a_job_is_upscaled_by_winograd_and_the_report_says_so(compact: Weights) -> None:
    shot = picture(photo(50, 40))
    made, report = upscaler("winograd").upscale(shot, compact)
    wanted, _ = upscaler("torch").upscale(shot, compact)
    assert (report.backend, report.precision, report.notes) == ("winograd", "fp32", ())
    assert difference(made.frames[0].color, wanted.frames[0].color) <= 1


@pytest.mark.usefixtures("there")
def test_what_it_cannot_do_is_refused_by_name() -> None:
    with pytest.raises(PrecisionUnavailable, match="winograd"):
        resolve(Runtime(device="cpu", backend="winograd", precision="bf16" if cpu_has_bf16() else "fp16"))
    if torch.cuda.is_available():
        with pytest.raises(DeviceUnavailable, match="CPU only"):
            resolve(Runtime(device="cuda", backend="winograd"))


def test_auto_says_nothing_where_nothing_was_built(monkeypatch: pytest.MonkeyPatch) -> None:
    unable(monkeypatch, NotBuilt("not built"))
    place = resolve(Runtime(device="cpu", precision="fp32"))
    assert place.backend == NEXT
    assert "winograd" not in place.note
    with pytest.raises(DeviceUnavailable, match="not built"):
        resolve(Runtime(device="cpu", backend="winograd"))


@pytest.mark.parametrize(
    ("runtime", "told"),
    [
        (Runtime(device="cpu"), "computes more slowly than it could: not built; do this"),
        (Runtime(device="cpu", backend="torch"), ""),
        (Runtime(device="cpu", backend="openvino"), ""),
    ],
    ids=["auto", "torch by name", "OpenVINO by name"],
)
def test_a_worker_is_told_that_nothing_was_built(
    monkeypatch: pytest.MonkeyPatch, runtime: Runtime, told: str, best: library.Library
) -> None:
    place = resolve(Runtime(device="cpu", backend="torch", precision="fp32"))
    for error, expected in ((NotBuilt("not built; do this"), told), (OSError("stale"), "")):
        unable(monkeypatch, error)
        assert lacks_kernels(runtime, place) == expected
    monkeypatch.setattr(library, "load", lambda: best)
    assert lacks_kernels(runtime, place) == ""


def test_what_to_do_about_it_names_both_compilers(tmp_path: Path) -> None:
    if not variants():
        pytest.skip("no kernels for this architecture")
    with pytest.raises(NotBuilt, match=r"`make kernels` builds .*`make kernels CC=zig`"):
        library.load(tmp_path)


def test_auto_says_that_a_library_is_stale(monkeypatch: pytest.MonkeyPatch) -> None:
    unable(monkeypatch, OSError("built from another source"))
    place = resolve(Runtime(device="cpu", precision="fp32"))
    assert place.backend == NEXT
    assert "without the winograd kernels: built from another source" in place.note
    with pytest.raises(DeviceUnavailable, match="another source"):
        resolve(Runtime(device="cpu", backend="winograd"))


def broken(tmp_path: Path, kind: str) -> Weights:
    """Weights that a trial finds out: beyond fp32 in the transform, or differences of numbers that are much larger."""
    hidden = 2 if kind == "overflows" else 0
    network: Any = seeded(partial(SRVGGNetCompact, features=8, convolutions=hidden, scale=2)).requires_grad_(False)
    first, last = network.body[0], network.body[-1]
    if kind == "overflows":
        first.weight *= 2e38
        network.body[2].weight /= 2e38
    else:
        first.bias.fill_(1e5)
        last.weight.zero_()
        last.weight[:, :, 1, 1], last.weight[:, :, 1, 2] = 0.5, -0.5
    return save_network(tmp_path / f"{kind}.pth", network)


@pytest.mark.usefixtures("there")
@pytest.mark.parametrize(("kind", "says"), [("overflows", "overflowed"), ("cancels", "away from torch")])
def test_a_network_that_loses_its_bits_goes_another_way_and_this_is_said(tmp_path: Path, kind: str, says: str) -> None:
    weights = broken(tmp_path, kind)
    shot = picture(photo(30, 30))
    made, report = Upscaler(NetworkPool(Runtime(device="cpu", precision="fp32"))).upscale(shot, weights)
    assert report.backend in (NEXT, "torch")  # OpenVINO overflows where texture comes together with these weights
    assert report.choice.startswith(report.backend)
    assert says in report.choice
    if kind == "overflows":
        wanted, _ = upscaler(report.backend).upscale(shot, weights)
        assert difference(made.frames[0].color, wanted.frames[0].color) == 0
    with pytest.raises(DeviceUnavailable, match=says):
        upscaler("winograd").upscale(shot, weights)


@pytest.mark.usefixtures("there")
def test_a_network_of_another_kind_goes_another_way(compact: Weights, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (choice, candidate):
        monkeypatch.setattr(module, "unsupported", lambda network: f"it cannot compute {type(network).__name__}")
    network = NetworkPool(Runtime(device="cpu", precision="fp32")).get(compact)
    assert network.place.backend in (NEXT, "torch")
    assert network.place.choice.startswith(f"{network.place.backend} fp32; ")
    assert network.place.choice.endswith("it cannot compute SRVGGNetCompact")
    with pytest.raises(DeviceUnavailable, match="it cannot compute"):
        NetworkPool(Runtime(device="cpu", backend="winograd")).get(compact)


def test_it_knows_two_kinds_of_networks() -> None:
    assert "Linear" in plan.unsupported(nn.Linear(1, 1))


@pytest.mark.usefixtures("there")
def test_a_job_is_cancelled_between_tiles_and_the_next_one_runs(dense: dict[int, Weights]) -> None:
    engine: Upscaler = upscaler("winograd")
    seen = []

    def cancel(done: int, total: int) -> None:
        seen.append((done, total))
        raise Cancelled("no")

    shot, options = picture(photo(80, 70)), UpscaleOptions(tile_size=32)
    with pytest.raises(Cancelled):
        engine.upscale(shot, dense[4], options, cancel)
    assert len(seen) == 1
    _, report = engine.upscale(shot, dense[4], options)
    assert report.tiles == seen[0][1] == 9
