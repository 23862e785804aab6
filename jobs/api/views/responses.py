"""Responses of a job that has ended, and of one that has not ended yet."""

import math
from functools import partial
from typing import Any

from django.http import HttpResponseBase
from django.urls import reverse
from rest_framework.request import Request
from rest_framework.response import Response

from jobs.api.serializers.job import AcceptedSerializer, JobDetailSerializer
from jobs.api.views import redirects
from jobs.api.views.downloads import content_type, download
from jobs.errors import InputRejected, JobFailed, PrecisionUnavailable, ResultNotFound
from jobs.models import Job
from jobs.progress.eta import Forecast
from jobs.states import Status
from jobs.storage import delivery, file_names, files
from modelstore.sentences import told

#: Error codes of the engine that mean that the picture is at fault.
PICTURES_FAULT = frozenset({"image_rejected", "image_too_large", "format_unsupported"})


def detail(job: Job) -> dict[str, Any]:
    """Return the job as a JSON object."""
    return JobDetailSerializer(job, context={"forecast": Forecast([job])}).data


def accepted(job: Job, *, preference_applied: str = "") -> Response:
    """Answer 202: the job goes on, with its addresses."""
    headers = {"Location": reverse("job", args=[job.id]), "Retry-After": str(retry_after(job)), "X-Job-ID": str(job.id)}
    if preference_applied:
        headers["Preference-Applied"] = preference_applied
    return Response(AcceptedSerializer(job).data, status=202, headers=headers)


def still_running(job: Job) -> Response:
    """Answer 202: the result was requested too early."""
    response = accepted(job)
    response.data = {"detail": told(f"Job still {job.status}"), **response.data}
    return response


def preview_coming(job: Job) -> Response:
    """Answer 202: the job is completed, and its preview is being made."""
    return _coming(job, "Preview still being made")


def pyramid_coming(job: Job) -> Response:
    """Answer 202: a picture of the job is being cut into tiles."""
    return _coming(job, "Tiles still being made")


def _coming(job: Job, detail: str) -> Response:
    response = accepted(job)
    response.headers["Retry-After"] = "1"
    response.data = {"detail": told(detail), **response.data}
    return response


def retry_after(job: Job) -> int:
    """Return the whole seconds for Retry-After."""
    left = Forecast([job]).seconds_left(job)
    return 2 if left is None else min(60, max(1, math.ceil(left)))


def result(request: Request, job: Job) -> HttpResponseBase:
    """Return the result's bytes. Raises ResultNotFound when the file is gone."""
    try:
        file = files.open_result(job)
    except FileNotFoundError:
        raise ResultNotFound(f"Result not found: job {job.id} was cleaned up") from None
    elsewhere = redirects.to_storage(request, job)
    if elsewhere is not None:
        file.close()
        return elsewhere
    response = download(
        request,
        file,
        size=job.result_bytes or 0,
        media_type=content_type(job.result_format),
        name=file_names.download_name(job),
        etag=job.result_sha256,
        modified=job.finished_at.timestamp() if job.finished_at else None,
        on_sent=partial(delivery.note, job) if job.delete_after_download else None,
    )
    record_download(request, response, job, "result")
    response.headers["X-Job-ID"] = str(job.id)
    if job.processing_seconds is not None:
        response.headers["X-Processing-Time"] = f"{job.processing_seconds:.3f}"
    return response


def record_download(request: Request, response: HttpResponseBase, job: Job, what: str) -> None:
    """Record a picture that is about to be sent; not where only its header is, or nothing has changed."""
    if request.method != "HEAD" and response.status_code in (200, 206):
        delivery.record_download([job], what, range=response.headers.get("Content-Range"))


def refuse_unfinished(job: Job, *, blame_picture: bool) -> None:
    """Raise what a job that ended without a result means.

    :param blame_picture: whether a broken picture is the caller's error (400, for who sent it just now) or simply a
        failed job (500, as the guide answers who asks for the result).
    """
    if job.status == Status.CANCELLED:
        raise ResultNotFound(f"Result not found: job {job.id} was cancelled")
    if job.status == Status.FAILED:
        if blame_picture and job.error_code == PrecisionUnavailable.code:  # its last worker left after it was accepted
            raise PrecisionUnavailable(f"precision: {job.error}")
        kind = InputRejected if blame_picture and job.error_code in PICTURES_FAULT else JobFailed
        raise kind(job.error or "Job failed", job.error_code or "job_failed")
