"""The one thread of a worker that asks the database for its jobs: claims them, and says how they ended.

Decoding, computing and encoding are done by threads side by side (line.py). A connection belongs to one thread, and
connections bound how many devices share a database: so these threads have none, and ask the clerk.
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import ParamSpec, TypeVar

from django.db import close_old_connections

_Parameters = ParamSpec("_Parameters")
_Answer = TypeVar("_Answer")


class Clerk:
    """One per worker process, made after the fork."""

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="clerk")

    def ask(
        self, question: Callable[_Parameters, _Answer], *args: _Parameters.args, **kwargs: _Parameters.kwargs
    ) -> _Answer:
        """Return the question's answer, or raise what it raises, once those before it are answered."""
        return self._thread.submit(_answer, partial(question, *args, **kwargs)).result()


def _answer(question: Callable[[], _Answer]) -> _Answer:
    try:
        return question()
    except Exception:  # whatever it is, the asker hears of it
        close_old_connections()  # that one may be broken, and the next question is another's
        raise
