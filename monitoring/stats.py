"""The service's figures since it was installed: true across processes, hosts, restarts and clean-ups.

**A request** is one HTTP call of the API, that is of a path under /api/v1/, except of the monitoring paths (health,
system, stats): probes would drown what users do. It is successful when it was answered with a status below 400 and
failed otherwise. **An image processed** is one completed job (an animation counts as one image). **Processing time**
is the time from a worker's claim to the stored result, averaged over completed jobs; results that were reused without
inference count as images but not into the average.
"""

from dataclasses import dataclass
from typing import Any

from django.db.models import Count, Q, QuerySet, Sum

from jobs.states import Status
from monitoring import ledger, requests
from monitoring.models import ALL_TIME, JobEnd, JobFigure, RequestFigure

API = Q(route__startswith="api/v1/")
MONITORING = Q(route__startswith="api/v1/health") | Q(route__in=["api/v1/system", "api/v1/stats"])

_Row = tuple[str, int, int, int, float]


@dataclass(frozen=True)
class Totals:
    """All that the service has done."""

    requests: int
    failed_requests: int
    completed: int
    failed: int
    cancelled: int
    reused: int
    average_processing_seconds: float

    @property
    def successful_requests(self) -> int:
        """Requests that were answered with a status below 400."""
        return self.requests - self.failed_requests


def totals() -> Totals:
    """Add up the rows of all time and what the ledger holds unfolded: constant in the number of jobs.

    The counts of other web processes may lack their last few seconds (monitoring/requests.py); this process's do not.
    """
    requests.counter.flush()
    ledger.fold()
    asked = (
        RequestFigure.objects.filter(API, hour=ALL_TIME)
        .exclude(MONITORING)
        .aggregate(all=Sum("count", default=0), failed=Sum("count", filter=Q(status__gte=400), default=0))
    )
    jobs: dict[str, _Jobs] = {}
    for status, number, reused, timed, seconds in [*_figures(), *_unfolded()]:
        jobs[status] = jobs.get(status, _Jobs()).plus(number, reused, timed, seconds)
    done = jobs.get(Status.COMPLETED, _Jobs())
    return Totals(
        requests=asked["all"],
        failed_requests=asked["failed"],
        completed=done.number,
        failed=jobs.get(Status.FAILED, _Jobs()).number,
        cancelled=jobs.get(Status.CANCELLED, _Jobs()).number,
        reused=done.reused,
        average_processing_seconds=round(done.seconds / done.timed, 3) if done.timed else 0.0,
    )


@dataclass(frozen=True)
class _Jobs:
    """Jobs of one outcome."""

    number: int = 0
    reused: int = 0
    timed: int = 0
    seconds: float = 0.0

    def plus(self, number: int, reused: int, timed: int, seconds: float) -> "_Jobs":
        return _Jobs(self.number + number, self.reused + reused, self.timed + timed, self.seconds + seconds)


def _figures() -> "QuerySet[Any, _Row]":
    rows = (
        JobFigure.objects.filter(hour=ALL_TIME)
        .values("status")
        .annotate(n=Sum("jobs"), r=Sum("reused"), t=Sum("timed"), s=Sum("seconds"))
    )
    return rows.values_list("status", "n", "r", "t", "s")


def _unfolded() -> "QuerySet[Any, _Row]":
    """Return the jobs that another process is folding at this moment, or that could not be folded yet."""
    timed = Q(status=Status.COMPLETED, reused=False, processing_seconds__isnull=False)
    rows = JobEnd.objects.values("status").annotate(
        n=Count("id"),
        r=Count("id", filter=Q(reused=True)),
        t=Count("id", filter=timed),
        s=Sum("processing_seconds", filter=timed, default=0.0),
    )
    return rows.values_list("status", "n", "r", "t", "s")
