"""When a message is tried again: the schedule that Standard Webhooks recommends, over three days."""

import random
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

#: The wait after the first, second, … failed try. The first try comes at once; after the last wait there is one more.
WAITS = (
    timedelta(seconds=5),
    timedelta(minutes=5),
    timedelta(minutes=30),
    timedelta(hours=2),
    timedelta(hours=5),
    timedelta(hours=10),
    timedelta(hours=14),
    timedelta(hours=20),
    timedelta(hours=24),
)
JITTER = 0.2  # up to so much longer, so that a receiver that comes back is not met by everybody at once
LONGEST_WAIT = timedelta(hours=24)
TRIES = len(WAITS) + 1


def wait_after(tries: int, retry_after: str | None = None) -> timedelta | None:
    """The wait after ``tries`` failed tries, at least as long as the receiver's Retry-After; None: give up."""
    if tries > len(WAITS):
        return None
    wait = WAITS[max(tries, 1) - 1] * (1 + JITTER * random.random())  # noqa: S311 - not a secret
    return max(wait, min(_asked(retry_after), LONGEST_WAIT))


def _asked(retry_after: str | None) -> timedelta:
    """Retry-After as seconds or as a date (RFC 9110); zero when it is neither."""
    text = (retry_after or "").strip()
    if text.isascii() and text.isdecimal() and len(text) <= 9:
        return timedelta(seconds=int(text))
    try:
        at = parsedate_to_datetime(text)
        return (at if at.tzinfo else at.replace(tzinfo=UTC)) - datetime.now(UTC)
    except (ValueError, OverflowError):  # the latter for a zone of many digits
        return timedelta()
