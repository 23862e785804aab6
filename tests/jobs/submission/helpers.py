"""Submissions that are refused, jobs that are done, workers that were heard."""

import io
import socket
from collections.abc import Callable
from typing import Any

from django.db.models.functions import Now

from jobs.models import Job, Worker
from jobs.models.results import Finished
from jobs.storage import file_names
from jobs.submission import submit
from tests.stored import path_of

Make = Callable[..., submit.Submission]


def text(content: bytes = b"hello", name: str = "notes.jpg") -> Any:
    file = io.BytesIO(content)
    file.name = name
    return file


def complete(job: Job) -> Job:
    """As a worker would, with a result of five bytes."""
    claimed = Job.objects.claim("w")
    assert claimed is not None
    assert claimed.pk == job.pk
    assert claimed.token
    names = [
        file_names.result_name(job.pk, claimed.token, "png"),
        file_names.preview_name(job.pk, claimed.token, "jpeg"),
    ]
    for name in names:
        path_of(name).parent.mkdir(parents=True, exist_ok=True)
        path_of(name).write_bytes(b"pixel")
    assert Job.objects.succeed(claimed, Finished(names[0], 5, "png", 48, 32, "f" * 64, 1, 1, {"tiles": 1}))
    done = Job.objects.get(pk=job.pk)
    assert Job.objects.add_preview(done, names[1])
    done.refresh_from_db()
    return done


def write_worker(device: str) -> Worker:
    """A worker of this host that was heard just now."""
    row: Worker = Worker.objects.create(
        id=f"gpu@test:{device}", cluster="gpu", host=socket.gethostname(), pid=1, device=device, started_at=Now(),
        seen_at=Now(),
    )  # fmt: skip
    return row
