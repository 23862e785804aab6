"""A job's pictures in tiles: for viewers of what is too large for a browser, or of a format that it cannot read."""

import io

from django.http import HttpResponseBase
from rest_framework.request import Request
from rest_framework.response import Response

from jobs.api.docs import pyramids as docs
from jobs.api.serializers.pyramid import PyramidQuerySerializer, PyramidSerializer, TileQuerySerializer
from jobs.api.serializers.submission import query
from jobs.api.views import responses
from jobs.api.views.base import ApiViewSet, find_job
from jobs.api.views.downloads import content_type, download
from jobs.errors import ResultNotFound
from jobs.models import Job
from jobs.states import LIVE
from jobs.storage import file_names, files
from jobs.storage.pyramid import archive, making
from jobs.storage.pyramid.making import Wanted
from jobs.submission.admission import require_disk_room


class PyramidViewSet(ApiViewSet):
    """Tiles, made on demand and kept with the job."""

    @docs.PYRAMID
    def retrieve(self, request: Request, job_id: str) -> HttpResponseBase:
        """Describe the tiles; 202 while they are made, which this call sets going."""
        asked = query(request.query_params, PyramidQuerySerializer)
        job = find_job(request, job_id)
        if asked["picture"] == "result":
            if job.status in LIVE:
                return responses.still_running(job)
            responses.refuse_unfinished(job, blame_picture=False)
        wanted = _wanted(job, asked["picture"])
        found = archive.opened(wanted.name)
        if found is None:
            require_disk_room(wanted.usual_bytes)
            making.ask(wanted)
            return responses.pyramid_coming(job)
        return Response(PyramidSerializer(found).data, headers={"Cache-Control": "private, max-age=3600"})

    @docs.TILE
    def tile(self, request: Request, job_id: str) -> HttpResponseBase:
        """Return one tile of a pyramid that is there."""
        place = query(request.query_params, TileQuerySerializer)
        job = find_job(request, job_id)
        wanted = _wanted(job, place["picture"])
        level, column, row = place["level"], place["column"], place["row"]
        tile = archive.tile(wanted.name, level, column, row)
        stem = file_names.download_name(job).rpartition(".")[0]
        return download(
            request,
            io.BytesIO(tile.data),
            size=len(tile.data),
            media_type=content_type(tile.format),
            name=f"{stem}_{level}_{column}_{row}.{file_names.suffix(tile.format)}",
            etag=f"{wanted.name.rpartition('-')[2].partition('.')[0]}-{level}-{column}-{row}",
            inline=True,
        )


def _wanted(job: Job, picture: str) -> Wanted:
    """Return what the pyramid of a job's picture is made of. Raises ResultNotFound when that picture is gone."""
    if picture == "input":
        source, digest = job.input_file if job.has_input else "", job.input_sha256
        pixels = job.input_width * job.input_height * job.input_frames
    else:
        source, digest = job.result_file, job.result_sha256
        pixels = (job.result_width or 0) * (job.result_height or 0) * job.input_frames
    if not files.exists(source):
        raise ResultNotFound(f"{picture.capitalize()} not found: job {job.id} has none, or it was cleaned up")
    return Wanted(name=file_names.pyramid_name(job.pk, digest), source=source, pixels=pixels)
