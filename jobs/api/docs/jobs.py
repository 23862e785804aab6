"""A job's life, looked at and directed."""

from drf_spectacular.utils import OpenApiExample, OpenApiResponse

from jobs.api.docs import examples as example
from jobs.api.docs.parts import JOB_ID, LAST_EVENT_ID, LOCATION, RETRY_AFTER, answer, header, operation
from jobs.api.serializers.cleanup import CleanupQuerySerializer, CleanupReportSerializer
from jobs.api.serializers.job import AcceptedSerializer, JobDetailSerializer
from jobs.api.serializers.listing import JobListSerializer, ListQuerySerializer

LIST_JOBS = operation(
    "jobs_list",
    "Jobs",
    ("validation_error", "address_too_long"),
    summary="List jobs",
    description="Newest first. With API keys required, a caller sees its own.",
    parameters=[ListQuerySerializer, header("Link", 'The next page, rel="next".', "200")],
    responses={200: answer(JobListSerializer, "Jobs", example.JOB_LIST, "200")},
)
GET_JOB = operation(
    "jobs_retrieve",
    "Jobs",
    ("job_not_found",),
    summary="Get a job's status",
    parameters=[JOB_ID, header("Retry-After", "While the job is not done: seconds.", "200", kind=int)],
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
CANCEL_JOB = operation(
    "jobs_cancel",
    "Jobs",
    ("job_not_found", "job_state_conflict"),
    summary="Cancel a job",
    description="A waiting job is cancelled at once (200). A running one stops between two tiles (202).",
    parameters=[JOB_ID],
    request=None,
    responses={
        200: answer(JobDetailSerializer, "Cancelled", example.DETAIL_CANCELLED, "200"),
        202: answer(JobDetailSerializer, "Will stop", example.DETAIL_STOPPING, "202"),
    },
)
RETRY_JOB = operation(
    "jobs_retry",
    "Jobs",
    (
        *("job_not_found", "job_state_conflict", "input_deleted", "queue_full"),
        *("queued_jobs_limit", "daily_megapixels_limit"),
    ),
    summary="Run a failed or cancelled job again",
    parameters=[JOB_ID, LOCATION, RETRY_AFTER],
    request=None,
    responses={202: answer(AcceptedSerializer, "In the queue again", example.ACCEPTED, "202")},
)
DELETE_JOB = operation(
    "jobs_delete",
    "Jobs",
    ("job_not_found", "job_state_conflict"),
    summary="Cancel or delete a job",
    description="A live job is cancelled, as by POST …/cancel. An ended one is deleted with its files (204).",
    parameters=[JOB_ID],
    responses={
        200: answer(JobDetailSerializer, "Cancelled", example.DETAIL_CANCELLED, "200"),
        202: answer(JobDetailSerializer, "Will stop", example.DETAIL_STOPPING, "202"),
        204: OpenApiResponse(description="Deleted"),
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
EVENTS = operation(
    "jobs_events",
    "Jobs",
    ("job_not_found", "too_many_waiting"),
    summary="Follow a job",
    description="Server-sent events `queued`, `processing`, `progress`, and at the end `completed`, `failed` or "
    "`cancelled`, each with the job object as its data; `queue` while it waits and its place changes. A comment every "
    "15 seconds keeps the line open. The stream "
    f"ends with the job; continuing after its last event is answered by 204.\n\n```\n{example.EVENTS}```",
    parameters=[JOB_ID, LAST_EVENT_ID],
    responses={
        (200, "text/event-stream"): OpenApiResponse(
            _EVENT,
            "The events",
            examples=[OpenApiExample("One event", example.EVENT, response_only=True, status_codes=["200"])],
        ),
        204: OpenApiResponse(description="Nothing more will come"),
    },
)
CLEANUP = operation(
    "cleanup",
    "Maintenance",
    ("validation_error",),
    summary="Remove old jobs",
    description="Removes ended jobs with their files; live jobs are never touched. Needs the scope `manage` where keys "
    "are required.",
    parameters=[CleanupQuerySerializer],
    request=None,
    responses={200: answer(CleanupReportSerializer, "Done", example.CLEANUP, "200")},
)
