"""POST …/links: addresses of a job, an archive or a batch that work without a header: <img>, downloads, EventSource."""

from datetime import UTC, datetime, timedelta
from typing import Any

from django.urls import reverse
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from jobs.api.docs.examples import BATCH_ID as BATCH_UUID
from jobs.api.docs.parts import BATCH_ID, JOB_ID, answer, operation
from jobs.api.serializers.archive import ArchiveQuerySerializer
from jobs.api.serializers.fields import WholeNumber
from jobs.api.serializers.submission import merged
from jobs.api.views.archive import ArchiveViewSet, completed
from jobs.api.views.base import ApiViewSet, find_batch, find_job
from jobs.auth import signed_urls
from jobs.auth.authentication import caller_key

#: Name in the response -> name of the URL pattern.
ADDRESSES = {
    "status_url": "job",
    "result_url": "job-result",
    "preview_url": "job-preview",
    "input_url": "job-input",
    "pyramid_url": "job-pyramid",
    "tile_url": "job-tile",
    "events_url": "job-events",
}


class LinksQuerySerializer(serializers.Serializer[dict[str, Any]]):
    """The time for which links are good."""

    seconds = WholeNumber(
        min_value=1,
        max_value=int(signed_urls.MAX_AGE.total_seconds()),
        default=3600,
        help_text="How long the links work. Default: one hour.",
    )


class ArchiveLinksQuerySerializer(LinksQuerySerializer, ArchiveQuerySerializer):
    """The choice of jobs, and the time for which the link is good."""


class ExpirySerializer(serializers.Serializer[Any]):
    """The beginning of every answer with links."""

    expires_at = serializers.DateTimeField(
        allow_null=True,
        help_text="null: the addresses carry no signature. They work as the caller's own calls do: openly where no key "
        "is required, with the cookie for a staff member's session.",
    )


class LinksSerializer(ExpirySerializer):
    """A job's addresses; signed where the call was made with a key."""

    status_url = serializers.CharField()
    result_url = serializers.CharField()
    preview_url = serializers.CharField()
    input_url = serializers.CharField()
    pyramid_url = serializers.CharField(help_text="Of the result; `&picture=input` for the picture that was sent.")
    tile_url = serializers.CharField(help_text="Of every tile, which further parameters choose.")
    events_url = serializers.CharField()


class ArchiveLinksSerializer(ExpirySerializer):
    """An archive's address."""

    archive_url = serializers.CharField()


class BatchLinksSerializer(ExpirySerializer):
    """A batch's addresses."""

    status_url = serializers.CharField()
    results_url = serializers.CharField()


_ID = "550e8400-e29b-41d4-a716-446655440000"
_PATH = f"/api/v1/jobs/{_ID}"
_SIGNATURE = "signature=1771241400.k3v9x0aq.Zr3m1pQd8s0Wc2bK7fY5hT4uJ6nL9eX1vA3gB0iC2oM"
_EXPIRES_AT = "2026-02-16T11:30:00Z"
_JOB = {
    "expires_at": _EXPIRES_AT,
    "status_url": f"{_PATH}?{_SIGNATURE}",
    "result_url": f"{_PATH}/result?{_SIGNATURE}",
    "preview_url": f"{_PATH}/preview?{_SIGNATURE}",
    "input_url": f"{_PATH}/input?{_SIGNATURE}",
    "pyramid_url": f"{_PATH}/pyramid?{_SIGNATURE}",
    "tile_url": f"{_PATH}/pyramid/tile?{_SIGNATURE}",
    "events_url": f"{_PATH}/events?{_SIGNATURE}",
}
_ARCHIVE = {"expires_at": _EXPIRES_AT, "archive_url": f"/api/v1/jobs/archive?ids={_ID}&{_SIGNATURE}"}
_BATCH = {
    "expires_at": _EXPIRES_AT,
    "status_url": f"/api/v1/batches/{BATCH_UUID}?{_SIGNATURE}",
    "results_url": f"/api/v1/batches/{BATCH_UUID}/results?{_SIGNATURE}",
}


class LinkViewSet(ApiViewSet):
    """Signed links."""

    @operation(
        "jobs_links",
        "Jobs",
        ("job_not_found", "validation_error"),
        summary="Make links that need no key",
        description="A page's `<img>` and `EventSource` cannot send an API key. These addresses carry a signature "
        "instead: each is good for GET of its own path, as the key that asked for it, until `expires_at` or the key's "
        "revocation. A staff member's session gets them unsigned: they need its cookie, and are of no use to others.",
        parameters=[JOB_ID, LinksQuerySerializer],
        request=None,
        responses={200: answer(LinksSerializer, "The links", _JOB, "200")},
    )
    def create(self, request: Request, job_id: str) -> Response:
        """Sign the job's addresses as the caller's key."""
        query = _checked(LinksQuerySerializer, request)
        job = find_job(request, job_id)
        return _signed(request, query, {name: reverse(address, args=[job.id]) for name, address in ADDRESSES.items()})

    @operation(
        "jobs_archive_links",
        "Jobs",
        ("job_not_found", "result_not_found", "validation_error", "address_too_long"),
        summary="Make a link to the results of several jobs as one ZIP file",
        description="For a download by the browser itself, which streams it to the disk but cannot send an API key. "
        "The link is good for these jobs only; for the rest see the links of a job.",
        parameters=[ArchiveLinksQuerySerializer],
        request=None,
        responses={200: answer(ArchiveLinksSerializer, "The link", _ARCHIVE, "200")},
    )
    def archive(self, request: Request) -> Response:
        """Sign the archive's address as the caller's key; 404 now rather than in the middle of a download."""
        query = _checked(ArchiveLinksQuerySerializer, request)
        completed(request, query["ids"])
        ids = {"ids": ",".join(map(str, query["ids"]))}
        archive = signed_urls.target(reverse("jobs-archive"), ids, ArchiveViewSet.signed_parameters)
        return _signed(request, query, {"archive_url": archive})

    @operation(
        "batches_links",
        "Batches",
        ("batch_not_found", "validation_error"),
        summary="Make links to a batch and its results that need no key",
        description="See the links of a job.",
        parameters=[BATCH_ID, LinksQuerySerializer],
        request=None,
        responses={200: answer(BatchLinksSerializer, "The links", _BATCH, "200")},
    )
    def batch(self, request: Request, batch_id: str) -> Response:
        """Sign the batch's addresses as the caller's key."""
        query = _checked(LinksQuerySerializer, request)
        batch = find_batch(request, batch_id)
        paths = {
            "status_url": reverse("batch", args=[batch.id]),
            "results_url": reverse("batch-results", args=[batch.id]),
        }
        return _signed(request, query, paths)


def _checked(serializer: type[LinksQuerySerializer], request: Request) -> dict[str, Any]:
    """Return the query string's values; refuse unknown and repeated ones."""
    query = serializer(data=merged([dict(request.query_params.lists())], set(serializer().fields)))
    query.is_valid(raise_exception=True)
    return dict(query.validated_data)


def _signed(request: Request, query: dict[str, Any], targets: dict[str, str]) -> Response:
    """Return the addresses signed with the caller's key; unsigned where there is none."""
    key = caller_key(request)
    if key is None:
        return Response({"expires_at": None, **targets})
    expires_at = (datetime.now(UTC) + timedelta(seconds=query["seconds"])).replace(microsecond=0)
    signed = {name: signed_urls.sign(target, key, until=expires_at) for name, target in targets.items()}
    return Response({"expires_at": expires_at, **signed}, headers={"Cache-Control": "no-store"})
