"""What the doctor finds in settings, database, store, models and workers: of real ones, broken one way."""

from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from django.conf import settings
from django.db import OperationalError, connection
from django.db.migrations.recorder import MigrationRecorder
from django.db.models.functions import Now
from pytest_django.fixtures import Settings

from jobs.models import Job
from jobs.queue import pauses, pooler
from modelstore.models import Model
from modelstore.storage.paths import stored_file
from monitoring.doctor import configuration, database, fleet, stores, weights
from monitoring.doctor.examination import AREAS, examine
from monitoring.doctor.finding import Area, Finding, Level, fine
from tests.jobs import made
from tests.jobs.conftest import model

__all__ = ["model"]

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("data_dir")]


def worst(area: Callable[[], Iterator[Finding]]) -> Finding:
    return max(area(), key=lambda finding: finding.level)


def test_a_sound_installation_has_neither_faults_nor_warnings(model: Model) -> None:
    made.worker()
    made.worker("io")
    findings = list(examine())
    assert [one for one in findings if one.level > Level.NOTE] == []
    assert {one.area for one in findings} == {area.name for area in AREAS}
    told = " ".join(one.told for one in findings)
    for fact in ("PostgreSQL 1", "One trip takes", "COMMIT reaches the disk", "connections are in use", "Notifications",
                 "32 MB written at", "MB are free", model.name, "1 gpu worker alive", "Nothing waits"):  # fmt: skip
        assert fact in told


def test_a_model_that_a_setting_names_and_that_is_not_here_is_told(model: Model, settings: Settings) -> None:
    settings.DEFAULT_MODEL, settings.WARM_MODELS = f"{model.name}+no-such", [model.name, "nor-this"]
    told = {one.told: one.level for one in weights.examine() if one.level > Level.FINE}
    assert told == {
        "The default model no-such is not here: calls that name no model get 503": Level.NOTE,
        "WARM_MODELS names nor-this, which is not ready: no worker loads it": Level.WARNING,
    }


# --- The database
def test_tables_of_another_version_are_told() -> None:
    recorder = MigrationRecorder(connection)
    recorder.record_applied("jobs", "9999_from_the_future")
    try:
        newer = worst(database.examine)
    finally:
        recorder.record_unapplied("jobs", "9999_from_the_future")
    assert (newer.level, "jobs.9999_from_the_future" in newer.told) == (Level.WARNING, True)
    assert "Upgrade this host" in newer.advice
    recorder.record_unapplied("audit", "0001_initial")
    try:
        older = worst(database.examine)
    finally:
        recorder.record_applied("audit", "0001_initial")
    assert (older.level, older.advice) == (Level.FAULT, "Run: manage.py migrate")


def test_messages_that_do_not_arrive_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pooler, "heard_after", lambda: None)
    found = worst(database.examine)
    assert (found.level, "transaction mode" in found.told, "BROKER_URL" in found.advice) == (Level.WARNING, True, True)


def test_connections_that_a_burst_would_use_up_are_told(settings: Settings) -> None:
    settings.MAX_WAITING_REQUESTS = 1_000_000
    found = worst(database.examine)
    assert (found.level, "1000020" in found.told) == (Level.WARNING, True)


def test_a_database_that_does_not_answer_is_one_fault_and_the_others_go_on() -> None:
    def broken() -> Iterator[Finding]:
        yield fine("broken", "before")
        raise OperationalError("the server went away\nand more")

    def empty() -> Iterator[Finding]:
        with connection.cursor() as cursor:
            cursor.execute("SELECT FROM jobs_no_such_table")
        yield fine("empty", "never")

    def buggy() -> Iterator[Finding]:
        yield fine("buggy", f"{1 // len('')}")

    areas = [
        Area("broken", broken),
        Area("empty", empty),
        Area("buggy", buggy),
        Area("whole", lambda: iter([fine("whole", "after")])),
    ]
    findings = list(examine(areas))
    assert [(one.area, one.level) for one in findings] == [
        ("broken", Level.FINE), ("broken", Level.FAULT), ("empty", Level.FAULT), ("buggy", Level.FAULT),
        ("whole", Level.FINE)
    ]  # fmt: skip
    assert findings[1].told == "The database does not answer: the server went away and more"
    assert findings[2].advice == "Run: manage.py migrate"
    assert "ZeroDivisionError" in findings[3].told


