"""Tries after a failure: which are of use, and when. Retry-After says that asking again can help (RFC 9110, 10.2.3)."""

import random
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from upscaler_client.errors import BadAnswer, Refused
from upscaler_client.steps import Answer

#: What gateways answer in the service's place while it restarts or is overrun.
_GATEWAYS = frozenset({408, 429, 502, 503, 504})
FIRST_SECONDS, MOST_SECONDS = 0.5, 8.0


def backoff(attempt: int) -> float:
    """Return the seconds before try ``attempt`` + 1, spread so that many clients do not come back as one."""
    return float(min(MOST_SECONDS, FIRST_SECONDS * 2**attempt)) * random.uniform(0.5, 1)  # noqa: S311 - no secret


def pause_after(answer: Answer, attempt: int) -> float | None:
    """Return the seconds to wait before asking again; None: an equal request would be answered alike."""
    if "Retry-After" in answer.headers:
        asked = _seconds(answer.headers["Retry-After"])
        return backoff(attempt) if asked is None else max(asked, 0.05)
    if answer.status in _GATEWAYS and not _is_ours(answer):
        return backoff(attempt)
    return None


def refusal(answer: Answer) -> Refused:
    """Return the error that the answer tells, or, of somebody else's answer, what little there is to say."""
    if _is_ours(answer):
        told = answer.json()
        return Refused(str(told["detail"]), code=str(told["code"]), status=answer.status)
    if answer.status in (301, 302, 307, 308) and "Location" in answer.headers:
        place = answer.headers["Location"]
        return Refused(f"The service is elsewhere: HTTP {answer.status} to {place}", code="http", status=answer.status)
    kind = answer.headers.get("Content-Type", "nothing")
    return Refused(
        f"HTTP {answer.status} with {kind} in place of the service's answer", code="http", status=answer.status
    )


def _is_ours(answer: Answer) -> bool:
    """Return whether the service itself answered, in the form of all its errors."""
    if not answer.headers.get("Content-Type", "").startswith("application/json"):
        return False
    try:
        told = answer.json()
    except BadAnswer:
        return False
    return isinstance(told, dict) and "detail" in told and "code" in told


def _seconds(text: str) -> float | None:
    if text.strip().isdecimal():
        return float(text)
    try:
        return (parsedate_to_datetime(text) - datetime.now(UTC)).total_seconds()
    except (TypeError, ValueError):
        return None
