"""Deleting frees the disk, unless jobs need the model."""

from pathlib import Path

import pytest

from modelstore import usage
from modelstore.downloads import requests, runner
from modelstore.errors import ModelFixed, ModelInUse, ModelNotReady, ModelUnknown
from modelstore.imports import importing
from modelstore.models import Model
from modelstore.states import State
from modelstore.storage import deletion, weights
from tests.job_rows import waiting_job
from tests.modelstore.conftest import TestOfficial


@pytest.fixture
def jobs(monkeypatch: pytest.MonkeyPatch) -> dict[str, int]:
    """What the room above would register: a count of unfinished jobs per model."""
    counts: dict[str, int] = {}
    monkeypatch.setattr(usage, "_counters", [])
    usage.register(lambda name: counts.get(name, 0))
    return counts


@pytest.fixture
def ready(official: TestOfficial) -> TestOfficial:
    requests.order([official.name])
    runner.run_waiting()
    return official


def test_deleting_an_official_model_frees_the_disk_and_it_can_come_back(
    ready: TestOfficial, models_dir: Path, jobs: dict[str, int]
) -> None:
    assert deletion.delete(ready.name) == len(ready.content)
    assert list(models_dir.iterdir()) == []
    assert ready.row.state == State.MISSING
    with pytest.raises(ModelNotReady):
        weights.require_usable(ready.name)
    requests.order([ready.name])
    runner.run_waiting()
    assert weights.require_usable(ready.name)


def test_a_model_that_jobs_need_stays(ready: TestOfficial, models_dir: Path, jobs: dict[str, int]) -> None:
    jobs[ready.name] = 2
    with pytest.raises(ModelInUse, match="2 unfinished jobs need it"):
        deletion.delete(ready.name)
    assert weights.require_usable(ready.name)
    assert ready.row.ready_at is not None
    jobs[ready.name] = 0
    deletion.delete(ready.name)
    assert list(models_dir.iterdir()) == []


def test_a_refused_deletion_takes_the_model_away_for_nobody(
    ready: TestOfficial, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While it counts, a worker that takes one of those jobs must find the model."""
    seen = []

    def count(name: str) -> int:
        seen.append(weights.require_usable(name).state)
        return 1

    monkeypatch.setattr(usage, "_counters", [])
    usage.register(count)
    with pytest.raises(ModelInUse):
        deletion.delete(ready.name)
    assert seen == [State.READY]


def test_a_job_that_is_submitted_while_the_model_is_deleted_keeps_it(
    ready: TestOfficial, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was told that the model is there, and wrote its row after the first count."""
    answers = [0, 1]
    monkeypatch.setattr(usage, "_counters", [])
    usage.register(lambda _name: answers.pop(0))
    with pytest.raises(ModelInUse):
        deletion.delete(ready.name)
    assert answers == []
    assert weights.require_usable(ready.name)


def test_an_unfinished_job_keeps_its_model(ready: TestOfficial) -> None:
    """With the real jobs table, as the jobs room registers itself."""
    from django.utils import timezone

    from jobs.models import Job
    from jobs.states import Status

    job = waiting_job(model=ready.name)
    with pytest.raises(ModelInUse, match="1 unfinished job needs it"):
        deletion.delete(ready.name)
    Job.objects.filter(pk=job.pk).update(status=Status.CANCELLED, finished_at=timezone.now())
    assert deletion.delete(ready.name) == len(ready.content)


def test_the_admin_tells_where_a_network_is_loaded(ready: TestOfficial) -> None:
    from django.utils import timezone

    from jobs.models import Worker

    now = timezone.now()
    common = {"cluster": "gpu", "host": "a", "pid": 1, "started_at": now, "seen_at": now}
    Worker.objects.create(id="gpu@a:1", device="cuda:0", loaded_models=["other", ready.name], **common)
    Worker.objects.create(id="gpu@b:1", device="cuda:0", loaded_models=["other"], **common)
    assert usage.loaded_in(ready.name) == [usage.LoadedIn("gpu@a:1", "cuda:0")]


def test_a_partner_that_jobs_may_mix_in_stays(ready: TestOfficial, jobs: dict[str, int]) -> None:
    Model.objects.filter(name="RealESRGAN_x2plus").update(denoise_partner=ready.name)
    jobs["RealESRGAN_x2plus"] = 1
    with pytest.raises(ModelInUse, match="1 unfinished job needs it"):
        deletion.delete(ready.name)


def test_deleting_an_imported_model_removes_row_and_file(
    official: TestOfficial, models_dir: Path, tiny_weights: Path, jobs: dict[str, int]
) -> None:
    importing.bring([tiny_weights.read_bytes()], "mine")
    runner.run_waiting()
    assert deletion.delete("mine") == tiny_weights.stat().st_size
    assert not Model.objects.filter(name="mine").exists()
    assert [path for path in models_dir.rglob("*") if path.is_file()] == []


def test_deleting_a_waiting_upload_removes_its_file(
    official: TestOfficial, models_dir: Path, tiny_weights: Path, jobs: dict[str, int]
) -> None:
    importing.bring([tiny_weights.read_bytes()], "mine")
    deletion.delete("mine")
    assert [path for path in models_dir.rglob("*") if path.is_file()] == []


def test_deleting_a_waiting_download_calls_it_off(official: TestOfficial, jobs: dict[str, int]) -> None:
    requests.order([official.name])
    deletion.delete(official.name)
    runner.run_waiting()
    assert official.row.state == State.MISSING


def test_what_a_broken_download_left_is_freed_too(
    official: TestOfficial, models_dir: Path, jobs: dict[str, int]
) -> None:
    models_dir.mkdir()
    (models_dir / f"{official.name}.pth.abc.part").write_bytes(b"x" * 10)
    assert deletion.delete(official.name) == 10


def test_the_bundled_model_stays(official: TestOfficial, jobs: dict[str, int]) -> None:
    Model.objects.filter(name="bundled-compact-x4").delete()
    Model.objects.create(name="bundled-compact-x4", origin="bundled")
    with pytest.raises(ModelFixed):
        deletion.delete("bundled-compact-x4")


def test_an_unknown_model_cannot_be_deleted(official: TestOfficial, jobs: dict[str, int]) -> None:
    with pytest.raises(ModelUnknown):
        deletion.delete("../../etc/passwd")
