"""Cells of a job that change while it runs: shown by the list and the detail page, renewed by staff/live.js."""

import uuid
from collections.abc import Callable, Sequence
from typing import Any

from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.text import Truncator
from django.utils.translation import gettext as _

from jobs.admin import formatting
from jobs.models import Job
from jobs.states import TERMINAL, Status
from modelstore.formatting import badge

#: Jobs that one question may name: a page of the list and some.
MOST = 100
#: Characters of an error in a list; the detail page has all of it.
ERROR_LENGTH = 120


def state(job: Job) -> SafeString:
    """Render the state, with the progress of a running job and the error of a failed one."""
    shown = badge(job.status, job.get_status_display())
    more: SafeString | str = ""
    if job.status == Status.PROCESSING:
        more = _("cancelling …") if job.cancel_requested else formatting.progress(job)
    elif job.status == Status.FAILED:
        more = Truncator(job.error or job.error_code).chars(ERROR_LENGTH)
    if not more:
        return shown
    return format_html('{}<div class="more" title="{}">{}</div>', shown, job.error_code, more)


def took(job: Job) -> SafeString | str:
    """Render how long the accepted attempt took."""
    if job.processing_seconds is None:
        return ""
    return format_html(
        '<div class="more">{}</div>', _("took %(time)s") % {"time": formatting.seconds(job.processing_seconds)}
    )


#: Name of a cell → what renders it.
CELLS: dict[str, Callable[[Job], SafeString | str]] = {
    "state": state,
    "size": formatting.size,
    "took": took,
}


def live(job: Job, name: str) -> SafeString:
    """Render a cell, marked for renewal while the job has not ended."""
    if job.status in TERMINAL:
        return format_html("{}", CELLS[name](job))
    return format_html('<div data-live-job="{}" data-cell="{}">{}</div>', job.pk, name, CELLS[name](job))


def whole(job: Job) -> SafeString:
    """Render the state for the detail page, which has the whole error elsewhere."""
    if job.status not in TERMINAL:
        return live(job, "state")
    return format_html("{} {}", badge(job.status, job.get_status_display()), formatting.progress(job))


def now(ids: Sequence[str]) -> dict[str, Any]:
    """Return the cells of these jobs: {id: {"cells": {name: HTML}, "ended": bool}}; none of a job that is gone."""
    wanted = []
    for text in ids[:MOST]:
        try:
            wanted.append(uuid.UUID(text))
        except ValueError:
            continue
    jobs = Job.objects.filter(pk__in=wanted).defer("report", "options")
    return {
        str(job.pk): {
            "cells": {name: str(render(job)) for name, render in CELLS.items()},
            "ended": job.status in TERMINAL,
        }
        for job in jobs
    }
