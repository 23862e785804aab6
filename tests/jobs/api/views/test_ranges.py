"""Byte ranges of RFC 9110: inside the file, or refused, or the whole file."""

from hypothesis import given
from hypothesis import strategies as st

from jobs.api.views.ranges import ByteRange, RangeNotSatisfiable, parse_range


@given(first=st.integers(0, 2000), last=st.integers(0, 2000), size=st.integers(0, 1000))
def test_a_range_never_leaves_the_file(first: int, last: int, size: int) -> None:
    try:
        found = parse_range(f"bytes={first}-{last}", size)
    except RangeNotSatisfiable:
        assert first >= size
        return
    if found is None:
        assert last < first
        return
    assert (found.first, found.last) == (first, min(last, size - 1))
    assert bytes(size)[found.first : found.last + 1] == bytes(found.length)


@given(last=st.integers(0, 2000), size=st.integers(0, 1000))
def test_the_last_bytes(last: int, size: int) -> None:
    try:
        found = parse_range(f"bytes=-{last}", size)
    except RangeNotSatisfiable:
        assert last == 0 or size == 0
        return
    assert found == ByteRange(size - min(last, size), size - 1, size)


@given(st.text(max_size=60))
def test_any_other_header_means_the_whole_file(text: str) -> None:
    assert text.strip().startswith("bytes") or parse_range(text, 100) is None
