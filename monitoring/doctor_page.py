"""The doctor in the admin: the examination of this installation, made when somebody asks for it."""

from typing import Any

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods

from monitoring.doctor.examination import examine
from monitoring.doctor.finding import Finding, Level

#: The badge of each level: (style, in words).
_BADGES = {Level.FINE: "alive", Level.NOTE: "busy", Level.WARNING: "paused", Level.FAULT: "silent"}


@require_http_methods(["GET", "HEAD", "POST"])
def doctor(request: HttpRequest) -> HttpResponse:
    """Show the page; POST examines: it writes a file of 32 MB, reads all models, and is for Operators."""
    if not request.user.has_perm("monitoring.view_operations"):
        raise PermissionDenied
    may_examine = request.user.has_perm("jobs.pause_queue")
    if request.method == "POST" and not may_examine:
        raise PermissionDenied
    findings = list(examine()) if request.method == "POST" else None
    context = {
        **admin.site.each_context(request),
        "title": _("Doctor"),
        "areas": _by_area(findings or []),
        "may_examine": may_examine,
        "examined": findings is not None,
        "faults": sum(finding.level == Level.FAULT for finding in findings or []),
        "warnings": sum(finding.level == Level.WARNING for finding in findings or []),
    }
    return TemplateResponse(request, "admin/monitoring/doctor.html", context)


def _by_area(findings: list[Finding]) -> list[tuple[str, list[dict[str, Any]]]]:
    areas: dict[str, list[dict[str, Any]]] = {}
    words = {
        Level.FINE: _("ok"), Level.NOTE: _("note"), Level.WARNING: _("warning"), Level.FAULT: _("fault")
    }  # fmt: skip
    for finding in findings:
        row = {"badge": _BADGES[finding.level], "label": words[finding.level], "finding": finding}
        areas.setdefault(finding.area, []).append(row)
    return list(areas.items())
