"""What the driver tells of the host's GPUs, and what it refuses to tell."""

from types import SimpleNamespace

import pynvml
import pytest

from monitoring import gpus
from upscaler_site.process.gpus import visible_gpus


@pytest.fixture
def driver(monkeypatch: pytest.MonkeyPatch) -> None:
    """Three cards: a good one, one that fell off the bus, and one that keeps its memory to itself."""

    def handle(index: int) -> int:
        if index == 1:
            raise pynvml.NVMLError(pynvml.NVML_ERROR_GPU_IS_LOST)
        return index

    def memory(card: int) -> SimpleNamespace:
        if card == 2:
            raise pynvml.NVMLError(pynvml.NVML_ERROR_NO_PERMISSION)
        return SimpleNamespace(total=8, used=4)

    def load(_card: int) -> SimpleNamespace:
        raise pynvml.NVMLError(pynvml.NVML_ERROR_NOT_SUPPORTED)

    monkeypatch.setattr(gpus, "_state", {"present": True})
    monkeypatch.setattr(pynvml, "nvmlDeviceGetCount", lambda: 3)
    monkeypatch.setattr(pynvml, "nvmlDeviceGetHandleByIndex", handle)
    monkeypatch.setattr(pynvml, "nvmlDeviceGetMemoryInfo", memory)
    monkeypatch.setattr(pynvml, "nvmlDeviceGetUtilizationRates", load)
    monkeypatch.setattr(pynvml, "nvmlDeviceGetName", lambda card: f"card {card}".encode())
    monkeypatch.setattr(pynvml, "nvmlDeviceGetUUID", lambda card: f"GPU-{card}")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)


@pytest.mark.usefixtures("driver")
def test_a_gpu_that_does_not_answer_is_left_out_and_the_others_stay() -> None:
    assert gpus.gpus() == [gpus.Gpu(0, "card 0", "GPU-0", 8, 4, None)]


@pytest.mark.usefixtures("driver")
def test_processes_are_given_every_gpu_that_has_a_name(monkeypatch: pytest.MonkeyPatch) -> None:
    assert visible_gpus() == ["GPU-0", "GPU-2"]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "2, -1")
    assert visible_gpus() == ["2"]


@pytest.mark.usefixtures("driver")
def test_a_driver_that_goes_away_under_a_running_service_breaks_no_report(monkeypatch: pytest.MonkeyPatch) -> None:
    def gone() -> int:
        raise pynvml.NVMLError(pynvml.NVML_ERROR_UNKNOWN)

    monkeypatch.setattr(pynvml, "nvmlDeviceGetCount", gone)
    assert (gpus.gpus(), visible_gpus()) == ([], [])


def test_without_a_driver_there_are_none(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse() -> None:
        raise pynvml.NVMLError(pynvml.NVML_ERROR_LIBRARY_NOT_FOUND)

    monkeypatch.setattr(gpus, "_state", {})
    monkeypatch.setattr(pynvml, "nvmlInit", refuse)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    assert (gpus.gpus(), visible_gpus()) == ([], [])
