"""Actions of callers and staff on a job: cancel it, run it again, or delete it."""

from math import prod
from uuid import UUID

from django.db import transaction

from audit.log import record
from audit.models import Action
from jobs.errors import JobNotFound, JobStateConflict
from jobs.models import Job, Turn
from jobs.models.job_queryset import JobQuerySet
from jobs.models.turn import cost
from jobs.queue import dispatch
from jobs.states import TERMINAL
from jobs.storage.deletion import delete_ended
from jobs.submission import admission, limits


def cancel(jobs: JobQuerySet, job_id: UUID) -> Job:
    """Cancel a waiting job, or ask the worker of a running one to stop. Raises JobNotFound, JobStateConflict."""
    with transaction.atomic():
        job = jobs.cancel(job_id)
        record(Action.CANCELLED, "job", [job.pk])
    return job


def retry(jobs: JobQuerySet, job_id: UUID) -> Job:
    """Queue a failed or cancelled job again and wake a worker. It counts as one that is submitted anew.

    :raises JobNotFound, JobStateConflict: :raises QueueFull, LimitReached: there is no room for it.
    """
    admission.require_queue_room(1)
    old = jobs.filter(pk=job_id).select_related("api_key").first()
    if old is None:
        raise JobNotFound(job_id)
    size = (old.input_width, old.input_height, old.input_frames)
    share = old.api_key.share if old.api_key else 1.0
    (turn,) = Turn.objects.take(old.caller, old.priority, [cost(*size, old.model)], share=share)
    with transaction.atomic():
        limits.take(old.caller, old.api_key, limits.Demand(1, prod(size) / 1e6, 0))
        job = jobs.retry(job_id, turn=turn)
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
