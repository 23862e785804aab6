"""The Operations page of the admin.

Is everything running, how long is the queue, what failed, how full is the disk; and clean-up.
"""

from collections.abc import Callable
from typing import Any

from django import forms
from django.conf import settings
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext
from django.views.decorators.http import require_http_methods, require_safe

from jobs.admin import formatting
from jobs.storage import retention
from modelstore import notify
from monitoring import charts, failures, health, machines, stats, summary
from monitoring.queues import queues

#: The parts that are renewed while somebody looks: name → (template, what it shows).
PARTS: dict[str, tuple[str, Callable[[], dict[str, Any]]]] = {
    "cards": ("admin/monitoring/cards.html", lambda: {"cards": summary.cards()}),
    "workers": ("admin/monitoring/workers.html", lambda: {"kinds": machines.workers()}),
}


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
        "may_pause": request.user.has_perm("jobs.pause_queue"),
        "queues": queues(),
        "carrier": notify.carrier(),
        "period": period,
        "period_name": _("last %(period)s") % {"period": dict(_period_names())[period.name]},
        "periods": [(charts.PERIODS[name], label) for name, label in _period_names()],
        **_state(period),
    }
    return TemplateResponse(request, "admin/monitoring/operations.html", context)


@require_safe
def part(request: HttpRequest, name: str) -> HttpResponse:
    """Return a part of the page as HTML, for the script that renews it (staff/live.js)."""
    if not request.user.has_perm("monitoring.view_operations"):
        raise PermissionDenied
    if name not in PARTS:
        raise Http404("no such part")
    template, context = PARTS[name]
    response = TemplateResponse(request, template, context())
    response["Cache-Control"] = "no-store"
    return response


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
    now = timezone.now()
    findings = health.readiness()
    return {
        "cards": summary.cards(findings),  # folds the ledger, so it comes before the other figures
        "findings": findings,
        "kinds": machines.workers(),
        "totals": stats.totals(),
        "reasons": failures.by_reason(period),
        "failing_models": failures.by_model(period),
        "throughput": charts.throughput(period, now),
        "durations": charts.durations(period, now),
        "chart_size": {
            "width": charts.WIDTH,
            "height": charts.HEIGHT,
            "left": charts.LEFT,
            "right": charts.WIDTH - charts.RIGHT,
            "bottom": charts.HEIGHT - 6,
        },
        "disks": machines.disks(),
    }


def _period_names() -> list[tuple[str, str]]:
    return [("day", _("24 hours")), ("week", _("7 days")), ("month", _("30 days"))]
