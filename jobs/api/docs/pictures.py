"""Pictures out: a result, a small rendition of it, and what was sent."""

from collections.abc import Sequence
from typing import Any

from drf_spectacular.utils import OpenApiResponse

from jobs.api.docs import examples as example
from jobs.api.docs.parts import (
    FILE_HEADERS,
    IF_NONE_MATCH,
    JOB_ID,
    LOCATION,
    PICTURE_TYPES,
    PROCESSING_TIME,
    RANGE,
    RETRY_AFTER,
    answer,
    operation,
    pictures,
)
from jobs.api.serializers.job import PendingSerializer

_ERRORS = ("job_not_found", "result_not_found", "precondition_failed", "range_not_satisfiable")
_NOT_YET = {
    202: answer(PendingSerializer, "Still processing", {"detail": "Job still processing", **example.ACCEPTED}, "202")
}


def download_of(types: Sequence[str], description: str) -> dict[Any, OpenApiResponse]:
    """Describe the responses of a download: whole (200), in part (206), or unchanged (304)."""
    return {
        **pictures(types, 200, description),
        **pictures(types, 206, "A part of it"),
        304: OpenApiResponse(description="Still the same"),
    }


RESULT = operation(
    "jobs_result",
    "Jobs",
    (*_ERRORS, "job_failed"),
    summary="Download the upscaled picture",
    description="Also answers HEAD, one byte range, and conditions on the ETag. Of a failed job: 500 with its reason.",
    parameters=[JOB_ID, RANGE, IF_NONE_MATCH, *FILE_HEADERS, PROCESSING_TIME, LOCATION, RETRY_AFTER],
    responses=download_of(PICTURE_TYPES, "The upscaled picture")
    | {302: OpenApiResponse(description="It is to be had at Location, for a short time (STORAGE_REDIRECT_SECONDS)")}
    | _NOT_YET,
)
PREVIEW = operation(
    "jobs_preview",
    "Jobs",
    (*_ERRORS, "preview_not_found", "job_failed"),
    summary="Look at a small rendition of the result",
    description="It is made in the moment after the job is completed: 202 until then, 404 where none could be made.",
    parameters=[JOB_ID, RANGE, IF_NONE_MATCH, LOCATION, RETRY_AFTER],
    responses=download_of(PICTURE_TYPES, "The rendition") | _NOT_YET,
)
INPUT = operation(
    "jobs_input",
    "Jobs",
    _ERRORS,
    summary="Look at the picture as it was sent",
    parameters=[JOB_ID, RANGE, IF_NONE_MATCH],
    responses=download_of((*PICTURE_TYPES, "image/gif", "image/bmp", "image/heic"), "The input"),
)
