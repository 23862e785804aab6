"""One inference process per device, of every kind; each gets its own."""

from pathlib import Path
from typing import Any

import pytest

from upscaler_site.process import gpus
from upscaler_site.process.gpus import assignments, told
from upscaler_site.process.programs import configuration, inference_clusters


def silent(kind: str) -> list[str]:
    raise AssertionError(f"nobody is to be asked for {kind}")


@pytest.mark.parametrize("device", ["auto", "cuda"])
def test_nvidias_cards_get_a_process_each(device: str) -> None:
    one, other = {"CUDA_VISIBLE_DEVICES": "GPU-a"}, {"CUDA_VISIBLE_DEVICES": "GPU-b"}
    assert assignments(["GPU-a", "GPU-b"], device, 0, silent) == [one, other]
    assert assignments(["GPU-a", "GPU-b"], device, 3, silent) == [one, other, one]
    assert assignments(["GPU-a"], device, 0, silent) == [one]


@pytest.mark.parametrize("device", ["cpu", "cuda:1", "xpu:0", "mps", "openvino-gpu:2"])
def test_a_device_that_is_one_gets_one_process(monkeypatch: pytest.MonkeyPatch, device: str) -> None:
    monkeypatch.setattr(gpus, "amd_is_there", lambda: True)
    assert assignments(["GPU-a", "GPU-b"], device, 0, silent) == [{}]
    assert assignments([], device, 2, silent) == [{}, {}]


@pytest.mark.parametrize("device", ["xpu", "openvino-gpu"])
def test_intels_get_a_process_each_also_beside_nvidias(device: str) -> None:
    asked: list[str] = []

    def tell(kind: str) -> list[str]:
        asked.append(kind)
        return [f"{kind}:0", f"{kind}:1"]

    assert assignments(["GPU-a"], device, 0, tell) == [{"DEVICE": f"{device}:0"}, {"DEVICE": f"{device}:1"}]
    assert asked == [device]
    assert assignments([], device, 0, lambda kind: [f"{kind}:0"]) == [{}]
    assert assignments([], device, 0, lambda _: []) == [{}], "the process itself says what is missing"


@pytest.mark.parametrize("device", ["auto", "cuda"])
def test_amds_get_a_process_each(monkeypatch: pytest.MonkeyPatch, device: str) -> None:
    monkeypatch.setattr(gpus, "amd_is_there", lambda: True)
    assert assignments([], device, 0, lambda _: ["cuda:0", "cuda:2"]) == [{"DEVICE": "cuda:0"}, {"DEVICE": "cuda:2"}]
    assert assignments([], device, 0, lambda _: []) == [{}]
    monkeypatch.setattr(gpus, "amd_is_there", lambda: False)
    assert assignments([], device, 0, silent) == [{}]


@pytest.mark.processes
def test_the_engine_is_asked_in_a_process_of_its_own(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    assert told("xpu") == []
    assert caplog.records == []
    monkeypatch.setattr(gpus, "_ASK", "import sys; sys.exit('the driver is broken')")
    assert told("xpu") == []
    assert "devices not told kind=xpu error=the driver is broken" in caplog.text
    monkeypatch.setattr(gpus, "_ASK", "import time; time.sleep(60)")
    monkeypatch.setattr(gpus, "_TOLD_WITHIN", 0.2)
    assert told("xpu") == []
    assert "timed out" in caplog.text


def test_programs_get_their_device_and_no_file_beside_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    named: Any = [{"DEVICE": "xpu:0"}, {"DEVICE": "xpu:1"}]
    monkeypatch.delenv("DEVICE_FILE", raising=False)
    made = inference_clusters(named)
    assert [(program.name, program.environment["DEVICE"]) for program in made] == [
        ("gpu-0", "xpu:0"),
        ("gpu-1", "xpu:1"),
    ]
    assert "/usr/bin/env" not in made[0].command
    monkeypatch.setenv("DEVICE_FILE", "/run/secrets/device")
    made = inference_clusters(named)
    assert list(made[1].command[:3]) == ["/usr/bin/env", "-u", "DEVICE_FILE"]
    assert "DEVICE_FILE" in configuration(made, run_dir=tmp_path, base_dir=tmp_path, grace_seconds=1)
    (alone,) = inference_clusters([{}])
    assert (alone.name, "DEVICE" in alone.environment) == ("gpu", False)
