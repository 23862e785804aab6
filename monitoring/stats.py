"""The service's figures since it was installed: true across processes, hosts, restarts and clean-ups.

**A request** is one HTTP call of the API, that is of a path under /api/v1/, except of the monitoring paths (health,
system, stats): probes would drown what users do. It is successful when it was answered with a status below 400 and
failed otherwise. **An image processed** is one completed job (an animation counts as one image). **Processing time**
is the time from a worker's claim to the stored result, averaged over completed jobs; results that were reused without
inference count as images but not into the average.
"""

from dataclasses import dataclass

from django.db.models import Count, F, Q, Sum

from jobs.states import Status
from monitoring import ledger, requests
from monitoring.models import ALL_TIME, JobEnd, JobFigure, RequestFigure

API = Q(route__startswith="api/v1/")
MONITORING = Q(route__startswith="api/v1/health") | Q(route__in=["api/v1/system", "api/v1/stats"])


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
    by_status = {row["status"]: row for row in _figures()}
    for row in _unfolded():
        known = by_status.setdefault(row["status"], dict.fromkeys(("n", "reused_n", "timed_n", "seconds_n"), 0))
        for name in ("n", "reused_n", "timed_n", "seconds_n"):
            known[name] += row[name]
    done = by_status.get(Status.COMPLETED, {})
    timed = done.get("timed_n", 0)
    return Totals(
        requests=asked["all"],
        failed_requests=asked["failed"],
        completed=done.get("n", 0),
        failed=by_status.get(Status.FAILED, {}).get("n", 0),
        cancelled=by_status.get(Status.CANCELLED, {}).get("n", 0),
        reused=done.get("reused_n", 0),
        average_processing_seconds=round(done["seconds_n"] / timed, 3) if timed else 0.0,
    )


def _figures() -> list[dict[str, float]]:
    rows = (
        JobFigure.objects.filter(hour=ALL_TIME)
        .values("status")
        .annotate(n=Sum("jobs"), reused_n=Sum("reused"), timed_n=Sum("timed"), seconds_n=Sum("seconds"))
    )
    return list(rows)


def _unfolded() -> list[dict[str, float]]:
    """What another process is folding at this moment, or could not fold yet."""
    timed = Q(status=Status.COMPLETED, reused=False, processing_seconds__isnull=False)
    rows = JobEnd.objects.values("status").annotate(
        n=Count("id"),
        reused_n=Count("id", filter=Q(reused=True)),
        timed_n=Count("id", filter=timed),
        seconds_n=Sum(F("processing_seconds"), filter=timed, default=0.0),
    )
    return list(rows)
