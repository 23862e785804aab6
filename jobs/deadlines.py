"""Deadlines of database statements: DATABASE_TIMEOUT_SECONDS for each, or what a block allows in all.

By the client's own clock: ``statement_timeout`` is kept by the server, and a frozen server keeps nothing. The database
backend (upscaler_site/postgres/backend) asks here before each wait.
"""

import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from django.conf import settings

#: The deadline of this thread's block, in monotonic time; None outside of blocks, infinity for no limit.
_until: ContextVar[float | None] = ContextVar("database_deadline", default=None)


@contextmanager
def within(seconds: float) -> Iterator[None]:
    """Give everything that the block asks the database ``seconds`` in all; a block around it may leave it less.

    What comes later raises OperationalError: the connection is closed, since an answer may still be on its way to it.
    """
    outer = _until.get()
    until = time.monotonic() + seconds
    token = _until.set(until if outer is None else min(until, outer))
    try:
        yield
    finally:
        _until.reset(token)


@contextmanager
def without_limit() -> Iterator[None]:
    """Let each statement of the block take as long as it takes: a migration of a large table."""
    token = _until.set(math.inf)
    try:
        yield
    finally:
        _until.reset(token)


def seconds_left() -> float:
    """Return how long the next wait may take: 0 or less when the time is up, infinity where there is no limit."""
    until = _until.get()
    if until is None:
        return float(settings.DATABASE_TIMEOUT_SECONDS)
    return until if until == math.inf else min(until - time.monotonic(), float(settings.DATABASE_TIMEOUT_SECONDS))
