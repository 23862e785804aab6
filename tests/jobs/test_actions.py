"""Running ended jobs again, and deleting them."""

import uuid
from collections.abc import Callable
from pathlib import Path

import pytest
from django.test import Client
from pytest_django.fixtures import Settings

from jobs import actions
from jobs.errors import QueueFull
from jobs.models import Job
from jobs.states import Status
from jobs.storage import file_names
from tests.jobs.conftest import stored_files
from tests.jobs.submission.helpers import complete
from tests.stored import path_of

Submit = Callable[..., Job]


def test_a_full_queue_takes_no_retried_job_either(submit: Submit, settings: Settings, client: Client) -> None:
    ended = [submit(seed=seed) for seed in range(3)]
    for job in ended:
        Job.objects.cancel(job.pk)
    settings.MAX_QUEUED_JOBS = 1
    actions.retry(Job.objects.all(), ended[0].pk)
    with pytest.raises(QueueFull, match="1 jobs wait, the limit is 1"):
        actions.retry(Job.objects.all(), ended[1].pk)
    answer = client.post(f"/api/v1/jobs/{ended[2].pk}/retry")
    assert (answer.status_code, answer.json()["code"]) == (503, "queue_full")
    assert int(answer.headers["Retry-After"]) > 0
    assert Job.objects.filter(status=Status.QUEUED).count() == 1


def test_deleting_a_job_removes_what_a_lost_claim_wrote_too(submit: Submit, data_dir: Path) -> None:
    job = complete(submit())
    stray = file_names.result_name(job.pk, uuid.uuid4(), "png")
    path_of(stray).write_bytes(b"written by a worker that was killed")
    actions.delete(Job.objects.all(), job.pk)
    assert stored_files(data_dir) == []
