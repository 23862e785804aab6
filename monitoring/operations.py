"""The Operations page of the admin.

Is everything running, how long is the queue, how full is the disk; and clean-up.
"""

from pathlib import Path
from typing import Any

import psutil
from django import forms
from django.conf import settings
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext
from django.views.decorators.http import require_http_methods

from jobs.admin import formatting
from jobs.models import Job, Worker
from jobs.states import Priority, Status
from jobs.storage import retention
from monitoring import charts, health, ledger, stats, system
from monitoring import queue as waiting

#: Thresholds above which a card turns red.
DISK_HIGH_PERCENT = 90


class CleanUpForm(forms.Form):
    """The selection of jobs to remove."""

    hours = forms.IntegerField(
        min_value=0, max_value=24 * 365 * 10, label=gettext_lazy("Finished more than … hours ago"), label_suffix=""
    )


@require_http_methods(["GET", "HEAD", "POST"])
def operations(request: HttpRequest) -> HttpResponse:
    """Show the page. POST counts what a clean-up would remove, and with ``run`` removes it."""
    if not request.user.has_perm("monitoring.view_operations"):
        raise PermissionDenied
    may_clean = request.user.has_perm("jobs.cleanup_job")
    form = CleanUpForm(initial={"hours": settings.RESULT_TTL_HOURS})
    found = None
    if request.method == "POST":
        if not may_clean:
            raise PermissionDenied
        form = CleanUpForm(request.POST)
        if form.is_valid() and "run" in request.POST:
            return _clean(request, form.cleaned_data["hours"])
        if form.is_valid():
            found = retention.cleanup(hours=form.cleaned_data["hours"], dry_run=True)
    period = charts.PERIODS.get(request.GET.get("period", ""), charts.PERIODS["day"])
    context = {
        **admin.site.each_context(request),
        "title": _("Operations"),
        "form": form,
        "found": found,
        "found_bytes": formatting.byte_size(found.bytes) if found else "",
        "may_clean": may_clean,
        "period": period,
        "periods": [(charts.PERIODS[name], label) for name, label in _period_names()],
        **_state(period),
    }
    return TemplateResponse(request, "admin/monitoring/operations.html", context)


def _clean(request: HttpRequest, hours: int) -> HttpResponse:
    report = retention.cleanup(hours=hours)
    text = _("Cleaned up %(jobs)d jobs and %(files)d files, %(bytes)s.") % {
        "jobs": report.jobs,
        "files": report.files + report.orphans,
        "bytes": formatting.byte_size(report.bytes),
    }
    messages.success(request, text)
    if report.failed:
        messages.warning(
            request,
            ngettext(
                "%(count)d file could not be deleted; the log says why.",
                "%(count)d files could not be deleted; the log says why.",
                report.failed,
            )
            % {"count": report.failed},
        )
    return HttpResponseRedirect(reverse("operations"))


def _state(period: charts.Period) -> dict[str, Any]:
    ledger.fold()
    now = timezone.now()
    workers = list(Worker.objects.order_by("cluster", "host", "pid"))
    alive = set(Worker.objects.alive().values_list("pk", flat=True))
    by_priority = waiting.depth_by_priority()
    return {
        "now": now,
        "findings": health.readiness(),
        "queue": [(priority.label, by_priority.get(priority.value, 0)) for priority in reversed(Priority)],
        "queued": sum(by_priority.values()),
        "oldest": formatting.seconds(waiting.oldest_wait_seconds() if by_priority else None),
        "processing": Job.objects.filter(status=Status.PROCESSING).count(),
        "workers": [_worker(worker, worker.pk in alive) for worker in workers],
        "alive": len(alive),
        "totals": stats.totals(),
        "throughput": charts.throughput(period, now),
        "durations": charts.durations(period, now),
        "chart_size": {
            "width": charts.WIDTH,
            "height": charts.HEIGHT,
            "left": charts.LEFT,
            "right": charts.WIDTH - charts.RIGHT,
            "bottom": charts.HEIGHT - 6,
        },
        "disks": _disks(),
    }


def _worker(worker: Worker, is_alive: bool) -> dict[str, Any]:
    state = ("busy" if worker.current_job else "alive") if is_alive else "silent"
    total = worker.memory_total or 0
    return {
        "row": worker,
        "state": state,
        "label": {"busy": _("at work"), "alive": _("idle"), "silent": _("silent")}[state],
        "seen": formatting.age(worker.seen_at),
        "running": formatting.age(worker.started_at),
        "memory": f"{formatting.byte_size(worker.memory_used)} / {formatting.byte_size(total)}"
        if total
        else formatting.DASH,
        "memory_share": round(1000 * (worker.memory_used or 0) / total) if total else 0,
    }


def _disks() -> list[dict[str, Any]]:
    """Return the disks of pictures and models, each once."""
    disks: dict[int, dict[str, Any]] = {}
    for label, directory in ((_("Pictures"), settings.MEDIA_ROOT), (_("Models"), settings.MODELS_DIR)):
        path = system.existing(Path(directory))
        device = path.stat().st_dev
        if device in disks:
            disks[device]["labels"].append(label)
            continue
        usage = psutil.disk_usage(str(path))  # its percentage leaves out what only root may use, as df does
        percent = round(usage.percent)
        disks[device] = {
            "labels": [label],
            "free": formatting.byte_size(usage.free),
            "total": formatting.byte_size(usage.total),
            "percent": percent,
            "share": percent * 10,
            "high": percent >= DISK_HIGH_PERCENT,
        }
    return list(disks.values())


def _period_names() -> list[tuple[str, str]]:
    return [("day", _("24 hours")), ("week", _("7 days")), ("month", _("30 days"))]
