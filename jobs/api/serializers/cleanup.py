"""The query parameters of the clean-up, and its answer."""

from dataclasses import dataclass
from typing import Any, Self

from django.conf import settings
from django.http import QueryDict
from rest_framework import serializers

from jobs.api.serializers.fields import Switch, WholeNumber
from jobs.api.serializers.submission import merged


class CleanupQuerySerializer(serializers.Serializer[dict[str, Any]]):
    """The bounds of a clean-up."""

    hours = WholeNumber(
        min_value=0,
        max_value=87_600,
        required=False,
        help_text="Remove jobs that ended longer ago. Default: RESULT_TTL_HOURS, 24.",
    )
    dry_run = Switch(default=False, help_text="Only count.")


@dataclass(frozen=True)
class CleanupQuery:
    """The bounds of a clean-up."""

    hours: int
    dry_run: bool

    @classmethod
    def read(cls, parameters: QueryDict) -> Self:
        """Read the query string. Raises ValidationError."""
        fields = CleanupQuerySerializer().fields
        serializer = CleanupQuerySerializer(data=merged([dict(parameters.lists())], set(fields)))
        serializer.is_valid(raise_exception=True)
        return cls(**{"hours": settings.RESULT_TTL_HOURS, **serializer.validated_data})


class CleanupReportSerializer(serializers.Serializer[Any]):
    """The counts of a clean-up."""

    success = serializers.BooleanField(help_text="False: some files could not be deleted; everything else was done.")
    cleaned_jobs = serializers.IntegerField()
    message = serializers.CharField()
    cleaned_files = serializers.IntegerField()
    freed_bytes = serializers.IntegerField()
    orphaned_files = serializers.IntegerField(help_text="Files that no job named.")
    failed_files = serializers.IntegerField(help_text="Files that could not be deleted; the log names each.")
    dry_run = serializers.BooleanField(help_text="True: nothing was removed.")
