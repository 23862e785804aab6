"""The query parameters of the job list, and its answer."""

from dataclasses import dataclass
from typing import Any, Self

from django.http import QueryDict
from drf_spectacular.utils import extend_schema_serializer
from rest_framework import serializers

from jobs import chains
from jobs.api.pagination import CursorInvalid, Filters, decode_cursor
from jobs.api.serializers.fields import JobIds, WholeNumber
from jobs.api.serializers.job import JobSerializer
from jobs.api.serializers.submission import merged
from jobs.states import Status
from modelstore.serializers import Choice

DEFAULT_LIMIT, MAX_LIMIT = 100, 1000


class CursorField(serializers.CharField):
    """A cursor that this service gave out."""

    default_error_messages = {"invalid": "Not a cursor of this service; take it from next_cursor"}

    def to_internal_value(self, data: Any) -> str:
        """Return the cursor unchanged, or refuse."""
        text = super().to_internal_value(data)
        try:
            decode_cursor(text)
        except CursorInvalid:
            self.fail("invalid")
        return text


class ListQuerySerializer(serializers.Serializer[dict[str, Any]]):
    """Filters are combined with "and"."""

    ids = JobIds(required=False, help_text=f"These jobs, separated by commas; at most {JobIds.MOST}.")
    status = Choice(choices=Status.choices, required=False)
    model = serializers.CharField(
        max_length=chains.LONGEST, required=False, help_text="Jobs whose model is this very text: a name, or a chain."
    )
    batch = serializers.UUIDField(required=False, help_text="Jobs of this batch.")
    created_after = serializers.DateTimeField(required=False, help_text="ISO 8601; UTC where it names no zone.")
    created_before = serializers.DateTimeField(required=False, help_text="ISO 8601; UTC where it names no zone.")
    limit = WholeNumber(min_value=1, max_value=MAX_LIMIT, default=DEFAULT_LIMIT, help_text="Most jobs to return.")
    cursor = CursorField(max_length=100, required=False, help_text="next_cursor of the page before.")

    def validate_model(self, value: str) -> str:
        """Read a blank as a +, of which an address makes one: no name has a blank, and an empty list says nothing."""
        return value.replace(" ", chains.SEPARATOR)


@dataclass(frozen=True)
class ListQuery:
    """The filters and the page that a caller asks for."""

    filters: Filters
    limit: int
    cursor: str | None

    @classmethod
    def read(cls, parameters: QueryDict) -> Self:
        """Read the query string. Raises ValidationError, also for parameters that nobody knows or that come twice."""
        serializer = ListQuerySerializer()
        serializer = ListQuerySerializer(data=merged([dict(parameters.lists())], set(serializer.fields)))
        serializer.is_valid(raise_exception=True)
        given = dict(serializer.validated_data)
        limit, cursor = given.pop("limit"), given.pop("cursor", None)
        return cls(Filters(**given), limit, cursor)


@extend_schema_serializer(many=False)  # the view is a list, its answer an object
class JobListSerializer(serializers.Serializer[Any]):
    """One page of jobs, newest first."""

    total = serializers.IntegerField(help_text="Jobs that match the filters, on all pages.")
    returned = serializers.IntegerField(help_text="Jobs on this page.")
    jobs = JobSerializer(many=True)
    next_cursor = serializers.CharField(
        allow_null=True, help_text="Give it as cursor for the next page; null on the last."
    )
