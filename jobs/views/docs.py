"""The jobs' endpoints as the API's description tells them.

``x-errors`` names error codes, which upscaler_site/schema.py spells out.
"""

from collections.abc import Callable, Sequence
from typing import Any, Protocol, TypeVar

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiExample, OpenApiParameter, OpenApiRequest, OpenApiResponse, extend_schema

from jobs.serializers.archive import ArchiveQuerySerializer
from jobs.serializers.batch import BatchAcceptedSerializer, BatchSerializer
from jobs.serializers.cleanup import CleanupQuerySerializer, CleanupReportSerializer
from jobs.serializers.forms import BatchFormSerializer, ImageFormSerializer, ImageUrlSerializer
from jobs.serializers.job import AcceptedSerializer, JobDetailSerializer, PlanSerializer
from jobs.serializers.listing import JobListSerializer, ListQuerySerializer
from jobs.views import examples as example

_View = TypeVar("_View", bound=Callable[..., Any])

SUBMISSION_ERRORS = (
    *("validation_error", "malformed_request", "too_many_fields", "too_many_files"),
    *("unsupported_media_type", "length_required", "upload_too_large"),
    *("image_invalid", "image_too_large", "format_unsupported", "denoise_unsupported"),
    *("model_not_found", "model_not_available", "queue_full", "storage_full"),
    *("idempotency_key_reused", "idempotency_key_in_progress", "webhook_url_refused"),
)
IMAGE_URL_ERRORS = ("image_url_refused", "image_url_failed")
PICTURE_TYPES = ("image/png", "image/jpeg", "image/webp", "image/avif", "image/tiff")
INPUT_TYPES = (*PICTURE_TYPES, "image/gif", "image/bmp", "image/heic")

_JOB_ID = OpenApiParameter(
    "job_id", OpenApiTypes.UUID, OpenApiParameter.PATH, description="The job_id of a submission."
)
_BATCH_ID = OpenApiParameter(
    "batch_id", OpenApiTypes.UUID, OpenApiParameter.PATH, description="The batch_id of a submission."
)
_DRY_RUN = OpenApiParameter(
    "dry_run", bool, OpenApiParameter.QUERY, description="Check everything and tell what it would cost; create nothing."
)
_PREFER = OpenApiParameter(
    "Prefer",
    str,
    OpenApiParameter.HEADER,
    description="`respond-async`: answer 202 at once; `wait=N`: wait at most N seconds, then 202 (RFC 7240).",
    examples=[OpenApiExample("At most ten seconds", "wait=10"), OpenApiExample("Do not wait", "respond-async")],
)
_IDEMPOTENCY_KEY = OpenApiParameter(
    "Idempotency-Key",
    str,
    OpenApiParameter.HEADER,
    description="Any text, unique to this submission: repeating the call answers with the first call's job.",
    examples=[OpenApiExample("A UUID", "0b6cf3c1-5b6b-4b26-9f3b-3a3f9b4cf0a5")],
)
_RANGE = OpenApiParameter(
    "Range", str, OpenApiParameter.HEADER, description="`bytes=0-1023`: one range of bytes (RFC 9110)."
)
_IF_NONE_MATCH = OpenApiParameter(
    "If-None-Match", str, OpenApiParameter.HEADER, description="An ETag: 304 when the picture is still the same."
)
_LAST_EVENT_ID = OpenApiParameter(
    "Last-Event-ID", str, OpenApiParameter.HEADER, description="The last event that was seen: continue after it."
)


def _header(name: str, description: str, *statuses: str, kind: Any = str) -> OpenApiParameter:
    return OpenApiParameter(name, kind, OpenApiParameter.HEADER, description=description, response=list(statuses))


_LOCATION = _header("Location", "The address of the job or batch.", "202")
_RETRY_AFTER = _header("Retry-After", "Seconds after which asking again makes sense.", "202", kind=int)
_FILE_HEADERS = [
    _header("ETag", "Names these very bytes: their SHA-256.", "200", "206"),
    _header("Content-Disposition", "The file's name.", "200", "206"),
    _header("Accept-Ranges", "bytes", "200", "206"),
]
_PROCESSING_TIME = _header("X-Processing-Time", "Processing time in seconds.", "200", kind=float)


