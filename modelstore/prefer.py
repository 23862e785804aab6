"""The Prefer request header (RFC 7240): ``respond-async`` and ``wait=N``, as far as this service honours them."""

import re
from dataclasses import dataclass

_WAIT = re.compile(r"wait\s*=\s*\"?(\d{1,6})\"?")


@dataclass(frozen=True)
class Preference:
    """How long the caller wants to wait, in seconds: 0 not at all. ``applied`` is for Preference-Applied."""

    wait_seconds: int
    applied: str


def preference(header: str, longest_seconds: int) -> Preference:
    """Read the header; anything unknown or malformed in it is ignored, as the RFC asks (section 2)."""
    for token in header.lower().split(","):
        word = token.split(";")[0].strip()
        if word == "respond-async":
            return Preference(0, "respond-async")
        if match := _WAIT.fullmatch(word):
            seconds = min(int(match[1]), longest_seconds)
            return Preference(seconds, f"wait={seconds}")
    return Preference(longest_seconds, "")
