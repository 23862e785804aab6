"""The choice for real networks: by measurements that are given, and once by those of this machine."""

import json
import time
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from jobs.engine.backends import network_cache, openvino_trial
from jobs.engine.backends.device import cpu_has_bf16
from jobs.engine.backends.network_cache import NetworkPool
from jobs.engine.backends.selection import measure, select
from jobs.engine.backends.selection.candidate import Candidate
from jobs.engine.backends.selection.pick import Turn
from jobs.engine.backends.winograd import choice, library
from jobs.engine.errors import DeviceUnavailable
from jobs.engine.types import Runtime, UpscaleOptions, Weights
from jobs.engine.upscaler import Upscaler
from modelstore.networks.rrdbnet import RRDBNet
from modelstore.networks.spec import NetworkSpec
from modelstore.networks.srvgg import SRVGGNetCompact
from tests.jobs.engine.conftest import difference, photo, picture, save_network, seeded, upscaler

SECOND = "torch" if openvino_trial.trouble() else "openvino"
pytestmark = pytest.mark.skipif(torch.cuda.is_available(), reason="auto takes the card")


@pytest.fixture
def kernels(best: library.Library, monkeypatch: pytest.MonkeyPatch) -> None:
    """The kernels, as if they were built beside the package; and bf16 units."""
    monkeypatch.setattr(library, "load", lambda: best)
    monkeypatch.setattr(network_cache, "cpu_has_bf16", lambda: True)


def times(monkeypatch: pytest.MonkeyPatch, *, wall: float = 1.0, **seconds: float) -> list[list[str]]:
    """Give candidates these times instead of measuring, every second turn ``wall`` times as long by the clock.

    :returns: what is asked for.
    """
    asked: list[list[str]] = []

    def given(
        _: nn.Module, __: NetworkSpec, found: Iterable[Candidate], ___: object
    ) -> tuple[dict[Candidate, list[Turn]], dict[Candidate, str]]:
        asked.append([str(one) for one in found])
        took = {
            one: seconds[f"{'winograd' if one.backend == 'winograd' else 'second'}_{one.precision}"] for one in found
        }
        return {one: [Turn(value, value), Turn(value * wall, value)] for one, value in took.items()}, {}

    monkeypatch.setattr(measure, "turns", given)
    return asked


def near(monkeypatch: pytest.MonkeyPatch, decibels: float) -> list[str]:
    compared: list[str] = []

    def given(network: object, exact: object) -> float:
        compared.append(f"{network.place.backend} {network.place.precision}")  # type: ignore[attr-defined]
        return decibels

    monkeypatch.setattr(measure, "decibels", given)
    return compared


@pytest.mark.usefixtures("kernels")
def test_the_fastest_is_taken_and_the_report_tells_why(
    monkeypatch: pytest.MonkeyPatch, compact: Weights, tmp_path: Path
) -> None:
    asked = times(monkeypatch, winograd_fp32=1.0, second_fp32=3.0, second_bf16=1.5)
    runtime = Runtime(device="cpu", measurements=tmp_path)
    shot = picture(photo(20, 16))
    made, report = Upscaler(NetworkPool(runtime)).upscale(shot, compact)
    assert (report.backend, report.precision) == ("winograd", "fp32")
    assert report.choice == (
        f"winograd fp32; {SECOND} fp32 takes 3.0 times as long; {SECOND} bf16 takes 1.5 times as long"
    )
    assert report.notes == ()
    _, again = Upscaler(NetworkPool(runtime)).upscale(shot, compact)
    assert again.choice == report.choice
    assert asked == [["winograd fp32", f"{SECOND} fp32", f"{SECOND} bf16"]], "the next process knows it"
    exact, _ = upscaler("torch").upscale(shot, compact)
    assert difference(made.frames[0].color, exact.frames[0].color) <= 1


