"""Byte ranges (RFC 9110, 14): pure arithmetic."""

import re
from dataclasses import dataclass

_ONE_RANGE = re.compile(r"\s*bytes\s*=\s*(\d*)\s*-\s*(\d*)\s*", re.ASCII)


@dataclass(frozen=True)
class ByteRange:
    """Bytes ``first`` to ``last``, both included, of ``size``."""

    first: int
    last: int
    size: int

    @property
    def length(self) -> int:
        """Bytes in the range."""
        return self.last - self.first + 1

    @property
    def content_range(self) -> str:
        """The value of Content-Range."""
        return f"bytes {self.first}-{self.last}/{self.size}"


class RangeNotSatisfiable(Exception):
    """The range lies wholly beyond the file's end (416)."""

    def __init__(self, size: int) -> None:
        super().__init__(f"The range lies beyond the file, which has {size} bytes")
        self.headers = {"Content-Range": f"bytes */{size}"}


def parse_range(header: str, size: int) -> ByteRange | None:
    """Return the one range that is asked for, or None for the whole file.

    A malformed header is ignored, as the RFC asks; several ranges are answered by the whole file, as it allows.
    """
    match = _ONE_RANGE.fullmatch(header)
    if match is None or len(header) > 100:
        return None
    first, last = match.groups()
    if not first and not last:
        return None
    if not first:  # the last N bytes
        length = min(int(last), size)
        if length == 0:
            raise RangeNotSatisfiable(size)
        return ByteRange(size - length, size - 1, size)
    if last and int(last) < int(first):
        return None
    if int(first) >= size:
        raise RangeNotSatisfiable(size)
    return ByteRange(int(first), min(int(last), size - 1) if last else size - 1, size)
