"""POST /jobs/{job_id}/links: addresses of the job that work without a header, for <img>, downloads and EventSource."""

from datetime import UTC, datetime, timedelta
from typing import Any

from django.urls import reverse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiExample, OpenApiParameter, OpenApiResponse, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from jobs import links
from jobs.access import caller_key
from jobs.serializers.fields import WholeNumber
from jobs.serializers.submission import merged
from jobs.views.base import ApiViewSet, find_job

#: Name in the answer -> name of the address.
ADDRESSES = {
    "status_url": "job",
    "result_url": "job-result",
    "preview_url": "job-preview",
    "input_url": "job-input",
    "events_url": "job-events",
}


class LinksQuerySerializer(serializers.Serializer[dict[str, Any]]):
    """How long the links are good."""

    seconds = WholeNumber(
        min_value=1,
        max_value=int(links.MAX_AGE.total_seconds()),
        default=3600,
        help_text="How long the links work. Default: one hour.",
    )


class LinksSerializer(serializers.Serializer[Any]):
    """The addresses; signed where the call was made with a key."""

    expires_at = serializers.DateTimeField(
        allow_null=True,
        help_text="null: the addresses carry no signature. They work as the caller's own calls do: openly where no key "
        "is required, with the cookie for a staff member's session.",
    )
    status_url = serializers.CharField()
    result_url = serializers.CharField()
    preview_url = serializers.CharField()
    input_url = serializers.CharField()
    events_url = serializers.CharField()


_PATH = "/api/v1/jobs/550e8400-e29b-41d4-a716-446655440000"
_SIGNATURE = "signature=1771241400.k3v9x0aq.Zr3m1pQd8s0Wc2bK7fY5hT4uJ6nL9eX1vA3gB0iC2oM"
_EXAMPLE = OpenApiExample(
    "Links",
    {
        "expires_at": "2026-02-16T11:30:00Z",
        "status_url": f"{_PATH}?{_SIGNATURE}",
        "result_url": f"{_PATH}/result?{_SIGNATURE}",
        "preview_url": f"{_PATH}/preview?{_SIGNATURE}",
        "input_url": f"{_PATH}/input?{_SIGNATURE}",
        "events_url": f"{_PATH}/events?{_SIGNATURE}",
    },
    response_only=True,
    status_codes=["200"],
)


class LinkViewSet(ApiViewSet):
    """Signed links."""

    @extend_schema(
        operation_id="jobs_links",
        tags=["Jobs"],
        summary="Make links that need no key",
        description="A page's `<img>` and `EventSource` cannot send an API key. These addresses carry a signature "
        "instead: each is good for GET of its own path, as the key that asked for it, until `expires_at` or the key's "
        "revocation. A staff member's session gets them unsigned: they need its cookie, and are of no use to others.",
        parameters=[
            OpenApiParameter("job_id", OpenApiTypes.UUID, OpenApiParameter.PATH),
            LinksQuerySerializer,
        ],
        request=None,
        responses={200: OpenApiResponse(LinksSerializer, "The links", [_EXAMPLE])},
        extensions={"x-errors": ["job_not_found", "validation_error"]},
    )
    def create(self, request: Request, job_id: str) -> Response:
        """Sign the job's addresses as the caller's key."""
        fields = set(LinksQuerySerializer().fields)
        query = LinksQuerySerializer(data=merged([dict(request.query_params.lists())], fields))
        query.is_valid(raise_exception=True)
        seconds = query.validated_data["seconds"]
        job = find_job(request, job_id)
        key = caller_key(request)
        paths = {name: reverse(address, args=[job.id]) for name, address in ADDRESSES.items()}
        if key is None:
            return Response({"expires_at": None, **paths})
        expires_at = (datetime.now(UTC) + timedelta(seconds=seconds)).replace(microsecond=0)
        signed = {name: links.sign(path, key, until=expires_at) for name, path in paths.items()}
        return Response({"expires_at": expires_at, **signed}, headers={"Cache-Control": "no-store"})