# --- The store
def test_a_store_that_cannot_be_written_is_told(settings: Settings, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    settings.MEDIA_ROOT = tmp_path / "file"
    (found,) = [one for one in examine([Area("store", stores.examine)]) if one.level == Level.FAULT]
    assert "Not a directory" in found.told or "File exists" in found.told


def test_a_full_disk_is_told_with_the_limit(settings: Settings) -> None:
    settings.MIN_FREE_DISK_MB = 10**9
    found = worst(stores.examine)
    assert (found.level, "1,000,000,000 MB (MIN_FREE_DISK_MB)" in found.advice) == (Level.FAULT, True)


def test_the_trial_leaves_nothing_behind(data_dir: Path) -> None:
    assert worst(stores.examine).level == Level.FINE
    assert [path for path in Path(settings.MEDIA_ROOT).rglob("*") if path.is_file()] == []


# --- Models
def test_a_damaged_model_is_told_and_left_as_it_is(model: Model) -> None:
    path = stored_file(model)
    whole = path.read_bytes()
    path.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    found = worst(weights.examine)
    assert (found.level, found.advice) == (Level.FAULT, f"Run: manage.py verify_models {model.name}")
    assert path.exists()
    model.refresh_from_db()
    assert model.state == "ready"


def test_a_failed_download_and_an_installation_without_models_are_told(model: Model) -> None:
    Model.objects.update(state="failed", error="the host refused it")
    findings = {one.level: one for one in weights.examine()}
    assert "no usable model" in findings[Level.FAULT].told.lower()
    assert "the host refused it" in findings[Level.WARNING].told


# --- Workers
def test_workers_that_are_missing_idle_or_old_are_told() -> None:
    made.worker(silent_seconds=3600)
    assert ["No gpu worker" in one.told for one in fleet.examine() if one.level == Level.FAULT] == [True, False]
    made.worker("io", version="1.0.0")
    made.worker(device="")
    assert "No gpu worker has a device" in worst(fleet.examine).told
    made.worker(device_note="computes on the CPU, though there is a graphics card", version="1.1.0")
    told = [one.told for one in fleet.examine() if one.level > Level.FINE]
    assert any("though there is a graphics card" in text for text in told)
    assert "Workers of several versions: 1.0.0, 1.1.0" in told


def test_jobs_that_nobody_gives_back_or_takes_up_are_told() -> None:
    made.worker()
    made.worker("io")
    lost = made.processing()
    Job.objects.filter(pk=lost.pk).update(lease_until=Now() - timedelta(hours=1))
    assert "1 running jobs have lost their worker" in worst(fleet.examine).told
    Job.objects.filter(pk=lost.pk).delete()
    late = made.queued()
    Job.objects.filter(pk=late.pk).update(queued_at=Now() - timedelta(minutes=5))
    found = worst(fleet.examine)
    assert (found.level, "1 jobs wait, the oldest for 300 s" in found.told) == (Level.FAULT, True)
    pauses.pause("gpu")
    found = worst(fleet.examine)
    assert (found.level, "manage.py queue resume gpu" in found.advice) == (Level.NOTE, True)


# --- Settings
def test_contradictions_are_told_and_open_doors_once_others_reach_the_service(settings: Settings) -> None:
    assert worst(configuration.examine).level == Level.FINE
    settings.MAX_OUTPUT_PIXELS = settings.MAX_INPUT_PIXELS - 1
    assert "monitoring.W001" in worst(configuration.examine).told
    settings.PUBLIC_URL = "https://pictures.example.org"
    assert any("jobs.W002" in one.told for one in configuration.examine())
