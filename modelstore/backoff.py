"""Backoff: growing pauses between tries, and the times that servers ask for."""

import random
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

#: 31 years: a server that asks for more means never.
_MOST_DIGITS = 9


class Backoff:
    """Pauses between tries: the first, then each twice as long as the one before, up to the longest; in seconds.

    :param jitter: the share by which a pause may be shorter or longer, so that many do not try again at one moment.
    """

    def __init__(self, first: float = 0.2, longest: float = 5.0, *, jitter: float = 0.0) -> None:
        self.first = first
        self.longest = longest
        self.jitter = jitter
        self._next = first

    def next(self) -> float:
        """Return the pause before the next try, in seconds."""
        pause = min(self._next, self.longest)
        self._next = min(self._next * 2, self.longest)
        return pause * random.uniform(1 - self.jitter, 1 + self.jitter) if self.jitter else pause  # noqa: S311 - no secret

    def reset(self) -> None:
        """Begin with the first pause again: something went well."""
        self._next = self.first


def parse_retry_after(text: str | None) -> float | None:
    """Return the seconds from now that a Retry-After header names (RFC 9110, section 10.2.3): a number or a date.

    None for no header and for what is neither; never negative.
    """
    text = (text or "").strip()
    if text.isascii() and text.isdecimal():
        return float(text[:_MOST_DIGITS])
    try:
        at = parsedate_to_datetime(text)
        at = at if at.tzinfo else at.replace(tzinfo=UTC)
        return max(0.0, (at - datetime.now(UTC)).total_seconds())
    except (ValueError, OverflowError):  # the latter for a zone of many digits
        return None
