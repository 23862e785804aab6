"""Pieces of which the API's descriptions are put together.

``x-errors`` names error codes, which upscaler_site/api/schema.py spells out.
"""

from collections.abc import Callable, Sequence
from typing import Any, Protocol, TypeVar

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiExample, OpenApiParameter, OpenApiResponse, extend_schema

from jobs.api.docs import examples as example

_View = TypeVar("_View", bound=Callable[..., Any])

#: Media types of results.
PICTURE_TYPES = ("image/png", "image/jpeg", "image/webp", "image/avif", "image/tiff", "image/jxl")

JOB_ID = OpenApiParameter(
    "job_id",
    OpenApiTypes.UUID,
    OpenApiParameter.PATH,
    description="The job_id of a submission.",
    examples=[OpenApiExample("A job", example.JOB_ID)],
)
BATCH_ID = OpenApiParameter(
    "batch_id",
    OpenApiTypes.UUID,
    OpenApiParameter.PATH,
    description="The batch_id of a submission.",
    examples=[OpenApiExample("A batch", example.BATCH_ID)],
)
DRY_RUN = OpenApiParameter(
    "dry_run", bool, OpenApiParameter.QUERY, description="Check everything and tell what it would cost; create nothing."
)
PREFER = OpenApiParameter(
    "Prefer",
    str,
    OpenApiParameter.HEADER,
    description="`respond-async`: answer 202 at once; `wait=10`: wait at most so many seconds, then 202 (RFC 7240).",
)
IDEMPOTENCY_KEY = OpenApiParameter(
    "Idempotency-Key",
    str,
    OpenApiParameter.HEADER,
    description="Any text, unique to this submission, such as a UUID: repeating the call answers with the first call's "
    "job. No example: a fixed one would answer everybody with the first one's picture.",
)
RANGE = OpenApiParameter(
    "Range", str, OpenApiParameter.HEADER, description="`bytes=0-1023`: one range of bytes (RFC 9110)."
)
IF_NONE_MATCH = OpenApiParameter(
    "If-None-Match", str, OpenApiParameter.HEADER, description="An ETag: 304 when the picture is still the same."
)
LAST_EVENT_ID = OpenApiParameter(
    "Last-Event-ID", str, OpenApiParameter.HEADER, description="The last event that was seen: continue after it."
)


def header(name: str, description: str, *statuses: str, kind: Any = str) -> OpenApiParameter:
    """Describe a header of the responses with these statuses."""
    return OpenApiParameter(name, kind, OpenApiParameter.HEADER, description=description, response=list(statuses))


LOCATION = header("Location", "The address of the job or batch.", "202")
RETRY_AFTER = header("Retry-After", "Seconds after which asking again makes sense.", "202", kind=int)
FILE_HEADERS = [
    header("ETag", "Names these very bytes: their SHA-256.", "200", "206"),
    header("Content-Disposition", "The file's name.", "200", "206"),
    header("Accept-Ranges", "bytes", "200", "206"),
]
PROCESSING_TIME = header("X-Processing-Time", "Processing time in seconds.", "200", kind=float)


def answer(serializer: Any, description: str, shape: object, status: str) -> OpenApiResponse:
    """Describe a JSON response of this shape, with an example."""
    return OpenApiResponse(
        serializer,
        description,
        examples=[OpenApiExample(description, shape, response_only=True, status_codes=[status])],
    )


def pictures(types: Sequence[str], status: int, description: str) -> dict[Any, OpenApiResponse]:
    """Describe picture files of any of these media types."""
    return {(status, kind): OpenApiResponse(OpenApiTypes.BINARY, description) for kind in types}


class _Decorator(Protocol):
    """Gives a view's method its description and leaves its type alone."""

    def __call__(self, view: _View, /) -> _View: ...


def operation(operation_id: str, tag: str, errors: Sequence[str] = (), **rest: Any) -> _Decorator:
    """Describe a view's method; ``errors``: the codes that are its own. Codes of every call are added later."""
    return extend_schema(operation_id=operation_id, tags=[tag], extensions={"x-errors": list(errors)}, **rest)
