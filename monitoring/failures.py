"""Failed jobs of a period by reason and by model: what the Operations page counts, with a way to the jobs."""

from dataclasses import dataclass
from urllib.parse import urlencode

from django.db.models import Q, Sum
from django.urls import reverse

from jobs import chains
from jobs.admin import formatting
from jobs.models import Job
from jobs.states import Status
from monitoring.charts import Period, beginning
from monitoring.models import JobFigure

#: Rows of each table: what is rarer is found in the list of jobs.
MOST = 10
#: The job list's filter of ages, where it has the period's.
_WITHIN = {"day": "24", "week": "168"}


@dataclass(frozen=True)
class Reason:
    """One error code: how many jobs it ended, and what the newest of them said."""

    code: str
    jobs: int
    link: str
    newest_job: str = ""  # its id; empty where clean-up has removed them all
    newest_text: str = ""


@dataclass(frozen=True)
class FailingModel:
    """One model: how many of its jobs failed, of those that completed or failed, and for what most of all."""

    model: str
    failed: int
    ran: int
    reason: str
    link: str

    @property
    def percent(self) -> float:
        """The failed ones' share of those that ran."""
        return 100 * self.failed / self.ran


def by_reason(period: Period) -> list[Reason]:
    """Return the most frequent reasons of the period, the first the most frequent."""
    rows = (
        JobFigure.objects.filter(hour__gte=beginning(period), status=Status.FAILED)
        .values_list("error_code")
        .annotate(n=Sum("jobs"))
        .order_by("-n", "error_code")[:MOST]
    )
    found = []
    for code, number in rows:
        newest = Job.objects.filter(status=Status.FAILED, error_code=code).order_by("-created_at", "-id")
        job = newest.values_list("pk", "error").first()
        link = _link(period, error_code=code) if code else _link(period)
        found.append(Reason(code or formatting.DASH, number, link, *((str(job[0]), job[1]) if job else ())))
    return found


def by_model(period: Period) -> list[FailingModel]:
    """Return the models with the most failures in the period, the first the one with the most."""
    ended = JobFigure.objects.filter(hour__gte=beginning(period), status__in=(Status.COMPLETED, Status.FAILED))
    failed = Q(status=Status.FAILED)
    rows = list(
        ended.values_list("model")
        .annotate(failed=Sum("jobs", filter=failed, default=0), ran=Sum("jobs"))
        .filter(failed__gt=0)
        .order_by("-failed", "model")[:MOST]
    )
    reasons: dict[str, str] = {}
    counted = ended.filter(failed, model__in=[row[0] for row in rows]).values_list("model", "error_code")
    for model, code, _number in counted.annotate(n=Sum("jobs")).order_by("-n", "error_code"):
        reasons.setdefault(model, code)
    return [
        FailingModel(model, bad, ran, reasons.get(model, ""), _link(period, model=_listed(model)))
        for model, bad, ran in rows
    ]


def _listed(model: str) -> str:
    """Return how the job list's filter names the model of a figure, which counts chains by their length."""
    return chains.SEPARATOR if model.startswith("chain of ") else model


def _link(period: Period, **choices: str) -> str:
    within = {"within": _WITHIN[period.name]} if period.name in _WITHIN else {}
    query = urlencode({"status__exact": Status.FAILED.value, **within, **choices})
    return f"{reverse('admin:jobs_job_changelist')}?{query}"