@pytest.mark.usefixtures("kernels")
@pytest.mark.parametrize(("decibels", "expected"), [(47.2, "winograd fp32"), (53.0, f"{SECOND} bf16")])
def test_bf16_is_taken_where_these_weights_bear_it(
    monkeypatch: pytest.MonkeyPatch, compact: Weights, tmp_path: Path, decibels: float, expected: str
) -> None:
    times(monkeypatch, winograd_fp32=1.0, second_fp32=3.0, second_bf16=0.5)
    compared = near(monkeypatch, decibels)
    runtime = Runtime(device="cpu", measurements=tmp_path)
    for _ in range(2):
        place = NetworkPool(runtime).get(compact).place
        assert f"{place.backend} {place.precision}" == expected
        assert place.choice.startswith(expected)
        assert ("comes to 47.2 dB" in place.choice) == (decibels < 50)
    assert compared == [f"{SECOND} bf16"] * (1 if compact.sha256 else 2), "by digest, these weights are known"


@pytest.mark.usefixtures("kernels")
def test_who_asks_by_name_is_obeyed(monkeypatch: pytest.MonkeyPatch, compact: Weights) -> None:
    asked = times(monkeypatch, winograd_fp32=1.0, second_fp32=3.0, second_bf16=0.5)
    near(monkeypatch, 99.0)
    assert NetworkPool(Runtime(device="cpu", precision="fp32")).get(compact).place.precision == "fp32"
    named = NetworkPool(Runtime(device="cpu", backend="torch"))
    assert (named.get(compact, "fp32").place.backend, named.get(compact, "bf16").place.precision) == ("torch", "bf16")
    assert asked == [["winograd fp32", f"{SECOND} fp32"]]
    place = NetworkPool(Runtime(device="cpu", backend="winograd")).get(compact).place
    assert (place.backend, place.choice) == ("winograd", "winograd fp32")


def test_what_is_not_built_is_told_with_what_to_do(monkeypatch: pytest.MonkeyPatch, compact: Weights) -> None:
    def load() -> None:
        raise library.NotBuilt("the winograd kernels are not built here; `make kernels` builds them")

    monkeypatch.setattr(library, "load", load)
    asked = times(monkeypatch, second_fp32=1.0)
    place = NetworkPool(Runtime(device="cpu", precision="fp32")).get(compact).place
    assert place.choice.startswith(f"{SECOND} fp32; ")
    assert place.choice.endswith("; the winograd kernels are not built here; `make kernels` builds them")
    assert asked == ([["openvino fp32", "torch fp32"]] if SECOND == "openvino" else [])


@pytest.mark.usefixtures("kernels")
@pytest.mark.parametrize(("wall", "days"), [(1.0, 30), (5.0, 1)], ids=["steady", "busy"])
def test_it_is_measured_again_after_a_month_and_on_a_busy_machine_after_a_day(
    monkeypatch: pytest.MonkeyPatch, compact: Weights, tmp_path: Path, wall: float, days: int
) -> None:
    asked = times(monkeypatch, wall=wall, winograd_fp32=1.0, second_fp32=3.0, second_bf16=1.5)
    over = days * 86_400
    for now, measured in ((0, 1), (over - 1, 1), (over + 1, 2), (over, 3)):  # the last clock was put back
        monkeypatch.setattr(time, "time", lambda now=now: 1_000_000.0 + now)
        place = NetworkPool(Runtime(device="cpu", measurements=tmp_path)).get(compact).place
        assert place.choice.endswith("by processor time, for the machine was busy") == (wall > 1)
        assert len(asked) == measured


@pytest.mark.usefixtures("kernels")
@pytest.mark.parametrize("number", [0.0, -1.0, 1e308])
def test_kept_numbers_that_no_clock_gave_make_no_job_fail(
    monkeypatch: pytest.MonkeyPatch, compact: Weights, tmp_path: Path, number: float
) -> None:
    times(monkeypatch, winograd_fp32=1.0, second_fp32=3.0, second_bf16=1.5)
    pool = NetworkPool(Runtime(device="cpu", measurements=tmp_path))
    pool.get(compact)
    path = tmp_path / "backends.json"
    changed = {name: dict.fromkeys(values, number) for name, values in json.loads(path.read_text()).items()}
    path.write_text(json.dumps(changed))
    assert NetworkPool(Runtime(device="cpu", measurements=tmp_path)).get(compact).place.choice.startswith("winograd")


