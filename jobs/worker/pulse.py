"""The one thread that looks after a worker, with a database connection of its own.

It says every few seconds that the worker lives (registration.py), and looks after the jobs in hand (heartbeat.py): a
thread for each would be a connection for each, and connections bound how many devices share a database.
"""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

#: Seconds between two ticks while a job is watched, and while none is.
_WATCHING_SECONDS, _RESTING_SECONDS = 0.2, 1.0
#: Longest wait for a tick that is under way, in seconds.
_LAST_TICK_SECONDS = 30.0


class Pulse:
    """One per worker process, begun after the fork. What it is given to call raises nothing."""

    def __init__(self, say: Callable[[], None], seconds: float) -> None:
        """``say`` is called every so many ``seconds``, beginning that long after `start`."""
        self._say, self._seconds = say, seconds
        self._ticks: dict[object, Callable[[], None]] = {}
        self._turn = threading.Lock()

    def start(self) -> None:
        """Begin; it ends with the process."""
        threading.Thread(target=self._run, name="pulse", daemon=True).start()

    @contextmanager
    def watching(self, tick: Callable[[], None]) -> Iterator[None]:
        """Call ``tick`` several times a second while the block lasts, and not after it. Any number may be watched."""
        key = object()
        self._ticks[key] = tick
        try:
            yield
        finally:
            del self._ticks[key]
            if self._turn.acquire(timeout=_LAST_TICK_SECONDS):
                self._turn.release()

    def _run(self) -> None:
        said = time.monotonic()
        while True:
            time.sleep(_WATCHING_SECONDS if self._ticks else _RESTING_SECONDS)
            for key in list(self._ticks):
                with self._turn:
                    if (tick := self._ticks.get(key)) is not None:
                        tick()
            if time.monotonic() - said >= self._seconds:
                said = time.monotonic()
                self._say()
