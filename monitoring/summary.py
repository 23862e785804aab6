"""The service in a few cards: the head of the Operations page and of the admin's index, renewed while it is looked at.

Every figure names its period, or is of this moment. The work for a browser that looks all day is bounded: a few counts
over short indexes, and sums over the figures of a day.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models import Q, Sum
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _

from jobs.admin import formatting
from jobs.models import Job, Pause, Worker
from jobs.queue import dispatch
from jobs.states import Priority, Status
from monitoring import health, ledger, stats
from monitoring import queue as waiting
from monitoring.models import JobFigure, RequestFigure

#: The period of the cards that count what has ended: the running hour and the 23 before it, as in the charts.
HOURS = 24


@dataclass(frozen=True)
class Card:
    """One figure: what it is, its value, a note in small letters; ``bad`` where somebody has to look."""

    name: str
    value: str
    note: str = ""
    bad: bool = False
    link: str = ""


def cards(findings: list[health.Finding] | None = None) -> list[Card]:
    """Return the cards, in the order in which they are read; ``findings``: of readiness, where they are known."""
    ledger.fold()
    now = timezone.now()
    since = now.replace(minute=0, second=0, microsecond=0) - timedelta(hours=HOURS - 1)
    jobs = reverse("admin:jobs_job_changelist")
    return [
        _readiness(health.readiness() if findings is None else findings),
        _waiting(jobs),
        Card(
            _("At work"),
            str(Job.objects.filter(status=Status.PROCESSING).count()),
            link=f"{jobs}?status__exact={Status.PROCESSING}",
        ),
        *_workers(),
        *_ended(since, jobs),
        _requests(since),
    ]


def _readiness(findings: list[health.Finding]) -> Card:
    bad = [finding for finding in findings if not finding.ok]
    if not bad:
        return Card(_("Service"), _("Ready"))
    reasons = "; ".join(f"{finding.name}: {finding.detail}" for finding in bad)
    return Card(_("Service"), _("Not ready"), reasons, bad=True)


def _waiting(jobs: str) -> Card:
    counts = waiting.depth_by_priority()
    notes = [f"{priority.label} {counts[priority]}" for priority in reversed(Priority) if counts.get(priority)]
    if counts:
        notes.append(_("longest %(wait)s") % {"wait": formatting.seconds(waiting.oldest_wait_seconds())})
    if Pause.objects.is_on(dispatch.GPU):
        notes.insert(0, _("paused"))
    link = f"{jobs}?status__exact={Status.QUEUED}"
    return Card(_("Waiting"), str(sum(counts.values())), ", ".join(notes), link=link)


def _workers() -> list[Card]:
    """Return a card for each kind of worker: those that compute pictures, and those that do all else."""
    known = list(Worker.objects.values_list("pk", "cluster", "current_job", "device"))
    alive = set(Worker.objects.alive().values_list("pk", flat=True))
    kinds = (("gpu", _("gpu workers"), _("pictures")), ("io", _("io workers"), _("downloads, webhooks, clean-up")))
    found = []
    for cluster, name, what in kinds:
        reported = [(pk, job, device) for pk, kind, job, device in known if kind == cluster]
        members = [(job, device) for pk, job, device in reported if pk in alive]
        busy = sum(job is not None for job, _device in members)
        notes = [f"{what}: " + _("%(busy)d at work, %(idle)d idle") % {"busy": busy, "idle": len(members) - busy}]
        notes += sorted({device for _job, device in members if device})
        gone = len(reported) - len(members)
        notes += [_("%(count)d silent") % {"count": gone}] if gone else []
        link = f"{reverse('admin:jobs_worker_changelist')}?cluster={cluster}"
        found.append(Card(name, str(len(members)), ", ".join(notes), bad=not members, link=link))
    return found


def _ended(since: datetime, jobs: str) -> list[Card]:
    rows = JobFigure.objects.filter(hour__gte=since).order_by().values_list("status").annotate(n=Sum("jobs"))
    counts = dict(rows)
    completed, failed = counts.get(Status.COMPLETED, 0), counts.get(Status.FAILED, 0)
    cancelled = counts.get(Status.CANCELLED, 0)
    share = 100 * failed / (completed + failed) if completed + failed else 0.0
    return [
        Card(
            _("Completed, last 24 hours"),
            str(completed),
            _("%(count)d cancelled") % {"count": cancelled} if cancelled else "",
            link=f"{jobs}?status__exact={Status.COMPLETED}&within=24",
        ),
        Card(
            _("Failed, last 24 hours"),
            str(failed),
            _("%(share).1f %% of those that ran") % {"share": share} if failed else "",
            link=f"{reverse('operations')}#failures" if failed else "",
        ),
    ]


def _requests(since: datetime) -> Card:
    found = (
        RequestFigure.objects.filter(stats.API, hour__gte=since)
        .exclude(stats.MONITORING)
        .aggregate(all=Sum("count", default=0), failed=Sum("count", filter=Q(status__gte=400), default=0))
    )
    note = _("%(count)d refused or failed") % {"count": found["failed"]} if found["failed"] else ""
    return Card(_("API requests, last 24 hours"), str(found["all"]), note)
