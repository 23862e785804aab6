"""Actions of staff on jobs: the verbs of the API, on many rows or one, telling what was done and what was refused."""

from collections.abc import Callable
from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import (
    Http404,
    HttpRequest,
    HttpResponse,
    HttpResponseNotAllowed,
    HttpResponseRedirect,
    StreamingHttpResponse,
)
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from jobs import actions
from jobs.admin import formatting
from jobs.errors import JobError
from jobs.models import Job
from jobs.states import LIVE, RETRYABLE, TERMINAL, Status
from jobs.storage import delivery
from jobs.storage.archive import stream_zip
from jobs.storage.deletion import CHUNK, Deleted, delete_ended

Admin = admin.ModelAdmin[Job]

#: Results in one ZIP; more would take a browser hours.
MOST_IN_ZIP = 1000


def open_to(job: Job) -> dict[str, bool]:
    """Return which actions the job's state allows."""
    return {
        "cancel": job.status in LIVE and not job.cancel_requested,
        "retry": job.status in RETRYABLE and job.has_input,
        "delete": job.status in TERMINAL,
    }


def cancel(page: Admin, request: HttpRequest, jobs: QuerySet[Job]) -> None:
    """Cancel each; running ones stop between two tiles."""
    done = _each(page, request, jobs, lambda job: actions.cancel(Job.objects.all(), job.pk))
    _tell(page, request, done, ngettext("%d job was cancelled.", "%d jobs were cancelled.", done))


def retry(page: Admin, request: HttpRequest, jobs: QuerySet[Job]) -> None:
    """Put each back into the queue."""
    done = _each(page, request, jobs, lambda job: actions.retry(Job.objects.all(), job.pk))
    _tell(page, request, done, ngettext("%d job waits again.", "%d jobs wait again.", done))


def download(page: Admin, request: HttpRequest, jobs: QuerySet[Job]) -> HttpResponse | None:
    """Answer with the results of those that have one; None, and a message, where none has."""
    finished = jobs.filter(status=Status.COMPLETED).order_by("created_at", "id")
    count = finished[: MOST_IN_ZIP + 1].count()
    if not count:
        page.message_user(request, _("None of these jobs has a result."), messages.WARNING)
        return None
    if count > MOST_IN_ZIP:
        page.message_user(request, _("These are more than %d results.") % MOST_IN_ZIP, messages.ERROR)
        return None
    delivery.record_download(finished.only("pk"), "archive")
    name = f"results-{timezone.now():%Y%m%d-%H%M%S}.zip"
    return StreamingHttpResponse(  # type: ignore[return-value]  # Django takes any response here
        stream_zip(finished.iterator(chunk_size=100)),
        content_type="application/zip",
        headers={"Content-Disposition": f'attachment; filename="{name}"', "Cache-Control": "no-store"},
    )


def remove(jobs: QuerySet[Job]) -> Deleted:
    """Delete those that have ended, with their files."""
    chosen = list(jobs.filter(status__in=TERMINAL).values_list("pk", flat=True))
    return delete_ended(Job.objects.filter(pk__in=chosen))


def delete_page(page: Admin, request: HttpRequest, jobs: QuerySet[Job]) -> HttpResponse:
    """Ask, then delete. Serves the action on many and the address of one."""
    if not page.has_delete_permission(request):
        raise PermissionDenied
    ended = jobs.filter(status__in=TERMINAL)
    live = jobs.filter(status__in=LIVE).count()
    if request.method == "POST" and request.POST.get("post"):
        deleted = remove(jobs)
        _tell(
            page,
            request,
            deleted.jobs,
            ngettext("%d job was deleted with its files", "%d jobs were deleted with their files", deleted.jobs)
            + f", {formatting.byte_size(deleted.files.bytes)}.",
        )
        if live:
            page.message_user(request, _("%d live jobs stay: cancel them first.") % live, messages.WARNING)
        return HttpResponseRedirect(reverse("admin:jobs_job_changelist"))
    some = list(ended.order_by("-created_at", "-id")[:20])
    count = ended.count()
    if not count and not live:
        raise Http404("no such job")
    context = {
        **page.admin_site.each_context(request),
        "title": _("Delete jobs with their files?"),
        "opts": page.opts,
        "jobs": some,
        "count": count,
        "more": count - len(some),
        "live": live,
        "chosen": request.POST.getlist("_selected_action"),
        "everything": request.POST.get("select_across", "0"),
        "single": "action" not in request.POST,
    }
    return TemplateResponse(request, "admin/jobs/job/delete.html", context)


def do_one(page: Admin, request: HttpRequest, job_id: Any, action: str) -> HttpResponse:
    """Run the action of one button of the detail page: POST only, with its own permission."""
    if request.method != "POST":
        return HttpResponseNotAllowed(["POST"])
    by_name = {"cancel": cancel, "retry": retry}
    if action not in by_name:
        raise Http404("no such action")
    if not page.has_operate_permission(request):  # type: ignore[attr-defined]  # JobAdmin's own
        raise PermissionDenied
    by_name[action](page, request, Job.objects.filter(pk=job_id))
    return HttpResponseRedirect(reverse("admin:jobs_job_change", args=[job_id]))


def _each(page: Admin, request: HttpRequest, jobs: QuerySet[Job], action: Callable[[Job], object]) -> int:
    """Run ``action`` on each job; show why it was refused, at most five times."""
    done, refused = 0, []
    for job in jobs.only("pk", "status").iterator(chunk_size=CHUNK):
        try:
            action(job)
            done += 1
        except JobError as error:
            refused.append(str(error))
    for reason in refused[:5]:
        page.message_user(request, reason, messages.WARNING)
    if len(refused) > 5:
        page.message_user(request, _("… and %d more were refused.") % (len(refused) - 5), messages.WARNING)
    return done


def _tell(page: Admin, request: HttpRequest, done: int, text: str) -> None:
    if done:
        page.message_user(request, text % done if "%d" in text else text, messages.SUCCESS)
