"""The queue's broker: django-q2's ORM broker with a claim that skips locked rows, and a doorbell that wakes it at once.

A ticket is a doorbell, so it is deleted when it is taken: at most once. What a killed process took with it is rung
again by the sweep, which looks for waiting jobs that have no ticket. Nothing here can be delivered twice, wait for an
acknowledgement, or be redelivered for ever.

A ticket is taken only while a worker is idle: nothing waits in the local queue behind a running job, so priorities hold
to the last moment, and several clusters share the work evenly.
"""

import logging
import os
import signal
import time

from django.db import DatabaseError, InterfaceError, connection, transaction
from django_q.brokers.orm import ORM
from django_q.models import OrmQ

from jobs import deadlines
from jobs.errors import one_line
from jobs.queue import shared_state, sweeper
from jobs.queue.listener import Listener
from jobs.queue.renamed_tasks import with_todays_name
from modelstore.backoff import Backoff

logger = logging.getLogger(__name__)

CHANNEL = "queue_tickets"

#: Seconds between two polls for tickets, since a notification may be lost; a stopping cluster waits for us as long.
_WAIT_SECONDS = 0.5
#: Longest round in seconds, even when the database is silent: else the main process would take this one for stuck.
_ROUND_SECONDS = 20.0

_TAKE = """
    DELETE FROM django_q_ormq WHERE id = (
        SELECT id FROM django_q_ormq WHERE key = %s ORDER BY id LIMIT 1 FOR UPDATE SKIP LOCKED
    ) RETURNING id, payload
"""


class PostgresBroker(ORM):  # type: ignore[misc]  # django-q2 has no types
    """One instance per enqueueing call, and one per cluster: the latter is used by the pusher alone."""

    def __init__(self, list_key: str | None = None) -> None:
        super().__init__(list_key=list_key)
        self._pid = 0
        self._listener: Listener | None = None
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
        return "PostgreSQL SKIP LOCKED, LISTEN/NOTIFY"

    def enqueue(self, task: str) -> int:
        """Write a ticket and ring, both when the surrounding transaction commits."""
        with transaction.atomic():
            pk = int(super().enqueue(task))
            with connection.cursor() as cursor:
                cursor.execute("SELECT pg_notify(%s, %s)", [CHANNEL, self.list_key])
        return pk

    def dequeue(self) -> list[tuple[int, str]] | None:
        """Return one ticket for an idle worker, or None after half a second at most. Never raises for the database."""
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
        """Do nothing: the ticket was deleted when it was taken."""

    def fail(self, task_id: int) -> None:
        """Uncount a ticket with a foreign signature: it never reaches a worker, so none will be seen to read it."""
        shared = shared_state.current()
        if shared is not None:
            shared.memory.handed -= 1
        logger.error("ticket refused, since it was signed with another SECRET_KEY ticket=%s", task_id)

    def queue_size(self) -> int:
        """Return the number of tickets that were not taken yet."""
        return int(OrmQ.objects.filter(key=self.list_key).count())

    def lock_size(self) -> int:
        """Return 0: no ticket is ever locked for longer than its claim."""
        return 0

    def _begin(self, shared: shared_state.SharedState) -> None:
        """Reset the counts in a new pusher process: its predecessor may have been killed with a ticket in hand."""
        self._pid = os.getpid()
        self._listener = Listener(CHANNEL)
        shared.memory.handed = shared.picked

    def _sweep(self, shared: shared_state.SharedState) -> None:
        """Sweep when it is due; and at once when a worker of ours is gone, which may have died with a job in hand."""
        before, self._alive = self._alive, shared.alive_pids
        if before - self._alive:
            sweeper.sweep()
        else:
            sweeper.sweep_if_due()

    def _dequeue(self, shared: shared_state.SharedState) -> list[tuple[int, str]] | None:
        assert self._listener is not None
        if shared.memory.stop != shared_state.RUNNING:
            time.sleep(0.05)
            return None
        if shared.idle > shared.in_flight:
            ticket = self._take()
            if ticket is not None:
                shared.memory.handed += 1
                return [ticket]
        self._listener.wait(_WAIT_SECONDS, also=[shared.wake_read])
        shared.drain_wake()
        return None  # whatever woke us, the next call looks

    def _take(self) -> tuple[int, str] | None:
        with connection.cursor() as cursor:
            cursor.execute(_TAKE, [self.list_key])
            row = cursor.fetchone()
        self._backoff.reset()
        return (row[0], with_todays_name(row[1])) if row else None
