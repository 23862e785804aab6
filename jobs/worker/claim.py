"""A claimed job and its verbs, each asked again until the database answers: a restart costs no attempt.

Every verb is safe to ask twice (jobs/models/job_queryset.py). Each returns False where the claim was lost: then the job
is somebody else's, and what this worker wrote is to be deleted.
"""

from datetime import timedelta

from django.db import transaction

from jobs.models.job import Job
from jobs.models.results import Finished
from jobs.models.worker import Worker
from jobs.queue import dispatch
from jobs.worker.db_retry import retried


class Claim:
    """One worker's hold on one job, until a verb ends it."""

    def __init__(self, job: Job) -> None:
        """:param job: as `JobQuerySet.claim` returned it, with its token."""
        self.job = job

    @retried
    def succeed(self, finished: Finished) -> bool:
        """Accept the result."""
        return Job.objects.succeed(self.job, finished)

    @retried
    def fail(self, error: str, code: str) -> bool:
        """End the job as failed; ``error`` is shown to its owner."""
        return Job.objects.fail(self.job, error, code)

    @retried
    def give_up(self) -> bool:
        """End the job as cancelled, as its owner asked."""
        return Job.objects.give_up(self.job)

    @retried
    def requeue(self, error: str, code: str) -> bool:
        """Hand the job back for a further attempt, and ring for it."""
        with transaction.atomic():
            released = Job.objects.release(self.job, counted=True, error=error, code=code)
            if released:
                dispatch.ring()
        return released

    @retried
    def hand_back(self) -> bool:
        """Hand the job back as if it had not been taken, and ring for it."""
        with transaction.atomic():
            released = Job.objects.release(self.job, counted=False)
            if released:
                dispatch.ring()
        return released

    @retried
    def postpone(self, error: str, code: str, pause: timedelta) -> bool:
        """Hand the job back; nobody takes it before the pause is over. The attempt does not count."""
        return Job.objects.release(self.job, counted=False, error=error, code=code, pause=pause)

    @retried
    def is_accepted(self) -> bool:
        """Return whether the row names this claim's result: an answer may be lost after its COMMIT."""
        assert self.job.token is not None
        return Job.objects.filter(pk=self.job.pk, result_file__contains=self.job.token.hex).exists()

    @retried
    def another_computes(self, precision: str | None) -> bool:
        """Return whether a living worker computes in that precision."""
        return Worker.objects.computing().filter(precisions__contains=[precision]).exists()
