"""Results of several jobs as one ZIP file: what the page's "Download all" fetches."""

from django.http import HttpResponse, HttpResponseBase, StreamingHttpResponse
from rest_framework.request import Request
from zipstream import ZipStream

from jobs.archive import stream_zip
from jobs.errors import JobNotFound, ResultNotFound
from jobs.serializers.archive import ArchiveQuerySerializer
from jobs.states import Status
from jobs.views.base import ApiViewSet, visible_jobs
from jobs.views.docs import batches as docs


class ArchiveViewSet(ApiViewSet):
    """Any jobs of the caller, not only those of one batch."""

    @docs.ARCHIVE
    def retrieve(self, request: Request) -> HttpResponseBase:
        """The results of the completed ones among the jobs that are named."""
        query = ArchiveQuerySerializer(data=request.query_params)
        query.is_valid(raise_exception=True)
        ids = query.validated_data["ids"]
        found = visible_jobs(request).in_bulk(ids)
        for job_id in ids:
            if job_id not in found:
                raise JobNotFound(job_id)
        done = [found[job_id] for job_id in ids if found[job_id].status == Status.COMPLETED]
        if not done:
            raise ResultNotFound("Result not found: none of these jobs is completed")
        return send_archive(request, stream_zip(done), name="upscaled.zip")


def send_archive(request: Request, archive: ZipStream, *, name: str) -> HttpResponseBase:
    """Stream an archive whose size is known beforehand."""
    headers = {
        "Content-Length": str(len(archive)),
        "Content-Disposition": f'attachment; filename="{name}"',
        "Cache-Control": "no-store",  # the next one may have more in it
    }
    if request.method == "HEAD":
        return HttpResponse(content_type="application/zip", headers=headers)
    return StreamingHttpResponse(archive, content_type="application/zip", headers=headers)
