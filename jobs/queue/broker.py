"""The queue's broker: hands a ticket to django-q2's cluster while a worker is idle and rows wait for it (work.py).

A ticket names a function and nothing else. It is made here and stored nowhere, so it can be lost, but not delivered
twice, wait for an acknowledgement, or be redelivered for ever: the rows are the queue, and are looked at again.

Nothing waits in the local queue behind a running job, so priorities hold to the last moment, and several clusters share
the work evenly. A notification wakes the broker at once, but only where a worker is idle: while all are busy, each
looks at the rows itself after its job, and the broker does not listen.
"""

import logging
import os
import signal
import time
import uuid
from typing import NoReturn

from django.conf import settings
from django.db import DatabaseError, InterfaceError, connection
from django.utils import timezone
from django_q.brokers import Broker
from django_q.signing import SignedPackage

from jobs import deadlines
from jobs.errors import one_line
from jobs.queue import dispatch, shared_state, sweeper, work
from modelstore import notify
from modelstore.backoff import Backoff
from modelstore.bells.interface import Listener, readable

logger = logging.getLogger(__name__)

#: Seconds between two looks, since a notification may be lost.
_LOOK_SECONDS = 1.0
#: Longest wait in seconds; a stopping cluster waits for us as long.
_WAIT_SECONDS = 0.5
#: Longest round in seconds, even when the database is silent: else the main process would take this one for stuck.
_ROUND_SECONDS = 20.0

Ticket = tuple[int, str]


class PostgresBroker(Broker):  # type: ignore[misc]  # django-q2 has no types
    """One per cluster; used by the pusher alone."""

    _listener: Listener

    def __init__(self, list_key: str | None = None) -> None:
        super().__init__(list_key=list_key)
        self._pid = 0
        self._look_at = 0.0  # monotonic time of the next look
        self._backoff = Backoff()
        self._alive: frozenset[int] = frozenset()

    def ping(self) -> bool:
        """Prepare the sentinel, which calls this before it forks.

        A SIGTERM to the whole process group would kill sentinel and workers under the main process, which would then
        hang: here it is ignored, and the main process alone decides.
        """
        if shared_state.current() is not None:
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
        return True

    def info(self) -> str:
        """Return the words that django-q2's own commands show."""
        return f"PostgreSQL SKIP LOCKED, {notify.carrier()}"

    def enqueue(self, task: str) -> NoReturn:
        """Refuse what `async_task` sends: nothing would keep it."""
        raise NotImplementedError("this queue is fed from rows: see jobs/queue/work.py")

    def dequeue(self) -> list[Ticket] | None:
        """Return tickets for idle workers, or None after half a second at most. Never raises for the database."""
        shared = shared_state.current()
        if shared is None:
            raise RuntimeError("start the cluster with: manage.py qcluster")
        if self._pid != os.getpid():
            self._begin(shared)
        shared.memory.beat += 1
        try:
            with deadlines.within(_ROUND_SECONDS):
                self._sweep(shared)
                return self._dequeue(shared)
        except (DatabaseError, InterfaceError) as error:
            pause = self._backoff.next()
            logger.warning("queue waits for the database again_in=%.1fs error=%s", pause, one_line(error))
            connection.close()
            time.sleep(min(pause, _WAIT_SECONDS))
            return None

    def acknowledge(self, task_id: int) -> None:
        """Do nothing: a ticket is not kept."""

    def queue_size(self) -> int:
        """Return 0: no ticket waits anywhere."""
        return 0

    def lock_size(self) -> int:
        """Return 0 likewise."""
        return 0

    def _begin(self, shared: shared_state.SharedState) -> None:
        """Begin in a new pusher process: its predecessor may have been killed with a ticket in hand."""
        self._pid = os.getpid()
        self._listener = notify.listener(notify.CLUSTERS)
        shared.memory.handed = shared.picked

    def _sweep(self, shared: shared_state.SharedState) -> None:
        """Sweep when it is due; and at once when a worker of ours is gone, which may have died with a job in hand."""
        before, self._alive = self._alive, shared.alive_pids
        if before - self._alive:
            sweeper.sweep()
        else:
            sweeper.sweep_if_due()

    def _dequeue(self, shared: shared_state.SharedState) -> list[Ticket] | None:
        if shared.memory.stop != shared_state.RUNNING:
            time.sleep(0.05)
            return None
        idle = shared.idle - shared.in_flight
        if idle <= 0:
            if not readable([shared.wake_read], _WAIT_SECONDS):
                self._listener.rest()
            shared.drain_wake()
            return None
        if self._listener.listen():
            self._look_at = 0.0  # what was told before then is lost
        now = time.monotonic()
        if now >= self._look_at:
            found = work.waiting_in(self.list_key, idle)
            self._backoff.reset()
            # Where there is work for more than are idle, those of `gpu` go on by themselves.
            often = self.list_key == dispatch.GPU or len(found) == idle
            self._look_at = now + (_LOOK_SECONDS if often else settings.SWEEP_SECONDS)
            if found:
                shared.memory.handed += len(found)
                return [_ticket(function) for function in found]
        heard = self._listener.wait(min(self._look_at - now, _WAIT_SECONDS), also=[shared.wake_read])
        shared.drain_wake()
        if self.list_key in heard:
            self._look_at = 0.0
        return None


def _ticket(function: str) -> Ticket:
    task = {"id": uuid.uuid4().hex, "name": function, "func": function, "args": (), "kwargs": {}}
    return 0, str(SignedPackage.dumps(task | {"started": timezone.now()}))
