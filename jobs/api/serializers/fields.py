"""Fields that are stricter than the framework's: what a caller mistypes is refused, not guessed."""

import math
import re
import uuid
from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from modelstore.sentences import told

_WHOLE = re.compile(r"[+-]?[0-9]{1,18}")


class WholeNumber(serializers.IntegerField):
    """An integer. The framework's would also take 12.0, 1_0 and the digits of other scripts."""

    def to_internal_value(self, data: Any) -> int:
        """Return the number, or refuse."""
        if isinstance(data, str) and not _WHOLE.fullmatch(data):
            self.fail("invalid")
        if isinstance(data, bool | float):
            self.fail("invalid")
        return super().to_internal_value(data)


class FiniteNumber(serializers.FloatField):
    """A number. The framework's would also take NaN, which passes every bound, and 1_0."""

    def to_internal_value(self, data: Any) -> float:
        """Return the number, or refuse."""
        if isinstance(data, bool) or (isinstance(data, str) and "_" in data):
            self.fail("invalid")
        number = super().to_internal_value(data)
        if not math.isfinite(number):
            self.fail("invalid")
        return number


class Switch(serializers.BooleanField):
    """true or false, also as 1 and 0: what forms and query strings send."""

    def to_internal_value(self, data: Any) -> bool:
        """Return the switch's state, or refuse."""
        if isinstance(data, bool):
            return data
        states = {
            "true": True,
            "1": True,
            "on": True,
            "yes": True,
            "false": False,
            "0": False,
            "off": False,
            "no": False,
        }
        if isinstance(data, str) and data.lower() in states:
            return states[data.lower()]
        self.fail("invalid", input=str(data)[:40])
        raise AssertionError  # fail() raises


@extend_schema_field({"oneOf": [{"type": "boolean"}, {"type": "string", "enum": ["location"]}]})
class StripSwitch(Switch):
    """true or false, or "location" for GPS alone."""

    default_error_messages = {"invalid": "Must be true, false or location"}

    def to_internal_value(self, data: Any) -> Any:
        """Return True, False or "location", or refuse."""
        return "location" if data == "location" else super().to_internal_value(data)


class TextOrNull(serializers.CharField):
    """Written out as null where the table has an empty text."""

    def to_representation(self, value: Any) -> Any:
        """Return the text, or None."""
        return super().to_representation(value) or None


class ToldOrNull(TextOrNull):
    """An error or a note that is stored in English, in the caller's language."""

    def to_representation(self, value: Any) -> Any:
        """Return the text as people read it, or None."""
        text = super().to_representation(value)
        return told(text) if text else None


class JobIds(serializers.CharField):
    """Job ids in one text, separated by commas. They stand in the address, of which the web server reads 8 kB."""

    MOST = 200
    default_error_messages = {"count": f"Give 1 to {MOST} job ids, separated by commas", "id": "Not a job id: {word}"}

    def __init__(self, **options: Any) -> None:
        options.setdefault("help_text", f"Job ids, separated by commas; at most {self.MOST}.")
        super().__init__(max_length=37 * self.MOST, **options)

    def to_internal_value(self, data: Any) -> list[uuid.UUID]:  # type: ignore[override]  # the stubs know texts only
        """Return the ids in the order given, each once; or refuse."""
        words = [word.strip() for word in super().to_internal_value(data).split(",") if word.strip()]
        if not 1 <= len(words) <= self.MOST:
            self.fail("count")
        ids: dict[uuid.UUID, None] = {}
        for word in words:
            try:
                ids[uuid.UUID(word)] = None
            except ValueError:
                self.fail("id", word=word[:100])
        return list(ids)
