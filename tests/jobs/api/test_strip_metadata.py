"""strip_metadata: two switches and a word, and the operator's default."""

from typing import Any

import pytest
from django.test import override_settings

from jobs.api.serializers.submission import SubmissionSerializer


def parsed(**given: Any) -> Any:
    serializer = SubmissionSerializer(data=given)
    serializer.is_valid(raise_exception=True)
    return serializer.options.strip_metadata


@pytest.mark.parametrize(
    ("given", "expected"),
    [("true", True), ("1", True), (True, True), ("false", False), (False, False), ("location", "location")],
)
def test_the_caller_says_what_is_stripped(given: Any, expected: Any) -> None:
    assert parsed(strip_metadata=given) == expected
    with override_settings(STRIP_METADATA_DEFAULT="all"):
        assert parsed(strip_metadata=given) == expected


@pytest.mark.parametrize(("default", "expected"), [("none", None), ("location", "location"), ("all", True)])
def test_the_operator_says_what_is_stripped_unasked(default: str, expected: Any) -> None:
    with override_settings(STRIP_METADATA_DEFAULT=default):
        assert parsed() == expected


@pytest.mark.parametrize("given", ["gps", "Location", "", 2, None])
def test_anything_else_is_refused(given: Any) -> None:
    serializer = SubmissionSerializer(data={"strip_metadata": given})
    assert not serializer.is_valid()
    assert "strip_metadata" in serializer.errors
