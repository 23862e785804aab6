"""A batch as a whole: its jobs, their counts and where it stands."""

from collections import Counter
from dataclasses import dataclass

from jobs.models.batch import Batch
from jobs.models.job import Job
from jobs.states import LIVE, Status


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
