"""Tells a worker that is alive but silent from one that works, and which of them its cluster has to kill.

A worker under SIGSTOP, in a driver that hangs or in a call of C that keeps Python's lock holds its device while its
job's lease runs out: nobody else can use it. So a thread of each worker counts in the shared memory (shared_state.py),
which needs no database, and the cluster's main process looks whether the number moves.
"""

import math
import os
import signal
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass

from jobs.queue.shared_state import SharedState

#: Ticks after SIGKILL in which a worker should have ended: 10 s. One that has not waits inside the kernel.
_UNKILLABLE_TICKS = 20


@dataclass
class _Seen:
    beat: int
    ticks: int = 0


class SilentWorkers:
    """Belongs to a cluster's main process; `kill_silent` is called once per tick.

    Ticks, not seconds: a main process that slept, as on a laptop whose lid was closed, did not watch meanwhile.
    """

    def __init__(self, shared: SharedState, seconds: float, tick_seconds: float) -> None:
        """A worker may be silent for so many ``seconds``: as long as its job's lease."""
        self._shared = shared
        self._seconds = seconds
        self._limit = math.ceil(seconds / tick_seconds)
        self._seen: dict[int, _Seen] = {}

    def kill_silent(self) -> Iterator[str]:
        """Kill the workers that have been silent for too long; yield what is to be said about it."""
        beats = self._shared.beats()
        self._seen = {pid: seen for pid, seen in self._seen.items() if pid in beats}
        for pid, beat in beats.items():
            seen = self._seen.get(pid)
            if seen is None or seen.beat != beat:
                self._seen[pid] = _Seen(beat)
                continue
            seen.ticks += 1
            if seen.ticks == self._limit:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
                yield f"worker {pid} has been silent for {self._seconds:g} s: it is killed"
            elif seen.ticks == self._limit + _UNKILLABLE_TICKS:
                yield (
                    f"worker {pid} was killed and does not end: it waits inside the kernel, for a disk, a network disk "
                    "or a driver, and its device is taken until that answers"
                )
