"""The query parameters of the usage ledger, and its answer."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any, Self

from django.http import QueryDict
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from jobs.api.serializers.submission import merged
from jobs.models.usage import GROUPS, Sums, UsageRow

#: The longest period, a leap year; and the days that are told where no period is given.
MOST_DAYS, USUAL_DAYS = 366, 30
#: Rows of an answer.
MOST_ROWS = 10_000
_GROUP = "|".join(GROUPS)


@extend_schema_field({"type": "string", "pattern": f"^( *({_GROUP}) *(, *({_GROUP}) *)*)?$", "default": "day"})
class Groups(serializers.Field[list[str], str, str, Any]):
    """Names of groups, separated by commas; an empty text, which a CharField refuses, is the sum alone."""

    default_error_messages = {"group": f"Give any of {', '.join(GROUPS)}, separated by commas"}

    def to_internal_value(self, data: str) -> list[str]:
        """Return the groups in the order given, each once; or refuse."""
        words = [word.strip(" ") for word in data.split(",")] if data else []
        if not set(words) <= GROUPS.keys():
            self.fail("group")
        return list(dict.fromkeys(words))


class UsageQuerySerializer(serializers.Serializer[dict[str, Any]]):
    """The days, and what their sums are told by."""

    group_by = Groups(
        required=False,
        help_text="What has a row of its own: any of day, model, device and key, separated by commas. Empty: the "
        "totals alone.",
    )

    def get_fields(self) -> dict[str, Any]:
        """Add the parameters whose names are words of Python's."""
        return {
            "from": serializers.DateField(
                required=False,
                help_text=f"First day, YYYY-MM-DD in UTC. Default: {USUAL_DAYS - 1} days before the last.",
            ),
            "to": serializers.DateField(
                required=False, help_text=f"Last day, included; at most {MOST_DAYS} days in all. Default: today."
            ),
            **super().get_fields(),
        }


@dataclass(frozen=True)
class UsageQuery:
    """The days, both included, and the groups."""

    first: date
    last: date
    groups: tuple[str, ...]

    @classmethod
    def read(cls, parameters: QueryDict, today: date) -> Self:
        """Read the query string. Raises ValidationError."""
        serializer = UsageQuerySerializer(data=merged([dict(parameters.lists())], set(UsageQuerySerializer().fields)))
        serializer.is_valid(raise_exception=True)
        given = serializer.validated_data
        last = given.get("to", today)
        first = given.get("from", _before(last, USUAL_DAYS - 1))
        if first > last:
            raise serializers.ValidationError({"from": "This day lies after the last one"})
        if (last - first).days >= MOST_DAYS:
            raise serializers.ValidationError({"from": f"Ask for at most {MOST_DAYS} days at once"})
        return cls(first, last, tuple(given.get("group_by", ("day",))))


def _before(day: date, days: int) -> date:
    return day - timedelta(days=min(days, day.toordinal() - 1))


class SumsSerializer(serializers.Serializer[Any]):
    """Counters, added up."""

    jobs_completed = serializers.IntegerField(help_text="Jobs with a result.")
    jobs_failed = serializers.IntegerField()
    jobs_cancelled = serializers.IntegerField()
    jobs_reused = serializers.IntegerField(help_text="Of the completed: answered by an equal job's result.")
    input_megapixels = serializers.FloatField(help_text="Of completed jobs, all frames.")
    output_megapixels = serializers.FloatField(help_text="Of completed jobs, all frames.")
    device_seconds = serializers.FloatField(
        help_text="Time of the networks on their device; of jobs that failed or were cancelled, from their claim to "
        "their end; of reused results none."
    )
    input_bytes = serializers.IntegerField(help_text="Of completed jobs, as they were sent.")
    result_bytes = serializers.IntegerField(help_text="Of completed jobs, as they were stored.")


class UsageRowSerializer(SumsSerializer):
    """The sums of one group; of day, model, device and key it has those that were asked for."""

    day = serializers.DateField(required=False)
    model = serializers.CharField(required=False, help_text="A model's name; of a chain, its members' with + between.")
    device = serializers.CharField(
        required=False, allow_null=True, help_text="Its kind, such as cuda or cpu; null: none worked on these jobs."
    )
    key = serializers.CharField(
        required=False, allow_null=True, help_text="The API key's prefix, the part after ups_; null: without a key."
    )
    key_name = serializers.CharField(
        required=False, allow_null=True, help_text="The key's name, also when it is gone; it comes with key."
    )


class UsageSerializer(serializers.Serializer[Any]):
    """Sums of some days, and their total."""

    group_by = serializers.ListField(child=serializers.ChoiceField(choices=list(GROUPS)))
    rows = UsageRowSerializer(many=True)
    totals = SumsSerializer(help_text="Of all rows.")

    def get_fields(self) -> dict[str, Any]:
        """Add the fields whose names are words of Python's."""
        return {
            "from": serializers.DateField(help_text="First day, in UTC."),
            "to": serializers.DateField(help_text="Last day, included."),
            **super().get_fields(),
        }


def usage_shape(query: UsageQuery, rows: Sequence[UsageRow], names: dict[str, str]) -> dict[str, Any]:
    """Return the answer. ``names``: of the keys that exist, by their prefixes."""
    return {
        "from": query.first.isoformat(),
        "to": query.last.isoformat(),
        "group_by": list(query.groups),
        "rows": [{**_group(query.groups, row, names), **sums_shape(row.sums)} for row in rows],
        "totals": sums_shape(sum((row.sums for row in rows), Sums())),
    }


def sums_shape(sums: Sums) -> dict[str, Any]:
    """Return counters in the units that people use."""
    return {
        "jobs_completed": sums.completed,
        "jobs_failed": sums.failed,
        "jobs_cancelled": sums.cancelled,
        "jobs_reused": sums.reused,
        "input_megapixels": sums.input_pixels / 1e6,
        "output_megapixels": sums.output_pixels / 1e6,
        "device_seconds": sums.device_ms / 1e3,
        "input_bytes": sums.input_bytes,
        "result_bytes": sums.result_bytes,
    }


def _group(groups: Sequence[str], row: UsageRow, names: dict[str, str]) -> dict[str, Any]:
    shape: dict[str, Any] = {}
    for group in groups:
        if group == "day":
            shape["day"] = row.day.isoformat() if row.day else None
        elif group == "model":
            shape["model"] = row.model
        elif group == "device":
            shape["device"] = row.device or None
        else:
            prefix = row.key_prefix or ""
            shape |= {"key": prefix or None, "key_name": names.get(prefix) or row.key_name or None}
    return shape