@pytest.mark.usefixtures("kernels")
@pytest.mark.parametrize(
    "error", [RuntimeError("no such operation\nat line 3"), DeviceUnavailable("no such operation")]
)
def test_who_cannot_be_measured_is_passed_over_by_name(
    monkeypatch: pytest.MonkeyPatch, compact: Weights, tmp_path: Path, error: Exception
) -> None:
    """And tried again by the next process: what failed may have been short of something."""
    built = select._built

    def build(candidate: Candidate, *rest: Any) -> Any:
        if candidate.backend == "winograd":
            raise error
        return built(candidate, *rest)

    monkeypatch.setattr(select, "_built", build)
    for _ in range(2):
        place = NetworkPool(Runtime(device="cpu", precision="fp32", measurements=tmp_path)).get(compact).place
        assert place.choice == f"{SECOND} fp32; winograd fp32 no such operation"
    monkeypatch.setattr(select, "_built", built)
    assert (
        "no such operation"
        not in NetworkPool(Runtime(device="cpu", precision="fp32", measurements=tmp_path)).get(compact).place.choice
    )


@pytest.mark.skipif(SECOND != "openvino", reason="OpenVINO is passed over here")
def test_openvino_that_computes_wrong_numbers_is_passed_over(monkeypatch: pytest.MonkeyPatch, compact: Weights) -> None:
    def load() -> None:
        raise library.NotBuilt("not built")

    monkeypatch.setattr(library, "load", load)
    near(monkeypatch, 11.0)
    times(monkeypatch, second_fp32=1.0)
    place = NetworkPool(Runtime(device="cpu", precision="fp32")).get(compact).place
    assert (place.backend, place.precision) == ("torch", "fp32")
    assert "openvino fp32 would take 1.00 of its time, but comes to 11.0 dB" in place.choice


@pytest.mark.usefixtures("kernels")
def test_kernels_that_fail_their_trial_leave_it_to_the_next(monkeypatch: pytest.MonkeyPatch, compact: Weights) -> None:
    times(monkeypatch, winograd_fp32=1.0, second_fp32=3.0, second_bf16=9.0)
    monkeypatch.setattr(choice, "accelerate", lambda *_: (None, "a trial was 0.5 away from torch"))
    place = NetworkPool(Runtime(device="cpu")).get(compact).place
    assert f"{place.backend} {place.precision}" == f"{SECOND} fp32"
    assert "winograd fp32 would take 0.33 of its time, but a trial was 0.5 away from torch" in place.choice


KINDS: dict[str, Callable[[], nn.Module]] = {
    "x4": partial(RRDBNet, features=8, growth=4, blocks=5),
    "x2, unshuffled": partial(RRDBNet, features=8, growth=4, blocks=2, unshuffle=2),
    "compact": partial(SRVGGNetCompact, features=8, convolutions=20, scale=3),
    "gray": partial(SRVGGNetCompact, in_channels=1, out_channels=1, features=8, convolutions=3, scale=2),
}


@pytest.mark.parametrize("kind", KINDS)
def test_this_machine_measures_each_kind(tmp_path: Path, kind: str) -> None:
    weights = save_network(tmp_path / "weights.pth", seeded(KINDS[kind]))
    state = torch.random.get_rng_state()
    pool = NetworkPool(Runtime(device="cpu", measurements=tmp_path))
    shot = picture(photo(18, 14))
    made, report = Upscaler(pool).upscale(shot, weights)
    assert torch.equal(torch.random.get_rng_state(), state), "whoever draws numbers draws the same ones"
    assert report.choice.startswith(f"{report.backend} {report.precision}")
    exact, _ = upscaler("torch").upscale(shot, weights, UpscaleOptions(precision="fp32"))
    assert difference(made.frames[0].color, exact.frames[0].color) <= (1 if report.precision == "fp32" else 16)


def test_nearness_is_measured_on_the_pixels(compact: Weights) -> None:
    pool = NetworkPool(Runtime(device="cpu", backend="torch", precision="fp32"))
    network = pool.get(compact)
    assert measure.decibels(network, network) == np.inf
    if cpu_has_bf16():
        half = NetworkPool(Runtime(device="cpu", backend="torch", precision="bf16")).get(compact)
        assert 20 < measure.decibels(half, network) < 100
