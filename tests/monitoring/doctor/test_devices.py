"""The doctor computes on this host's devices, and compares."""

import numpy as np
import pytest
from pytest_django.fixtures import Settings

from monitoring.doctor import devices
from monitoring.doctor.finding import Level

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("data_dir", "one_thread")]


def test_the_cpu_computes_what_it_should_and_a_device_that_is_not_there_is_told(settings: Settings) -> None:
    settings.DEVICE = "cuda:7"
    findings = {one.told.partition(" ")[0]: one for one in devices.examine()}
    assert findings["cpu"].level == Level.FINE
    assert "Mpx/s of input" in findings["cpu"].told
    assert findings["cuda:7"].level == Level.FAULT
    assert "was asked for" in findings["cuda:7"].told


def test_another_picture_than_the_cpus_is_a_fault(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = devices._computed

    def shifted(device: str, precision: str, backend: str) -> object:
        picture, place, seconds = whole(device, precision, backend)  # type: ignore[arg-type]
        if precision == "auto":
            picture.frames[0].color[:] = np.roll(picture.frames[0].color, 1, axis=0)
        return picture, place, seconds

    monkeypatch.setattr(devices, "_computed", shifted)
    (found,) = [one for one in devices.examine() if one.told.startswith("cpu ")]
    assert (found.level, "PRECISION=fp32" in found.advice) == (Level.FAULT, True)
