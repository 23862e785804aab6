"""The proof with a real second service: killed while it works, and nothing of it left afterwards."""

from pathlib import Path

import psutil
import pytest
from pytest_django.fixtures import Settings

from monitoring.doctor import prove
from monitoring.doctor.finding import Level

pytestmark = pytest.mark.processes


def test_nothing_is_lost_and_nothing_is_left(settings: Settings, tmp_path: Path) -> None:
    settings.DATA_DIR = tmp_path
    findings = list(prove.examine(12))
    assert [(one.level, one.told.partition(":")[0]) for one in findings] == [
        (Level.FINE, "Capacity"), (Level.FINE, "Chaos"), (Level.FINE, "Erasure")
    ], findings  # fmt: skip
    assert "0 lost, 0 files too many, 0 not completed, 0 damaged" in findings[1].told
    assert "Chaos: 0 processes" not in findings[1].told
    assert "0 of its files left, 9 of another key's kept" in findings[2].told
    assert list(tmp_path.iterdir()) == []
    words = [" ".join(process.info["cmdline"] or ()) for process in psutil.process_iter(["cmdline"])]
    assert [line for line in words if str(tmp_path) in line] == []


def test_a_service_that_cannot_start_is_a_fault(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.DATA_DIR = tmp_path
    monkeypatch.setenv("DEVICE", "nonsense")
    (found,) = prove.examine(prove.FEWEST)
    assert (found.level, "nonsense" in found.told) == (Level.FAULT, True)
    assert list(tmp_path.iterdir()) == []
