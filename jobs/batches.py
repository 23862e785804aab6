"""A batch as a whole: where it stands, and its results in one archive."""

import json
from collections import Counter
from dataclasses import dataclass

from zipstream import ZipStream

from jobs.models import Batch, Job
from jobs.states import LIVE, Status
from jobs.storage.archive import names_for, stream_zip


@dataclass(frozen=True)
class BatchState:
    """A batch and its jobs, in the order of the call."""

    batch: Batch
    jobs: list[Job]

    @property
    def counts(self) -> dict[str, int]:
        """Jobs by status; every status is there."""
        seen = Counter(job.status for job in self.jobs)
        return {status: seen[status] for status in Status.values}

    @property
    def total(self) -> int:
        """Accepted pictures."""
        return len(self.jobs)

    @property
    def status(self) -> str:
        """queued: none begun; processing: some are left; completed: every job has ended, however it ended."""
        live = [job for job in self.jobs if job.status in LIVE]
        if not live:
            return "completed"
        return (
            "queued" if len(live) == self.total and all(job.status == Status.QUEUED for job in live) else "processing"
        )


def state_of(batch: Batch) -> BatchState:
    """Look at a batch. One query."""
    return BatchState(batch, list(batch.jobs.order_by("batch_index", "id")))


def archive_of(state: BatchState) -> ZipStream:
    """The results, and a manifest that tells of every picture of the call, also of those without a result."""
    done = [job for job in state.jobs if job.status == Status.COMPLETED]
    names = names_for(done)
    pictures = [
        {
            "index": job.batch_index,
            "filename": job.input_name or None,
            "job_id": str(job.id),
            "status": job.status,
            "result": names.get(job.pk),
            "sha256": job.result_sha256 or None,
            "error": job.error or None,
        }
        for job in state.jobs
    ]
    body = {"batch_id": str(state.batch.id), "jobs": pictures, "rejected": state.batch.rejected}
    return stream_zip(done, json.dumps(body, indent=2, ensure_ascii=False).encode())
