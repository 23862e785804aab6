"""Pictures in tiles."""

from jobs.api.docs import examples as example
from jobs.api.docs.parts import IF_NONE_MATCH, JOB_ID, LOCATION, RANGE, RETRY_AFTER, answer, header, operation
from jobs.api.docs.pictures import download_of
from jobs.api.serializers.job import PendingSerializer
from jobs.api.serializers.pyramid import PyramidQuerySerializer, PyramidSerializer, TileQuerySerializer

_EXAMPLE = {
    "width": 1600,
    "height": 1200,
    "tile_size": 512,
    "media_type": "image/jpeg",
    "levels": [
        {"width": 1600, "height": 1200, "columns": 4, "rows": 3},
        {"width": 800, "height": 600, "columns": 2, "rows": 2},
        {"width": 400, "height": 300, "columns": 1, "rows": 1},
    ],
}
_ERRORS = ("job_not_found", "result_not_found", "pyramid_not_found", "validation_error")

PYRAMID = operation(
    "jobs_pyramid",
    "Jobs",
    (*_ERRORS, "job_failed", "pyramids_busy", "storage_full"),
    summary="Look at a picture tile by tile: its sizes",
    description="For viewers of pictures that are too large for a browser, or of a format that it cannot show (TIFF, "
    "HEIC, JPEG XL): the first frame in tiles of 8 bit, at the full size and at every half of it. The tiles are made "
    "by the first call: 202 until they are there, 404 `pyramid_not_found` where they cannot be made. They go with the "
    "job.",
    parameters=[JOB_ID, PyramidQuerySerializer, LOCATION, RETRY_AFTER],
    responses={
        200: answer(PyramidSerializer, "The sizes", _EXAMPLE, "200"),
        202: answer(PendingSerializer, "Being made", {"detail": "Tiles still being made", **example.ACCEPTED}, "202"),
    },
)
TILE = operation(
    "jobs_tile",
    "Jobs",
    (*_ERRORS, "precondition_failed", "range_not_satisfiable"),
    summary="Look at one tile of a picture",
    description="Of a picture whose tiles `GET …/pyramid` has described.",
    parameters=[
        JOB_ID,
        TileQuerySerializer,
        RANGE,
        IF_NONE_MATCH,
        header("ETag", "Names these very bytes.", "200", "206"),
    ],
    responses=download_of(("image/jpeg", "image/webp"), "The tile"),
)
