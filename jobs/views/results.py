"""Pictures of a job: the result, its preview, the input."""

from collections.abc import Callable

from django.core.files.base import File
from django.http import HttpResponseBase
from rest_framework.request import Request

from jobs import files
from jobs.errors import ResultNotFound
from jobs.models import Job
from jobs.states import LIVE
from jobs.views import outcome
from jobs.views.base import ApiViewSet, find_job
from jobs.views.docs import pictures as docs
from jobs.views.downloads import content_type, download


class PictureViewSet(ApiViewSet):
    """Downloads, streamed from the disk."""

    @docs.RESULT
    def result(self, request: Request, job_id: str) -> HttpResponseBase:
        """The upscaled picture; 202 while the job is not done."""
        job = find_job(request, job_id)
        if job.status in LIVE:
            return outcome.still_running(job)
        outcome.refuse_unfinished(job, blame_picture=False)
        return outcome.result(request, job)

    @docs.PREVIEW
    def preview(self, request: Request, job_id: str) -> HttpResponseBase:
        """A small rendition of the result, for pages."""
        job = find_job(request, job_id)
        if job.status in LIVE:
            return outcome.still_running(job)
        outcome.refuse_unfinished(job, blame_picture=False)
        return _inline(request, job, files.open_preview, what="Preview", etag=f"preview-{job.result_sha256}")

    @docs.INPUT
    def input(self, request: Request, job_id: str) -> HttpResponseBase:
        """The picture as it was sent."""
        return _inline(request, find_job(request, job_id), files.open_input, what="Input", etag="")


def _inline(
    request: Request, job: Job, opened: Callable[[Job], File[bytes]], *, what: str, etag: str
) -> HttpResponseBase:
    """Answer a picture that is looked at rather than saved."""
    try:
        file = opened(job)
    except FileNotFoundError:
        raise ResultNotFound(f"{what} not found: job {job.id} has none, or it was cleaned up") from None
    suffix = str(file.name).rpartition(".")[2]
    stem = files.download_name(job).rpartition(".")[0]
    return download(
        request,
        file,
        size=file.size,
        media_type=content_type(suffix),
        name=f"{stem}.{suffix}",
        etag=etag or job.input_sha256,
        inline=True,
    )