def _json(serializer: Any, description: str, shape: object, status: str) -> OpenApiResponse:
    return OpenApiResponse(
        serializer,
        description,
        examples=[OpenApiExample(description, shape, response_only=True, status_codes=[status])],
    )


def _pictures(types: Sequence[str], status: int, description: str) -> dict[Any, OpenApiResponse]:
    return {(status, kind): OpenApiResponse(OpenApiTypes.BINARY, description) for kind in types}


class _Decorator(Protocol):
    """Gives a view's method its description and leaves its type alone."""

    def __call__(self, view: _View, /) -> _View: ...


def _operation(operation_id: str, tag: str, errors: Sequence[str] = (), **rest: Any) -> _Decorator:
    return extend_schema(operation_id=operation_id, tags=[tag], extensions={"x-errors": list(errors)}, **rest)


_ONE_PICTURE = {
    "multipart/form-data": OpenApiRequest(
        ImageFormSerializer,
        examples=[OpenApiExample("A form", {"image": "(the file)", "model": "RealESRGAN_x4plus"}, request_only=True)],
    ),
    "image/*": OpenApiTypes.BINARY,
    "application/json": OpenApiRequest(
        ImageUrlSerializer,
        examples=[
            OpenApiExample("A picture elsewhere", {"image_url": "https://example.org/cat.jpg"}, request_only=True)
        ],
    ),
}
_BODIES = """

The picture is the form's file `image`, or the body itself (`Content-Type: image/…`; the parameters are then in the
query string), or, where the operator allows its host, `image_url` in a form or in JSON. A parameter that nobody
knows or that is given twice is refused (422)."""

