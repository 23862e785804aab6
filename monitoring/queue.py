"""The queue's length and its waiting times, read from the partial index of waiting jobs."""

from datetime import timedelta

from django.db.models import Count, DurationField, ExpressionWrapper, F, Max
from django.db.models.functions import Now

from jobs.models import Job
from jobs.states import Status


def depth() -> int:
    """Return how many jobs wait for a worker."""
    return Job.objects.filter(status=Status.QUEUED).count()


def depth_by_priority() -> dict[int, int]:
    """Return how many jobs of each priority wait; a priority without waiting jobs is absent."""
    rows = Job.objects.filter(status=Status.QUEUED).order_by().values("priority").annotate(n=Count("pk"))
    return {row["priority"]: row["n"] for row in rows}


def oldest_wait_seconds() -> float:
    """Return how long the job that waits longest has waited, by the database's clock; 0.0 when none waits."""
    waited = ExpressionWrapper(Now() - F("queued_at"), output_field=DurationField())
    oldest = Job.objects.filter(status=Status.QUEUED).order_by().aggregate(seconds=Max(waited))["seconds"]
    return round(max(0.0, (oldest or timedelta()).total_seconds()), 1)
