"""Jobs as they are after their life, made with the verbs that make them so."""

import io
import uuid
from typing import TYPE_CHECKING, Any

from PIL import Image

from tests.job_rows import waiting_job
from tests.stored import path_of

if TYPE_CHECKING:
    from jobs.models import Job, Worker

REPORT: dict[str, Any] = {
    "device": "cpu",
    "device_name": "Test CPU",
    "backend": "torch",
    "precision": "fp32",
    "tiles": 4,
    "tile_size": 32,
    "tile_pad": 8,
    "passes": 1,
    "seconds": {"decode": 0.01, "load": 0.2, "infer": 1.5, "encode": 0.03},
}


def queued(*, files: bool = False, **fields: Any) -> "Job":
    """A job that waits; with ``files`` its input really exists."""
    from jobs.storage import file_names

    job_id = uuid.uuid4()
    name = file_names.input_name(job_id, "png")
    if files:
        write(name, (48, 32), "red")
    values = {"input_file": name, "input_name": "cat.png", "input_bytes": 1234, "input_width": 48, "input_height": 32}
    return waiting_job(**{"id": job_id, **values, **fields})


def processing(**fields: Any) -> "Job":
    """A job that a worker holds. No other job may wait at this moment."""
    from jobs.models import Job

    wanted = queued(**fields)
    job = Job.objects.claim("gpu@test:1-abc")
    assert job is not None
    assert job.pk == wanted.pk, "another job waits and was claimed instead"
    return job


def completed(*, files: bool = False, report: dict[str, Any] | None = None, **fields: Any) -> "Job":
    """A job with its result."""
    from jobs.models import Job
    from jobs.models.results import Finished
    from jobs.storage import file_names

    job = processing(files=files, **fields)
    assert job.token is not None
    name = file_names.result_name(job.pk, job.token, "png")
    size = write(name, (96, 64), "blue") if files else 4321
    finished = Finished(name, size, "png", 96, 64, "b" * 64, report=REPORT if report is None else report)
    assert Job.objects.succeed(job, finished)
    job.refresh_from_db()
    return job


def failed(code: str = "out_of_memory", **fields: Any) -> "Job":
    """A job that failed for a reason."""
    from jobs.models import Job

    job = processing(**fields)
    assert Job.objects.fail(job, f"it failed: {code}", code)
    job.refresh_from_db()
    return job


def cancelled(**fields: Any) -> "Job":
    """A job that was cancelled while it waited."""
    from jobs.models import Job

    return Job.objects.cancel(queued(**fields).pk)


def worker(cluster: str = "gpu", *, silent_seconds: float = 0, **fields: Any) -> "Worker":
    """A worker's heartbeat row."""
    from datetime import timedelta

    from django.db.models.functions import Now

    from jobs.models import Worker

    name = fields.pop("id", f"{cluster}@test:{uuid.uuid4().hex[:6]}")
    defaults = {"host": "test", "pid": 1, "device": "cpu" if cluster == "gpu" else "", "started_at": Now()}
    row: Worker = Worker.objects.create(
        id=name, cluster=cluster, seen_at=Now() - timedelta(seconds=silent_seconds), **defaults | fields
    )
    row.refresh_from_db()
    return row


def write(name: str, size: tuple[int, int], color: str) -> int:
    """Put a PNG into the storage; returns its bytes."""
    file = io.BytesIO()
    Image.new("RGB", size, color).save(file, "PNG")
    return put(name, file.getvalue())


def put(name: str, content: bytes) -> int:
    """Put bytes into the storage under a name; returns how many."""

    path = path_of(name)
    path.parent.mkdir(parents=True, exist_ok=True)
    return path.write_bytes(content)