UPSCALE = _operation(
    "upscale",
    "Upscaling",
    (*SUBMISSION_ERRORS, *IMAGE_URL_ERRORS, "no_worker", "result_not_found", "out_of_memory"),
    summary="Upscale a picture and get it back",
    description="Waits for the result. When that takes longer than `Prefer: wait=N` or the service's own limit: 202, "
    "and the job goes on. `dry_run=true` answers 200 with an estimate as JSON." + _BODIES,
    parameters=[_DRY_RUN, _PREFER, _IDEMPOTENCY_KEY, *_FILE_HEADERS, _PROCESSING_TIME, _LOCATION, _RETRY_AFTER,
                _header("Preference-Applied", "What of Prefer was honoured.", "200", "202"),
                _header("X-Job-ID", "The job that did it.", "200", "202")],
    request=_ONE_PICTURE,
    responses={
        (200, "application/json"): _json(PlanSerializer, "With dry_run=true: the estimate", example.PLAN, "200"),
        **_pictures(PICTURE_TYPES, 200, "The upscaled picture"),
        202: _json(AcceptedSerializer, "Not done yet: the job goes on", example.ACCEPTED, "202"),
    },
)  # fmt: skip
CREATE_JOB = _operation(
    "jobs_create",
    "Jobs",
    (*SUBMISSION_ERRORS, *IMAGE_URL_ERRORS),
    summary="Create a job",
    description="Answers at once; the picture is upscaled in the background." + _BODIES,
    parameters=[_DRY_RUN, _IDEMPOTENCY_KEY, _LOCATION, _RETRY_AFTER],
    request=_ONE_PICTURE,
    responses={
        200: _json(PlanSerializer, "With dry_run=true: the estimate", example.PLAN, "200"),
        202: _json(AcceptedSerializer, "Accepted", example.ACCEPTED, "202"),
    },
)
CREATE_BATCH = _operation(
    "upscale_batch",
    "Upscaling",
    (*SUBMISSION_ERRORS, "batch_rejected", "batch_too_large"),
    summary="Submit many pictures",
    description="At most 100 files `images` in one form. A bad file does not sink the rest: it is named in `rejected`; "
    "when all are bad, the answer is 400 with them in `errors`.",
    parameters=[_IDEMPOTENCY_KEY, _LOCATION, _RETRY_AFTER],
    request={
        "multipart/form-data": OpenApiRequest(
            BatchFormSerializer,
            examples=[OpenApiExample("Two pictures", {"images": ["(file)", "(file)"]}, request_only=True)],
        )
    },
    responses={202: _json(BatchAcceptedSerializer, "Accepted", example.BATCH_ACCEPTED, "202")},
)  # fmt: skip
LIST_JOBS = _operation(
    "jobs_list",
    "Jobs",
    ("validation_error",),
    summary="List jobs",
    description="Newest first. With API keys required, a caller sees its own.",
    parameters=[ListQuerySerializer, _header("Link", 'The next page, rel="next".', "200")],
    responses={200: _json(JobListSerializer, "Jobs", example.JOB_LIST, "200")},
)
GET_JOB = _operation(
    "jobs_retrieve",
    "Jobs",
    ("job_not_found",),
    summary="Get a job's status",
    parameters=[_JOB_ID, _header("Retry-After", "While the job is not done: seconds.", "200", kind=int)],
    responses={
        200: OpenApiResponse(
            JobDetailSerializer,
            "The job",
            examples=[
                OpenApiExample("Running", example.DETAIL_PROCESSING, response_only=True, status_codes=["200"]),
                OpenApiExample("Done", example.DETAIL_COMPLETED, response_only=True, status_codes=["200"]),
            ],
        )
    },
)  # fmt: skip
CANCEL_JOB = _operation(
    "jobs_cancel",
    "Jobs",
    ("job_not_found", "job_state_conflict"),
    summary="Cancel a job",
    description="A waiting job is cancelled at once (200). A running one stops between two tiles (202).",
    parameters=[_JOB_ID],
    request=None,
    responses={
        200: _json(JobDetailSerializer, "Cancelled", example.DETAIL_CANCELLED, "200"),
        202: _json(JobDetailSerializer, "Will stop", example.DETAIL_STOPPING, "202"),
    },
)
RETRY_JOB = _operation(
    "jobs_retry",
    "Jobs",
    ("job_not_found", "job_state_conflict", "queue_full"),
    summary="Run a failed or cancelled job again",
    parameters=[_JOB_ID, _LOCATION, _RETRY_AFTER],
    request=None,
    responses={202: _json(AcceptedSerializer, "In the queue again", example.ACCEPTED, "202")},
)
DELETE_JOB = _operation(
    "jobs_delete",
    "Jobs",
    ("job_not_found", "job_state_conflict"),
    summary="Cancel or delete a job",
    description="A live job is cancelled, as by POST …/cancel. An ended one is deleted with its files (204).",
    parameters=[_JOB_ID],
    responses={
        200: _json(JobDetailSerializer, "Cancelled", example.DETAIL_CANCELLED, "200"),
        202: _json(JobDetailSerializer, "Will stop", example.DETAIL_STOPPING, "202"),
        204: OpenApiResponse(description="Deleted"),
    },
)
RESULT = _operation(
    "jobs_result",
    "Jobs",
    ("job_not_found", "result_not_found", "job_failed", "precondition_failed", "range_not_satisfiable"),
    summary="Download the upscaled picture",
    description="Also answers HEAD, one byte range, and conditions on the ETag. Of a failed job: 500 with its reason.",
    parameters=[_JOB_ID, _RANGE, _IF_NONE_MATCH, *_FILE_HEADERS, _PROCESSING_TIME, _LOCATION, _RETRY_AFTER],
    responses={
        **_pictures(PICTURE_TYPES, 200, "The upscaled picture"),
        202: _json(
            AcceptedSerializer, "Still processing", {"detail": "Job still processing", **example.ACCEPTED}, "202"
        ),
        **_pictures(PICTURE_TYPES, 206, "A part of it"),
        304: OpenApiResponse(description="Still the same"),
    },
)
PREVIEW = _operation(
    "jobs_preview",
    "Jobs",
    ("job_not_found", "result_not_found", "job_failed", "precondition_failed", "range_not_satisfiable"),
    summary="Look at a small rendition of the result",
    parameters=[_JOB_ID, _RANGE, _IF_NONE_MATCH, _LOCATION, _RETRY_AFTER],
    responses={
        **_pictures(PICTURE_TYPES, 200, "The rendition"),
        202: _json(
            AcceptedSerializer, "Still processing", {"detail": "Job still processing", **example.ACCEPTED}, "202"
        ),
        **_pictures(PICTURE_TYPES, 206, "A part of it"),
        304: OpenApiResponse(description="Still the same"),
    },
)
INPUT = _operation(
    "jobs_input",
    "Jobs",
    ("job_not_found", "result_not_found", "precondition_failed", "range_not_satisfiable"),
    summary="Look at the picture as it was sent",
    parameters=[_JOB_ID, _RANGE, _IF_NONE_MATCH],
    responses={
        **_pictures(INPUT_TYPES, 200, "The input"),
        **_pictures(INPUT_TYPES, 206, "A part of it"),
        304: OpenApiResponse(description="Still the same"),
    },
)
#: One event of the stream, in the way in which tools describe text/event-stream: item by item.
_EVENT = {
    "type": "object",
    "properties": {
        "id": {"type": "string", "description": "For Last-Event-ID."},
        "event": {
            "type": "string",
            "enum": ["queued", "processing", "progress", "completed", "failed", "cancelled", "deleted"],
        },
        "data": {"type": "string", "description": "The job object, as JSON."},
        "retry": {"type": "integer"},
    },
}
EVENTS = _operation(
    "jobs_events",
    "Jobs",
    ("job_not_found", "too_many_waiting"),
    summary="Follow a job",
    description="Server-sent events `queued`, `processing`, `progress`, and at the end `completed`, `failed` or "
    "`cancelled`, each with the job object as its data. A comment every 15 seconds keeps the line open. The stream "
    "ends with the job; continuing after its last event is answered by 204.",
    parameters=[_JOB_ID, _LAST_EVENT_ID],
    responses={
        (200, "text/event-stream"): OpenApiResponse(
            _EVENT,
            "The events",
            examples=[OpenApiExample("A job's life", example.EVENTS, response_only=True, status_codes=["200"])],
        ),
        204: OpenApiResponse(description="Nothing more will come"),
    },
)
BATCH = _operation(
    "batches_retrieve",
    "Batches",
    ("batch_not_found",),
    summary="Get a batch with its jobs",
    parameters=[_BATCH_ID],
    responses={200: _json(BatchSerializer, "The batch", example.BATCH, "200")},
)
BATCH_RESULTS = _operation(
    "batches_results",
    "Batches",
    ("batch_not_found", "result_not_found", "validation_error"),
    summary="Download a batch's results as one ZIP file",
    description="Holds the pictures, and `batch.json`, which tells of every picture sent. 202 until all jobs ended.",
    parameters=[
        _BATCH_ID,
        OpenApiParameter("partial", bool, OpenApiParameter.QUERY, description="Do not wait: what is done by now."),
        _RETRY_AFTER,
    ],
    responses={
        (200, "application/zip"): OpenApiResponse(OpenApiTypes.BINARY, "The results"),
        202: _json(BatchSerializer, "Still processing", {"detail": "Batch still processing", **example.BATCH}, "202"),
    },
)
ARCHIVE = _operation(
    "jobs_archive",
    "Jobs",
    ("validation_error", "job_not_found", "result_not_found"),
    summary="Download the results of several jobs as one ZIP file",
    description="Jobs that are not completed are left out; 404 when none is.",
    parameters=[ArchiveQuerySerializer],
    responses={
        # The one answer that is not ours: longer addresses do not reach the application.
        (414, "text/html"): OpenApiResponse(OpenApiTypes.STR, "The address is longer than 8 kB"),
        (200, "application/zip"): OpenApiResponse(OpenApiTypes.BINARY, "The results"),
    },
)
CLEANUP = _operation(
    "cleanup",
    "Maintenance",
    ("validation_error",),
    summary="Remove old jobs",
    description="Removes ended jobs with their files; live jobs are never touched. Needs the scope `manage` where keys "
    "are required.",
    parameters=[CleanupQuerySerializer],
    request=None,
    responses={200: _json(CleanupReportSerializer, "Done", example.CLEANUP, "200")},
)
