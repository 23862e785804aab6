"""The watch of a cluster's main process over its children: when they are stuck the cluster ends, to be started anew.

What can get stuck cannot be mended from inside: a killed worker, pusher or monitor may have held a lock of a
multiprocessing queue, which then stays locked for ever (queue-wide deafness). The supervisor starts a fresh cluster;
the jobs come back by their leases.
"""

import logging
from dataclasses import dataclass, field

from jobs.queue import shared_state
from jobs.queue.shared_state import SharedState

logger = logging.getLogger(__name__)

TICK_SECONDS = 0.5
#: Ticks, not seconds: after a freeze of its own the main process must not take the gap for its children's silence.
_DEAF_TICKS = 20  # a task handed over and not read for 10 s
_SILENT_TICKS = 120  # the pusher has not come round for 60 s
_BLIND_TICKS = 20  # a dead worker that the sentinel has not seen for 10 s
_UNCOLLECTED = 20  # results that the monitor left lying
_END_TICKS = 10  # a stopping cluster whose workers are gone for 5 s


@dataclass
class Watchdog:
    """Looks at the shared numbers once per tick; ``look`` says what is wrong, or nothing."""

    shared: SharedState
    _waiting_for: tuple[int, int] = (0, 0)
    _waiting_ticks: int = 0
    _beat: int = 0
    _silent_ticks: int = 0
    _collected: int = 0
    _lag: int = 0
    _gone_ticks: int = 0
    _idle: frozenset[int] = frozenset()
    _zombies: dict[int, int] = field(default_factory=dict)

    def look(self) -> str | None:
        """Return why the cluster has to be ended now; None while all is well."""
        return self._deaf() or self._silent() or self._uncollected() or self._orphaned_lock() or self._blind_sentinel()

    def nobody_left(self) -> bool:
        """Return whether a stopping cluster only waits for itself: its workers are gone, its queues are stuck."""
        self._gone_ticks = 0 if self.shared.alive else self._gone_ticks + 1
        return self._gone_ticks >= _END_TICKS

    def _orphaned_lock(self) -> str | None:
        """Return the reason when an idle worker died: it has most likely kept the lock of the queue it read.

        Seen while no worker is busy, this need not wait until the next job finds out.
        """
        before, self._idle = self._idle, self.shared.idle_pids
        if self.shared.busy:
            return None
        # One that read a task since and ended at work, as with a lost device, had given the lock back.
        died = sorted(before & self.shared.died_idle)
        return f"the idle worker {died[0]} was killed" if died else None

    def _blind_sentinel(self) -> str | None:
        """Return the reason when the sentinel does not replace a dead worker.

        The sentinel checks its workers twice a second, each under a lock that it shares with the worker. A worker that
        is killed while it holds that lock leaves the sentinel waiting for ever.
        """
        self._zombies = {pid: self._zombies.get(pid, 0) + 1 for pid in self.shared.zombies}
        stuck = any(ticks >= _BLIND_TICKS for ticks in self._zombies.values())
        return "the sentinel does not replace dead workers" if stuck else None

    def _deaf(self) -> str | None:
        now = (self.shared.memory.handed, self.shared.picked)
        if self.shared.in_flight == 0 or now != self._waiting_for:
            self._waiting_for, self._waiting_ticks = now, 0
            return None
        self._waiting_ticks += 1
        return "no worker reads the local queue" if self._waiting_ticks >= _DEAF_TICKS else None

    def _silent(self) -> str | None:
        if self.shared.memory.beat != self._beat:
            self._beat, self._silent_ticks = self.shared.memory.beat, 0
            return None
        self._silent_ticks += 1
        return "the pusher is stuck" if self._silent_ticks >= _SILENT_TICKS else None

    def _uncollected(self) -> str | None:
        lag = self.shared.done - self.shared.memory.collected
        if self.shared.memory.collected != self._collected:
            # Results lost with a killed process are never collected: only those added since then count.
            self._collected, self._lag = self.shared.memory.collected, lag
        return "nobody collects the workers' results" if lag - self._lag >= _UNCOLLECTED else None


def ask_to_stop(shared: SharedState, now: float, grace: float) -> None:
    """Note a stop signal. First: jobs may run for ``grace`` seconds more. Second: they are handed back now."""
    if shared.memory.stop == shared_state.RUNNING:
        shared.memory.stop_at = now + grace
        shared.memory.stop = shared_state.STOPPING
    else:
        shared.memory.stop_at = min(shared.memory.stop_at, now)
        shared.memory.stop = shared_state.STOPPING_NOW
