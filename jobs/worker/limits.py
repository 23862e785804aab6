"""Until when this process may run: the nearest limit of all that it does, told to the cluster's main process."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from jobs.queue import shared_state

_lock = threading.Lock()
_limits: dict[object, float] = {}


@contextmanager
def limited(until: float) -> Iterator[None]:
    """Let the main process kill this one when the block still runs at ``until``, in monotonic time.

    For a call of C that holds the GIL for ever: no thread of this process could end it.
    """
    key = object()
    _tell(key, until)
    try:
        yield
    finally:
        _tell(key, None)


def _tell(key: object, until: float | None) -> None:
    with _lock:
        if until is None:
            del _limits[key]
        else:
            _limits[key] = until
        shared_state.set_limit(min(_limits.values(), default=0.0))
