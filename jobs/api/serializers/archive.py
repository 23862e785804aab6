"""The query of the archive of several jobs."""

from typing import Any

from rest_framework import serializers

from jobs.api.serializers.fields import JobIds


class ArchiveQuerySerializer(serializers.Serializer[dict[str, Any]]):
    """The choice of jobs for an archive."""

    ids = JobIds()
