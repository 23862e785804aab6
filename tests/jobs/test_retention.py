"""Clean-up: old jobs and orphans go, live jobs stay, and a kill in the middle leaves no job without its picture."""

import subprocess
import sys
import uuid
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from django.core.management import call_command
from django.db.models.functions import Now
from pytest_django.fixtures import Settings

from jobs import files, retention
from jobs.models import Batch, IdempotencyKey, Job
from jobs.retention import CleanupReport, cleanup
from jobs.states import Status
from jobs.submitting import intake
from tests.jobs.clusters import REPOSITORY
from tests.jobs.conftest import picture, stored_files
from tests.jobs.test_intake import complete

Submit = Callable[..., Job]


def age(job: Job, hours: float) -> None:
    Job.objects.filter(pk=job.pk).update(finished_at=Now() - timedelta(hours=hours))


def test_what_is_older_goes_with_its_files_and_the_rest_stays(submit: Submit, data_dir: Path) -> None:
    old, young = complete(submit(seed=1)), complete(submit(seed=2))
    age(old, 25)
    age(young, 23)
    size = sum(files.path_of(name).stat().st_size for name in files.names_of(old))
    assert cleanup(dry_run=True) == CleanupReport(jobs=1, files=3, bytes=size, orphans=0)
    assert Job.objects.count() == 2
    assert cleanup() == CleanupReport(jobs=1, files=3, bytes=size, orphans=0)
    assert list(Job.objects.all()) == [young]
    assert stored_files(data_dir) == sorted(files.names_of(young))
    assert cleanup(22).jobs == 1
    assert stored_files(data_dir) == []


def test_waiting_and_running_jobs_are_never_touched(submit: Submit, data_dir: Path) -> None:
    submit(seed=1)
    running = Job.objects.claim("w")
    submit(seed=2)
    Job.objects.update(created_at=Now() - timedelta(days=900), queued_at=Now() - timedelta(days=900))
    assert cleanup(0).jobs == 0
    assert Job.objects.count() == 2
    assert running is not None
    assert len(stored_files(data_dir)) == 2


def test_many_jobs_go_in_chunks(submit: Submit, monkeypatch: pytest.MonkeyPatch, data_dir: Path) -> None:
    monkeypatch.setattr(retention, "CHUNK", 2)
    for seed in range(5):
        Job.objects.cancel(submit(seed=seed).pk)
    assert cleanup(0).jobs == 5
    assert stored_files(data_dir) == []


def test_orphans_go_after_an_hour_and_what_is_being_written_stays(
    submit: Submit, data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = submit()
    for name in (f"results/aa/{uuid.uuid4()}-x.png", "inputs/x.part", "previews/aa/odd", "uploads/y"):
        path = data_dir / "files" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"123")
    assert cleanup() == CleanupReport()
    monkeypatch.setattr(retention, "ORPHAN_SECONDS", 0.0)  # an upload's request may still run
    assert cleanup(dry_run=True) == CleanupReport(orphans=3, bytes=9)
    assert cleanup(orphan_seconds=0, dry_run=True) == CleanupReport(orphans=4, bytes=12)
    assert cleanup(orphan_seconds=0) == CleanupReport(orphans=4, bytes=12)
    assert stored_files(data_dir) == [job.input_file]


def test_a_fresh_link_to_an_old_result_is_no_orphan(submit: Submit, data_dir: Path) -> None:
    import os

    first = complete(submit())
    for name in files.names_of(first):
        os.utime(files.path_of(name), (1, 1))
    files.copy(first.result_file, f"results/aa/{uuid.uuid4()}-y.png")  # its row is not committed yet
    assert cleanup().orphans == 0


def test_killed_between_rows_and_files_it_leaves_no_job_without_files(
    submit: Submit, data_dir: Path, environment: dict[str, str]
) -> None:
    import os

    for seed in range(3):
        complete(submit(seed=seed))
    killed = subprocess.run(
        [sys.executable, "manage.py", "cleanup_jobs", "--hours", "0", "--skip-checks"],
        cwd=REPOSITORY,
        env={**os.environ, **environment, "RIG_DIE_BEFORE_FILES": "1"},
        capture_output=True,
        check=False,
    )
    assert killed.returncode == -9, killed.stderr
    assert not Job.objects.exists()
    assert len(stored_files(data_dir)) == 9
    assert cleanup(orphan_seconds=0).orphans == 9
    assert stored_files(data_dir) == []


def test_empty_batches_and_expired_keys_go(
    make_submission: Callable[..., intake.Submission], settings: Settings
) -> None:
    batch = intake.submit_batch([picture()], make_submission(idempotency_key="k"))
    Job.objects.cancel(batch.jobs.get().pk)
    Batch.objects.update(created_at=Now() - timedelta(hours=1))
    IdempotencyKey.objects.update(created_at=Now() - timedelta(hours=settings.IDEMPOTENCY_TTL_HOURS))
    cleanup(0)
    assert not Batch.objects.exists()
    assert not IdempotencyKey.objects.exists()


@pytest.mark.parametrize("hours", [-1, float("nan"), float("inf"), 1e9])
def test_odd_ages_are_refused(hours: float, data_dir: Path, db: None) -> None:
    with pytest.raises(ValueError, match="hours is"):
        cleanup(hours)


def test_the_command_reports_counts_and_bytes(submit: Submit, capsys: pytest.CaptureFixture[str]) -> None:
    job = complete(submit())
    call_command("cleanup_jobs", hours=0.0, dry_run=True)
    assert capsys.readouterr().out.startswith("1 jobs with 3 files and 0 orphaned files would be removed")
    assert Job.objects.get().status == Status.COMPLETED
    call_command("cleanup_jobs", hours=0.0)
    assert capsys.readouterr().out.startswith("1 jobs with 3 files")
    assert not Job.objects.filter(pk=job.pk).exists()
