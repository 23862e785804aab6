"""Previews: made when the job counts as completed, for nobody who waits; they may fail alone, and leave no file."""

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from django.db.models import F
from django.test import Client
from PIL import Image

from jobs.models import Job
from jobs.states import Status
from jobs.storage import file_names, files
from tests.eventually import eventually
from tests.jobs.conftest import StartCluster, stored_files
from tests.jobs.rig.apps import NO_PREVIEW
from tests.jobs.worker.test_cluster import ended
from tests.stored import path_of

Submit = Callable[..., Job]


@pytest.fixture
def gate(tmp_path: Path) -> Path:
    """Previews are made when this file exists."""
    return tmp_path / "gate"


def with_preview(job: Job) -> Job:
    """The job once it has a preview."""

    def look() -> Job | None:
        found = Job.objects.get(pk=job.pk)
        return found if found.preview_file and path_of(found.preview_file).exists() else None

    found = eventually(look, say=f"the preview of {job.pk}")
    assert found is not None
    return found


def test_a_caller_has_his_result_before_the_preview_is_made(
    start_cluster: StartCluster, submit: Submit, gate: Path, client: Client
) -> None:
    start_cluster(RIG_PREVIEWS_WAIT_FOR=str(gate))
    first = ended(submit(24, 16))
    assert (first.status, first.preview_file) == (Status.COMPLETED, "")
    assert client.get(f"/api/v1/jobs/{first.pk}/result").status_code == 200
    early = client.get(f"/api/v1/jobs/{first.pk}/preview")
    assert (early.status_code, early.headers["Retry-After"]) == (202, "1")
    assert early.json()["detail"] == "Preview still being made"
    twin = submit(24, 16, reuse=True)
    assert (twin.status, twin.reused_from, twin.preview_file) == (Status.COMPLETED, first.pk, "")
    gate.touch()
    for job in (first, twin):
        with files.open_preview(with_preview(job)) as file:
            assert Image.open(file).size == (48, 32)
        assert client.get(f"/api/v1/jobs/{job.pk}/preview").status_code == 200


def test_a_preview_that_cannot_be_made_leaves_a_completed_job_and_the_worker_goes_on(
    start_cluster: StartCluster, submit: Submit, data_dir: Path, client: Client
) -> None:
    cluster = start_cluster()
    job = ended(submit(NO_PREVIEW, 16))
    other = with_preview(submit(24, 16, seed=2))  # by the same worker, so the first preview has been tried
    job.refresh_from_db()
    assert (job.status, job.attempts, job.preview_file) == (Status.COMPLETED, 1, "")
    assert "no preview of this" in cluster.output()
    assert set(stored_files(data_dir)) == {*file_names.names_of(job), *file_names.names_of(other)}
    Job.objects.update(finished_at=F("finished_at") - timedelta(hours=1))
    late = client.get(f"/api/v1/jobs/{job.pk}/preview")
    assert (late.status_code, late.json()["code"]) == (404, "preview_not_found")
    assert client.get(f"/api/v1/jobs/{job.pk}/result").status_code == 200


def test_a_job_that_is_deleted_before_its_preview_leaves_no_file(
    start_cluster: StartCluster, submit: Submit, gate: Path, data_dir: Path, client: Client
) -> None:
    start_cluster(RIG_PREVIEWS_WAIT_FOR=str(gate))
    job = ended(submit(24, 16))
    assert client.delete(f"/api/v1/jobs/{job.pk}").status_code == 204
    gate.touch()
    other = with_preview(submit(24, 16, seed=2))
    assert set(stored_files(data_dir)) == set(file_names.names_of(other))
