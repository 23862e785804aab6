"""Clean-up: old jobs and orphans go, live jobs stay, and a kill in the middle leaves no job without its picture."""

import os
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command
from django.db.models.functions import Now
from django.test import Client
from pytest_django.fixtures import Settings

from jobs.models import Batch, IdempotencyKey, Job
from jobs.states import Status
from jobs.storage import deletion, file_names, files, retention
from jobs.storage.retention import CleanupReport, cleanup
from jobs.submission import submit as intake
from jobs.submission.uploads import BoundedUploadHandler
from tests.jobs.clusters import REPOSITORY
from tests.jobs.conftest import picture, stored_files
from tests.jobs.submission.helpers import complete
from tests.stored import path_of

Submit = Callable[..., Job]


def age(job: Job, hours: float) -> None:
    Job.objects.filter(pk=job.pk).update(finished_at=Now() - timedelta(hours=hours))


def test_what_is_older_goes_with_its_files_and_the_rest_stays(submit: Submit, data_dir: Path) -> None:
    old, young = complete(submit(seed=1)), complete(submit(seed=2))
    age(old, 25)
    age(young, 23)
    size = sum(path_of(name).stat().st_size for name in file_names.names_of(old))
    assert cleanup(dry_run=True) == CleanupReport(jobs=1, files=3, bytes=size, orphans=0)
    assert Job.objects.count() == 2
    assert cleanup() == CleanupReport(jobs=1, files=3, bytes=size, orphans=0)
    assert list(Job.objects.all()) == [young]
    assert stored_files(data_dir) == sorted(file_names.names_of(young))
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
    monkeypatch.setattr(deletion, "CHUNK", 2)
    for seed in range(5):
        Job.objects.cancel(submit(seed=seed).pk)
    assert cleanup(0).jobs == 5
    assert stored_files(data_dir) == []


def write(data_dir: Path, *names: str) -> None:
    for name in names:
        path = data_dir / "files" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"123")


def ours() -> list[str]:
    """One orphan of each form that the service writes."""
    job, token = uuid.uuid4(), uuid.uuid4().hex
    return [
        f"inputs/aa/{job}.png",
        f"inputs/{token}.part",
        f"results/aa/{job}-{token}.png",
        f"results/aa/{job}-{token}.part",
        f"results/aa/{job}-{token}.png.part",
        f"previews/aa/{job}-{token}.webp",
    ]


