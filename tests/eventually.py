"""Waiting for something that another process does, without guessing how long it takes."""

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

#: Nothing is given up earlier: on a machine with a load of 20 a second's work takes long, and only a test that fails
#: waits to the end.
LEAST_SECONDS = 240


def eventually(look: Callable[[], T], *, seconds: float = 60, every: float = 0.05, say: str = "") -> T:
    """Call ``look`` until it returns something true, and return that; fail with its last answer after ``seconds``.

    An AssertionError raised by ``look`` counts as "not yet", and is raised again when time is up.
    """
    seconds = max(seconds, LEAST_SECONDS)
    limit = time.monotonic() + seconds
    while True:
        failure: AssertionError | None = None
        answer: T | None = None
        try:
            answer = look()
        except AssertionError as error:
            failure = error
        if answer and failure is None:
            return answer
        if time.monotonic() > limit:
            if failure is not None:
                raise failure
            raise AssertionError(f"{say or 'it'} did not happen within {seconds} s; the last look gave {answer!r}")
        time.sleep(every)
