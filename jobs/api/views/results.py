"""Pictures of a job: the result, its preview, the input."""

from datetime import timedelta

from django.core.files.base import File
from django.http import HttpResponseBase
from django.utils import timezone
from rest_framework.request import Request

from jobs.api.docs import pictures as docs
from jobs.api.views import responses
from jobs.api.views.base import ApiViewSet, find_job
from jobs.api.views.downloads import content_type, download
from jobs.errors import PreviewNotFound, ResultNotFound
from jobs.models import Job
from jobs.states import LIVE
from jobs.storage import file_names, files

#: Seconds. A preview is made after its job is completed; one that is missing after so long will not come.
_PREVIEW_TIME = timedelta(seconds=60)


class PictureViewSet(ApiViewSet):
    """Downloads, streamed from the disk."""

    @docs.RESULT
    def result(self, request: Request, job_id: str) -> HttpResponseBase:
        """Return the upscaled picture; 202 while the job is not done."""
        job = find_job(request, job_id)
        if job.status in LIVE:
            return responses.still_running(job)
        responses.refuse_unfinished(job, blame_picture=False)
        return responses.result(request, job)

    @docs.PREVIEW
    def preview(self, request: Request, job_id: str) -> HttpResponseBase:
        """Return a small rendition of the result, for pages."""
        job = find_job(request, job_id)
        if job.status in LIVE:
            return responses.still_running(job)
        responses.refuse_unfinished(job, blame_picture=False)
        try:
            file = files.open_preview(job)
        except FileNotFoundError:
            if job.finished_at and timezone.now() - job.finished_at < _PREVIEW_TIME:
                return responses.preview_coming(job)
            raise PreviewNotFound(f"Preview not found: job {job.id} has none") from None
        return _inline(request, job, file, etag=f"preview-{job.result_sha256}")

    @docs.INPUT
    def input(self, request: Request, job_id: str) -> HttpResponseBase:
        """Return the picture as it was submitted."""
        job = find_job(request, job_id)
        try:
            file = files.open_input(job)
        except FileNotFoundError:
            raise ResultNotFound(_missing_input(job)) from None
        response = _inline(request, job, file, etag=job.input_sha256)
        responses.record_download(request, response, job, "input")
        return response


def _missing_input(job: Job) -> str:
    if not job.has_input:
        return f"Input not found: the picture of job {job.id} was deleted when the job ended"
    return f"Input not found: job {job.id} has none, or it was cleaned up"


def _inline(request: Request, job: Job, file: File[bytes], *, etag: str) -> HttpResponseBase:
    """Answer a picture that is looked at rather than saved."""
    suffix = str(file.name).rpartition(".")[2]
    stem = file_names.download_name(job).rpartition(".")[0]
    return download(
        request,
        file,
        size=file.size,
        media_type=content_type(suffix),
        name=f"{stem}.{suffix}",
        etag=etag,
        inline=True,
    )