def test_orphans_go_after_an_hour_and_what_is_being_written_stays(
    submit: Submit, data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = submit()
    write(data_dir, *ours(), "uploads/tmpab_d3fgh.upload")
    assert cleanup() == CleanupReport()
    monkeypatch.setattr(retention, "ORPHAN_SECONDS", 0.0)  # an upload's request may still run
    assert cleanup(dry_run=True) == CleanupReport(orphans=6, bytes=18)
    assert cleanup(orphan_seconds=0, dry_run=True) == CleanupReport(orphans=7, bytes=21)
    assert cleanup(orphan_seconds=0) == CleanupReport(orphans=7, bytes=21)
    assert stored_files(data_dir) == [job.input_file]


def test_what_the_service_itself_writes_has_a_name_that_the_clean_up_knows(submit: Submit, data_dir: Path) -> None:
    """Otherwise an orphan of that name would stay for ever."""
    names = file_names.names_of(complete(submit()))
    handler = BoundedUploadHandler()
    handler.new_file("image", "odd name.PNG", "image/png", None)
    staging = picture()
    with files.staged(staging):
        found = stored_files(data_dir)
    handler.abandon()
    assert len(found) == len(names) + 2
    assert [name for name in found if not file_names.is_ours(name)] == []


def test_files_of_others_are_never_touched(submit: Submit, data_dir: Path) -> None:
    """Snapshots of the file system, an NFS client's open files, what an operator put there: none of it is ours."""
    inner = f"aa/{uuid.uuid4()}.png"
    foreign = [
        f"inputs/.snapshot/{inner}",
        "inputs/.snapshot/old.png",
        "inputs/aa/.nfs000000000001",
        "inputs/README",
        f"inputs/aa/bb/{uuid.uuid4()}.png",
        f"inputs/{uuid.uuid4()}.png",
        f"results/aa/copy of {uuid.uuid4()}.png",
        f"results/aa/{uuid.uuid4()}-x.png",
        "results/lost+found/x",
        "uploads/notes.txt",
        "uploads/.nfs000000000002",
        f"uploads/deeper/{inner}",
    ]
    write(data_dir, *foreign)
    assert cleanup(0, orphan_seconds=0) == CleanupReport()
    assert stored_files(data_dir) == sorted(foreign)


@pytest.fixture
def stubborn(data_dir: Path) -> Iterator[Callable[[str], None]]:
    """A function that makes a stored file impossible to delete: immutable, or in a directory without the right."""
    locked: list[Path] = []

    def lock(name: str) -> None:
        path = path_of(name)
        locked.append(path)
        if os.geteuid() == 0:
            done = subprocess.run(["chattr", "+i", str(path)], capture_output=True, text=True, check=False)
            if done.returncode:
                pytest.skip(f"root can delete everything here, and chattr says: {done.stderr.strip()}")
        else:
            path.parent.chmod(0o500)

    yield lock
    for path in locked:
        if os.geteuid() == 0:
            subprocess.run(["chattr", "-i", str(path)], check=False)
        else:
            path.parent.chmod(0o700)


def test_a_file_that_cannot_be_deleted_is_named_and_the_rest_goes_on(
    submit: Submit,
    data_dir: Path,
    stubborn: Callable[[str], None],
    caplog: pytest.LogCaptureFixture,
    settings: Settings,
) -> None:
    first, second = complete(submit(seed=1)), complete(submit(seed=2))
    orphan = f"results/ff/{uuid.uuid4()}-{uuid.uuid4().hex}.png"
    write(data_dir, orphan)
    stubborn(first.result_file)
    waiting = submit(seed=3, idempotency_key="old")
    IdempotencyKey.objects.update(created_at=Now() - timedelta(hours=settings.IDEMPOTENCY_TTL_HOURS))
    report = cleanup(0, orphan_seconds=0)
    # Once as the job's own file, and once more as the orphan that it has become.
    assert (report.jobs, report.files, report.orphans, report.failed) == (2, 5, 1, 2)
    assert stored_files(data_dir) == [waiting.input_file, first.result_file]
    assert not Job.objects.filter(pk__in=[first.pk, second.pk]).exists()
    assert not IdempotencyKey.objects.exists(), "keys and logs are cleaned all the same"
    named = [record.getMessage() for record in caplog.records if "cannot be deleted" in record.getMessage()]
    assert named
    assert all(first.result_file in line for line in named)
    assert cleanup(0, orphan_seconds=0).failed == 1


def test_the_command_and_the_api_tell_of_files_that_stay(
    submit: Submit, data_dir: Path, stubborn: Callable[[str], None], client: Client
) -> None:
    stubborn(complete(submit(seed=1)).preview_file)
    with pytest.raises(CommandError, match="1 file could not be deleted"):
        call_command("cleanup_jobs", hours=0.0, verbosity=0)
    stubborn(complete(submit(seed=2)).preview_file)
    answer = client.post("/api/v1/cleanup?hours=0").json()
    assert (answer["success"], answer["cleaned_jobs"], answer["failed_files"]) == (False, 1, 1)
    assert "could not be deleted" in answer["message"]


def test_a_fresh_link_to_an_old_result_is_no_orphan(submit: Submit, data_dir: Path) -> None:
    first = complete(submit())
    for name in file_names.names_of(first):
        os.utime(path_of(name), (1, 1))
    files.copy(first.result_file, f"results/aa/{uuid.uuid4()}-y.png")  # its row is not committed yet
    assert cleanup().orphans == 0


@pytest.mark.processes
def test_killed_between_rows_and_files_it_leaves_no_job_without_files(
    submit: Submit, data_dir: Path, environment: dict[str, str]
) -> None:
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
