"""Shared pieces of the jobs' views."""

import re
import uuid

from rest_framework.request import Request
from rest_framework.viewsets import ViewSet

from jobs.auth.authentication import seen_by
from jobs.errors import BatchNotFound, JobNotFound
from jobs.models import Batch, Job
from jobs.models.job_queryset import JobQuerySet

_CANONICAL = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)


class ApiViewSet(ViewSet):
    """Callers need the scope "upscale"; submissions are counted apart from everything else."""

    required_scope: str | None = "upscale"
    throttle_scope: str | dict[str, str] | None = "read"


def visible_jobs(request: Request) -> JobQuerySet:
    """Return the jobs that the caller may see."""
    jobs: JobQuerySet = Job.objects.all()
    return jobs.visible_to(seen_by(request))


def find_job(request: Request, job_id: str) -> Job:
    """Return the caller's job. Raises JobNotFound, also for a malformed id and for another caller's job."""
    key = parse_id(job_id)
    job = visible_jobs(request).filter(pk=key).first() if key else None
    if job is None:
        raise JobNotFound(shown(job_id))
    return job


def find_batch(request: Request, batch_id: str) -> Batch:
    """Return the caller's batch. Raises BatchNotFound."""
    key, caller = parse_id(batch_id), seen_by(request)
    batches = Batch.objects.all() if caller is None else Batch.objects.filter(api_key=caller)
    batch = batches.filter(pk=key).first() if key else None
    if batch is None:
        raise BatchNotFound(shown(batch_id))
    return batch


def parse_id(text: str) -> uuid.UUID | None:
    """Return the UUID if the text has its usual form, else None: one job has one address."""
    return uuid.UUID(text) if _CANONICAL.fullmatch(text) else None


def shown(text: str) -> str:
    """Shorten a caller's text so that it can be repeated in a message."""
    return text if len(text) <= 100 else f"{text[:100]}…"
