"""Schedule of a message's tries, as Standard Webhooks recommends it: over three days."""

import random
from datetime import timedelta

from modelstore.backoff import parse_retry_after

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
JITTER = 0.2  # up to so much longer, so that a receiver that recovers does not get all messages at once
LONGEST_WAIT = timedelta(hours=24)
TRIES = len(WAITS) + 1


def wait_after(tries: int, retry_after: str | None = None) -> timedelta | None:
    """Return the wait after ``tries`` failed tries, at least the receiver's Retry-After; None: give up."""
    if tries > len(WAITS):
        return None
    wait = WAITS[max(tries, 1) - 1] * (1 + JITTER * random.random())  # noqa: S311 - not a secret
    asked = timedelta(seconds=min(parse_retry_after(retry_after) or 0.0, LONGEST_WAIT.total_seconds()))
    return max(wait, asked)
