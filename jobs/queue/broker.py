"""The queue's broker: feeds django-q2's cluster, while a worker is idle, with tickets that say no more than "look".

The `gpu` cluster's tickets are made here, one for each waiting job and idle worker: the jobs' rows are the queue, and
nothing else is stored about them. The `io` cluster's are rows of django-q2's table, deleted as they are taken. In both,
lost, doubled and reordered tickets are harmless: nothing can be delivered twice, wait for an acknowledgement, or be
redelivered for ever.

Nothing waits in the local queue behind a running job, so priorities hold to the last moment, and several clusters share
the work evenly. A notification wakes the broker at once, but only where a worker is idle: while all are busy, each
looks at the rows itself after its job, and the broker does not listen.
"""

import logging
import os
import signal
import time
import uuid

from django.db import DatabaseError, InterfaceError, connection, transaction
from django.db.models.functions import Now
from django.utils import timezone
from django_q.brokers.orm import ORM
from django_q.models import OrmQ
from django_q.signing import SignedPackage

from jobs import deadlines, notify
from jobs.errors import one_line
from jobs.models.job import Job
from jobs.queue import dispatch, shared_state, sweeper
from jobs.queue.listener import ListenerBeside, readable
from jobs.queue.renamed_tasks import with_todays_name
from modelstore.backoff import Backoff

logger = logging.getLogger(__name__)

#: Seconds between two looks, since a notification may be lost; a stopping cluster waits for us as long.
_WAIT_SECONDS = 0.5
#: Longest round in seconds, even when the database is silent: else the main process would take this one for stuck.
_ROUND_SECONDS = 20.0

_TAKE = """
    DELETE FROM django_q_ormq WHERE id IN (
        SELECT id FROM django_q_ormq WHERE key = %s ORDER BY id LIMIT %s FOR UPDATE SKIP LOCKED
    ) RETURNING id, payload
"""

#: What the worker of a waiting job is to do.
_RUN_NEXT = {"name": "jobs.run_next", "func": "jobs.worker.tasks.run_next", "args": (), "kwargs": {}}

Ticket = tuple[int, str]


class PostgresBroker(ORM):  # type: ignore[misc]  # django-q2 has no types
    """One instance per enqueueing call, and one per cluster: the latter is used by the pusher alone."""

    def __init__(self, list_key: str | None = None) -> None:
        super().__init__(list_key=list_key)
        self._pid = 0
        self._listener = ListenerBeside(dispatch.CHANNEL)
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
        return "PostgreSQL SKIP LOCKED, LISTEN/NOTIFY"

    def enqueue(self, task: str) -> int:
        """Write a ticket, and ring when the surrounding transaction commits."""
        with transaction.atomic():
            pk = int(super().enqueue(task))
            notify.after_commit(dispatch.CHANNEL, self.list_key)
        return pk

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
            tickets = self._jobs(idle) if self.list_key == dispatch.GPU else self._tickets(idle)
            self._backoff.reset()
            self._look_at = now + _WAIT_SECONDS
            if tickets:
                shared.memory.handed += len(tickets)
                if self.list_key == dispatch.IO and len(tickets) == idle:
                    self._look_at = 0.0  # there may be more; workers of `gpu` look for that themselves
                return tickets
        heard = self._listener.wait(self._look_at - now, also=[shared.wake_read])
        shared.drain_wake()
        if self.list_key in heard:
            self._look_at = 0.0
        return None

    def _jobs(self, most: int) -> list[Ticket]:
        """Return a ticket for each waiting job, ``most`` at most."""
        waiting = Job.objects.waiting().filter(queued_at__lte=Now()).values_list("pk", flat=True)[:most]
        if not waiting:
            return []
        ticket = str(SignedPackage.dumps(_RUN_NEXT | {"id": uuid.uuid4().hex, "started": timezone.now()}))
        return [(0, ticket)] * len(waiting)

    def _tickets(self, most: int) -> list[Ticket]:
        """Take tickets out of the table, ``most`` at most."""
        with connection.cursor() as cursor:
            cursor.execute(_TAKE, [self.list_key, most])
            return [(pk, with_todays_name(payload)) for pk, payload in cursor.fetchall()]
