"""Pictures of jobs for staff, behind the admin's login and the permission to view jobs."""

from collections.abc import Callable
from typing import Any

from django.core.exceptions import PermissionDenied
from django.http import FileResponse, Http404, HttpRequest, HttpResponse
from django.utils.cache import get_conditional_response
from django.utils.http import quote_etag

from jobs.admin import thumbnails
from jobs.models import Job
from jobs.storage import delivery, file_names, files

RENDER: dict[str, Callable[[Job, str], bytes]] = {"input": thumbnails.of_input, "result": thumbnails.of_result}
#: Pictures of one job do not change, but a retried job has another result: browsers revalidate by the ETag below.
CACHE = "private, max-age=60"


def rendition(request: HttpRequest, allowed: bool, job_id: Any, kind: str, size: str) -> HttpResponse:
    """Answer with a WebP; 404 says why there is none."""
    job = _job(allowed, job_id, kind)
    if size not in thumbnails.SIDES:
        raise Http404("no such size")
    tag = quote_etag(f"{job.pk}-{job.result_sha256 if kind == 'result' else job.input_sha256}-{size}")
    headers = {"Cache-Control": CACHE, "ETag": tag}
    conditional = get_conditional_response(request, tag)
    if conditional is not None:
        return HttpResponse(status=conditional.status_code, headers=headers)
    try:
        body = RENDER[kind](job, size)
    except thumbnails.NoRendition as reason:
        return HttpResponse(f"{reason}\n", status=404, content_type="text/plain; charset=utf-8")
    return HttpResponse(body, content_type=thumbnails.CONTENT_TYPE, headers=headers)


def original(allowed: bool, job_id: Any, kind: str) -> FileResponse:
    """Answer with the file itself, streamed, to be saved: staff's browser never shows an upload as a page."""
    job = _job(allowed, job_id, kind)
    try:
        file = files.open_input(job) if kind == "input" else files.open_result(job)
    except FileNotFoundError:
        raise Http404("the file is gone") from None
    name = (
        (job.input_name or f"{job.pk}.{file_names.suffix(job.input_format)}")
        if kind == "input"
        else file_names.download_name(job)
    )
    response = FileResponse(file, as_attachment=True, filename=name, content_type="application/octet-stream")
    response["Cache-Control"] = "private, no-store"
    delivery.record_download([job], kind)
    return response


def _job(allowed: bool, job_id: Any, kind: str) -> Job:
    if not allowed:
        raise PermissionDenied
    job = Job.objects.filter(pk=job_id).first()
    if job is None or kind not in RENDER:
        raise Http404("no such picture")
    return job
