"""Cells of the job lists: states, times, sizes, links.

Pieces of HTML without inline styles, so that a strict Content-Security-Policy holds.
"""

from datetime import datetime

from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _

from jobs.models import Job
from jobs.states import Status
from modelstore import formatting

#: Shown where a value is not known.
DASH = "–"


def progress(job: Job) -> SafeString | str:
    """Render a bar of tiles for a running job; for others their number, or a dash."""
    if job.status == Status.PROCESSING and job.tiles_total:
        label = _("%(done)d of %(total)d tiles") % {"done": job.tiles_done, "total": job.tiles_total}
        return format_html(
            '<progress class="tiles" max="{}" value="{}" title="{}" aria-label="{}"></progress> {} %',
            job.tiles_total,
            job.tiles_done,
            label,
            label,
            100 * job.tiles_done // job.tiles_total,
        )
    if job.status == Status.PROCESSING:
        return _("starting")
    if job.tiles_total:
        return _("%(done)d of %(total)d tiles") % {"done": job.tiles_done, "total": job.tiles_total}
    return DASH


def size(job: Job) -> SafeString:
    """Render the sizes of input and result in pixels."""
    shown = format_html("{}×{}", job.input_width, job.input_height)
    if job.result_width and job.result_height:
        shown = format_html("{}<br>→ {}×{}", shown, job.result_width, job.result_height)
    return shown


def seconds(value: float | None) -> str:
    """Format a duration in seconds with as many digits as help."""
    if value is None:
        return DASH
    if value < 10:
        return f"{value:.2f} s"
    if value < 100:
        return f"{value:.1f} s"
    minutes, rest = divmod(round(value), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s"


def byte_size(value: int | None) -> str:
    """Format bytes in decimal units."""
    return DASH if value is None else formatting.byte_size(value)


def age(moment: datetime | None) -> SafeString | str:
    """Return the age in one unit; the exact time is the tooltip."""
    if moment is None:
        return DASH
    passed = max(0, int((timezone.now() - moment).total_seconds()))
    for unit, length in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if passed >= length:
            text = f"{passed // length} {unit}"
            break
    else:
        text = f"{passed} s"
    return format_html(
        '<time datetime="{}" title="{}">{}</time>', moment.isoformat(), f"{moment:%Y-%m-%d %H:%M:%S} UTC", text
    )


def thumbnail(job: Job) -> SafeString:
    """Render the result's thumbnail, or the input's while there is no result. Loaded when it is scrolled into view."""
    kind = "result" if job.status == Status.COMPLETED else "input"
    address = reverse("admin:jobs_job_rendition", args=[job.pk, kind, "thumb"])
    return format_html(
        '<img class="thumb" src="{}?v={}" width="56" height="56" loading="lazy" decoding="async" alt="">', address, kind
    )
