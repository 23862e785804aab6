"""The query parameters of erasure and export, and the erasure's answer."""

import re
from typing import Any

from rest_framework import serializers

from jobs.api.serializers.fields import Switch

_PREFIX = re.compile(r"(ups_)?[a-z0-9]{8}")


class KeyPrefix(serializers.CharField):
    """The beginning of a key, by which people know it."""

    default_error_messages = {"prefix": "Give the eight characters after ups_ of the key"}

    def to_internal_value(self, data: Any) -> str:
        """Return the eight characters, or refuse."""
        text = super().to_internal_value(data)
        if not _PREFIX.fullmatch(text):
            self.fail("prefix")
        return text.removeprefix("ups_")


class WhoseQuerySerializer(serializers.Serializer[dict[str, Any]]):
    """The key whose data it is about."""

    key = KeyPrefix(
        required=False,
        max_length=12,
        help_text="The eight characters after `ups_` of another key; needs the scope `manage`. Default: your own.",
    )


class ErasureQuerySerializer(WhoseQuerySerializer):
    """The extent of an erasure."""

    revoke = Switch(default=False, help_text="Revoke the key, too; then its name goes as well.")
    dry_run = Switch(default=False, help_text="Only count.")


class ErasureSerializer(serializers.Serializer[Any]):
    """The counts of an erasure."""

    done = serializers.BooleanField(help_text="false: running jobs have yet to stop; the service goes on by itself.")
    dry_run = serializers.BooleanField(help_text="true: nothing was erased.")
    jobs = serializers.IntegerField(help_text="With their inputs, results, previews and tiles.")
    bytes = serializers.IntegerField(help_text="Of their files.")
    batches = serializers.IntegerField()
    webhooks = serializers.IntegerField(help_text="Messages with their deliveries.")
    idempotency_keys = serializers.IntegerField()
    names = serializers.IntegerField(help_text="Places where the key's name was replaced by a pseudonym.")
    pending_jobs = serializers.IntegerField(help_text="Running jobs that were told to stop.")
    failed_files = serializers.IntegerField(help_text="Files that could not be deleted; the service's log names each.")
