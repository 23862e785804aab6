"""Results of several jobs as one ZIP file: what the page's "Download all" fetches."""

import uuid

from django.http import HttpResponse, HttpResponseBase, StreamingHttpResponse
from rest_framework.request import Request
from zipstream import ZipStream

from jobs.api.docs import batches as docs
from jobs.api.serializers.archive import ArchiveQuerySerializer
from jobs.api.serializers.submission import query
from jobs.api.views.base import ApiViewSet, visible_jobs
from jobs.errors import JobNotFound, ResultNotFound
from jobs.models import Job
from jobs.states import Status
from jobs.storage import delivery
from jobs.storage.archive import Whole, stream_zip


class ArchiveViewSet(ApiViewSet):
    """Any jobs of the caller, not only those of one batch."""

    #: A link to an archive is good for these jobs only.
    signed_parameters = ("ids",)

    @docs.ARCHIVE
    def retrieve(self, request: Request) -> HttpResponseBase:
        """Return a ZIP file of the results of those of the named jobs that are completed."""
        ids = query(request.query_params, ArchiveQuerySerializer)["ids"]
        done = completed(request, ids)
        return send_archive(request, stream_zip(done), done, name="upscaled.zip")


def completed(request: Request, ids: list[uuid.UUID]) -> list[Job]:
    """Return those of the caller's jobs with these ids that are completed.

    Raises JobNotFound; ResultNotFound where none is.
    """
    found = visible_jobs(request).in_bulk(ids)
    for job_id in ids:
        if job_id not in found:
            raise JobNotFound(job_id)
    done = [found[job_id] for job_id in ids if found[job_id].status == Status.COMPLETED]
    if not done:
        raise ResultNotFound("Result not found: none of these jobs is completed")
    return done


def send_archive(request: Request, archive: ZipStream, jobs: list[Job], *, name: str) -> HttpResponseBase:
    """Stream an archive of these jobs, whose size is known beforehand."""
    headers = {
        "Content-Length": str(len(archive)),
        "Content-Disposition": f'attachment; filename="{name}"',
        "Cache-Control": "no-store",  # the next one may have more in it
    }
    if request.method == "HEAD":
        return HttpResponse(content_type="application/zip", headers=headers)
    delivery.record_download(jobs, "archive")
    pieces = Whole(archive, lambda: delivery.note_whole(jobs))
    return StreamingHttpResponse(pieces, content_type="application/zip", headers=headers)
