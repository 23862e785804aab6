"""The header Prefer (RFC 7240) is read, whatever it says."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelstore.prefer_header import Preference, preference


@pytest.mark.parametrize(
    ("header", "wanted"),
    [
        ("", Preference(300, "")),
        ("respond-async", Preference(0, "respond-async")),
        ("wait=10", Preference(10, "wait=10")),
        ('WAIT="10"', Preference(10, "wait=10")),
        ("respond-async, wait=10", Preference(10, "respond-async, wait=10")),
        ("wait=99999", Preference(300, "wait=300")),
        ("wait=1, wait=2", Preference(1, "wait=1")),
        ("return=minimal; foo=bar, wait = 5", Preference(5, "wait=5")),
        ("wait=-1", Preference(300, "")),
        ("wait=soon", Preference(300, "")),
    ],
)
def test_reading_prefer(header: str, wanted: Preference) -> None:
    assert preference(header, 300) == wanted


@given(st.text(max_size=200))
def test_no_header_breaks_the_reading(header: str) -> None:
    assert 0 <= preference(header, 300).wait_seconds <= 300
