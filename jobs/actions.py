"""Actions on a job that has ended: run it again, or delete it."""

from uuid import UUID

from django.db import transaction

from jobs.errors import JobNotFound, JobStateConflict
from jobs.models import Job
from jobs.models.job_queryset import JobQuerySet
from jobs.queue import dispatch
from jobs.states import TERMINAL
from jobs.storage.deletion import delete_ended
from jobs.submission import admission


def retry(jobs: JobQuerySet, job_id: UUID) -> Job:
    """Queue a failed or cancelled job again and wake a worker. Raises JobNotFound, JobStateConflict, QueueFull."""
    admission.require_queue_room(1)
    with transaction.atomic():
        job = jobs.retry(job_id)
        dispatch.ring()
    return job


def delete(jobs: JobQuerySet, job_id: UUID) -> None:
    """Delete an ended job: first the row, then its files. Raises JobNotFound, JobStateConflict."""
    while not delete_ended(jobs.filter(pk=job_id)).jobs:
        job = jobs.filter(pk=job_id).first()
        if job is None:
            raise JobNotFound(job_id)
        if job.status not in TERMINAL:  # else it ended between the two queries
            raise JobStateConflict(f"Job {job.id} is {job.status}; only ended jobs can be deleted")
