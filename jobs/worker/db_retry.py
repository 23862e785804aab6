"""Retries through restarts of the database: a broken connection does not cost an hour of computing."""

import logging
import time
from collections.abc import Callable
from functools import wraps
from typing import ParamSpec, TypeVar

from django.db import InterfaceError, OperationalError, connection

from jobs.errors import one_line
from modelstore.backoff import Backoff

logger = logging.getLogger(__name__)

_Parameters = ParamSpec("_Parameters")
_Answer = TypeVar("_Answer")

#: Seconds after which a silent database is given up.
PATIENCE_SECONDS = 900.0


def retried(ask: Callable[_Parameters, _Answer]) -> Callable[_Parameters, _Answer]:
    """Decorate a question to the database: it is asked again until there is an answer, for PATIENCE_SECONDS at most.

    The question must be safe to ask twice: an answer may be lost after its COMMIT. Inside a transaction it is asked
    once: only the whole transaction can be repeated.

    :raises OperationalError, InterfaceError: the database did not answer.
    """

    @wraps(ask)
    def insist(*args: _Parameters.args, **kwargs: _Parameters.kwargs) -> _Answer:
        until = time.monotonic() + PATIENCE_SECONDS
        backoff = Backoff()
        while True:
            try:
                return ask(*args, **kwargs)
            except (OperationalError, InterfaceError) as error:
                if time.monotonic() >= until or connection.in_atomic_block:
                    raise
                pause = backoff.next()
                logger.warning("database does not answer again_in=%.1fs error=%s", pause, one_line(error))
                connection.close()
                time.sleep(pause)

    return insist
