"""What must reach the database does so through its restarts: a broken connection does not cost an hour of computing."""

import logging
import time
from collections.abc import Callable
from typing import TypeVar

from django.db import InterfaceError, OperationalError, connection

from jobs.errors import one_line

logger = logging.getLogger(__name__)

_Answer = TypeVar("_Answer")
_LONGEST_PAUSE = 5.0


def insist(ask: Callable[[], _Answer], *, seconds: float = 900.0) -> _Answer:
    """Call ``ask`` until the database answers. It must be safe to ask twice: an answer may be lost after its COMMIT.

    :raises OperationalError, InterfaceError: it did not answer for so many ``seconds``.
    """
    until = time.monotonic() + seconds
    pause = 0.2
    while True:
        try:
            return ask()
        except (OperationalError, InterfaceError) as error:
            if time.monotonic() >= until or connection.in_atomic_block:
                raise
            logger.warning("database does not answer again_in=%.1fs error=%s", pause, one_line(error))
            connection.close()
            time.sleep(pause)
            pause = min(pause * 2, _LONGEST_PAUSE)
