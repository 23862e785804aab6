"""The query of the archive of several jobs."""

import uuid
from typing import Any

from rest_framework import serializers

#: The ids stand in the address, of which the web server reads 8 kB.
MAX_JOBS = 200


class ArchiveQuerySerializer(serializers.Serializer[dict[str, Any]]):
    """The choice of jobs for an archive."""

    ids = serializers.CharField(
        max_length=37 * MAX_JOBS, help_text=f"Job ids, separated by commas; at most {MAX_JOBS}."
    )

    def validate_ids(self, value: str) -> list[uuid.UUID]:
        """Return the ids in the order given, each once."""
        words = [word.strip() for word in value.split(",") if word.strip()]
        if not 1 <= len(words) <= MAX_JOBS:
            raise serializers.ValidationError(f"Give 1 to {MAX_JOBS} job ids, separated by commas.")
        ids: dict[uuid.UUID, None] = {}
        for word in words:
            try:
                ids[uuid.UUID(word)] = None
            except ValueError:
                raise serializers.ValidationError(f"Not a job id: {word[:100]}") from None
        return list(ids)
