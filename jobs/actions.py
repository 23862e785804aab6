"""What can be done with a job that has ended: run it again, or delete it."""

from uuid import UUID

from django.db import transaction

from jobs.errors import JobNotFound, JobStateConflict
from jobs.models import Job
from jobs.models.job_queryset import JobQuerySet
from jobs.queue import dispatch
from jobs.states import TERMINAL
from jobs.storage import file_names, files
from jobs.submission import admission


def retry(jobs: JobQuerySet, job_id: UUID) -> Job:
    """Queue a failed or cancelled job again and wake a worker. Raises JobNotFound, JobStateConflict, QueueFull."""
    admission.require_queue_room(1)
    with transaction.atomic():
        job = jobs.retry(job_id)
        dispatch.ring()
    return job


def delete(jobs: JobQuerySet, job_id: UUID) -> None:
    """Delete an ended job: first the row, then its files. Raises JobNotFound, JobStateConflict.

    The row is locked: a retry between the look and the deletion would lose its input. A process that dies between the
    two steps leaves files that nothing names, which the clean-up finds; never a job without its picture.
    """
    with transaction.atomic():
        job = jobs.filter(pk=job_id).select_for_update(of=("self",)).first()
        if job is None:
            raise JobNotFound(job_id)
        if job.status not in TERMINAL:
            raise JobStateConflict(f"Job {job.id} is {job.status}; only ended jobs can be deleted")
        names = file_names.names_of(job)
        job.delete()
    files.remove(names)
    files.remove_strays(job_id, keep=None)
