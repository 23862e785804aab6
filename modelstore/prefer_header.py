"""The Prefer request header (RFC 7240): ``respond-async`` and ``wait=N``, as far as this service honours them."""

import re
from dataclasses import dataclass

_PREFERENCE = re.compile(r'\s*([a-z0-9!#$%&\'*+.^_`|~-]+)\s*(?:=\s*("[^"]*"|[^\s;,]*))?')


@dataclass(frozen=True)
class Preference:
    """The seconds that the caller wants to wait, 0 for not at all. ``applied`` is for Preference-Applied."""

    wait_seconds: int
    applied: str


def preference(header: str, longest_seconds: int) -> Preference:
    """Read the header.

    ``respond-async`` alone is no wait; together with ``wait=N`` it is N seconds and then the asynchronous answer
    (section 4.3). Anything unknown or malformed is ignored; of a preference given twice the first counts (section 2).
    """
    seen: dict[str, str] = {}
    for part in header.lower().split(","):
        if match := _PREFERENCE.match(part.split(";")[0]):
            seen.setdefault(match[1], (match[2] or "").strip('"'))
    wait, applied = longest_seconds, []
    if seen.get("respond-async") == "":
        wait = 0
        applied.append("respond-async")
    if re.fullmatch(r"[0-9]{1,9}", seen.get("wait", "")):
        wait = min(int(seen["wait"]), longest_seconds)
        applied.append(f"wait={wait}")
    return Preference(wait, ", ".join(applied))
