"""The waiting room of a web process: one thread listens for everybody who waits for a job.

A waiter registers first and looks at the row afterwards; a change between the two finds it registered. A notification
is a hint that may be lost, so the room looks at every awaited row once a second anyway, with one query for all. Waiters
hold no database connection. The thread is started by the first waiter, which is after the web server forked.
"""

import copy
import logging
import os
import threading
import time
import uuid
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from django.conf import settings
from django.db import DatabaseError, InterfaceError, connection

from jobs import deadlines
from jobs.errors import WaitersExceeded, one_line
from jobs.models.job import Job
from jobs.models.job_changes import CHANNEL
from jobs.queue import sweeper
from jobs.states import TERMINAL
from modelstore import notify
from modelstore.bells.interface import Listener

logger = logging.getLogger(__name__)

LOOK_SECONDS = 1.0
#: Waiters who read a row themselves open a connection each: so many at once are soon made, two hundred were not within
#: the 5 seconds that a connection has.
READS_AT_ONCE = 8
_IDLE_SECONDS = 60.0
#: Seconds for connecting; then it is tried again.
_CONNECT_SECONDS = 5.0

#: The values of a row that waiters watch: (status, tiles done, tiles in all, cancel requested).
_Seen = tuple[object, ...]


class Subscription:
    """One waiter's bell for one job."""

    def __init__(self, job_id: uuid.UUID, turns: threading.Semaphore, *, only_end: bool) -> None:
        self.job_id = job_id
        self.only_end = only_end
        self.seen: _Seen | None = None
        self._bell = threading.Event()
        self._turns = turns
        self._over = False
        self._ended: Job | None = None

    def read(self) -> Job | None:
        """Return the job's row, None if it is gone: the room's own once it is over, else read by this waiter.

        Few waiters of this process read at once; who is told the end needs no connection.
        """
        if self._over:
            return self._ended
        with self._turns:
            return Job.objects.filter(pk=self.job_id).first()

    def tell_end(self, job: Job | None) -> None:
        """Take the row of a job that is over, None for one that is gone, and wake the waiter."""
        self._ended = copy.copy(job)
        self._over = True
        self.ring()

    def wait(self, timeout: float) -> bool:
        """Wait until the job changed since the last call; False when the time was up. Then look at the row."""
        rang = self._bell.wait(max(0.0, timeout))
        self._bell.clear()
        return rang

    def ring(self) -> None:
        """Wake the waiter."""
        self._bell.set()


class Hub:
    """The waiting room. One per process; a fork starts with an empty one."""

    def __init__(self) -> None:
        self._start_fresh()

    def _start_fresh(self) -> None:
        self._pid = os.getpid()
        self._lock = threading.Lock()
        self._turns = threading.Semaphore(READS_AT_ONCE)
        self._waiters: dict[uuid.UUID, set[Subscription]] = {}
        self._count = 0
        self._thread: threading.Thread | None = None
        self.draining = False  # True when the process is about to end: no request waits any more

    @contextmanager
    def subscribe(self, job_id: uuid.UUID, *, only_end: bool = False) -> Iterator[Subscription]:
        """Register a waiter; leaving the block takes it out again, whatever happened.

        :param only_end: ring for the job's end only, not for progress.
        :raises WaitersExceeded: MAX_WAITING_REQUESTS wait in this process already.
        """
        if self._pid != os.getpid():
            self._start_fresh()  # the parent's thread and waiters are not ours
        waiter = Subscription(job_id, self._turns, only_end=only_end)
        with self._lock:
            if self._count >= settings.MAX_WAITING_REQUESTS:
                raise WaitersExceeded(f"{self._count} requests wait for jobs already")
            self._count += 1
            self._waiters.setdefault(job_id, set()).add(waiter)
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(target=self._run, name="jobs-waiting", daemon=True)
                self._thread.start()
        try:
            yield waiter
        finally:
            with self._lock:
                self._count -= 1
                others = self._waiters[job_id]
                others.discard(waiter)
                if not others:
                    del self._waiters[job_id]

    def drain(self) -> None:
        """Wake everybody, for good: the process is about to end, and who waits can ask its successor."""
        with self._lock:
            self.draining = True
            for waiters in self._waiters.values():
                for waiter in waiters:
                    waiter.ring()

    @property
    def count(self) -> int:
        """The number of requests that wait in this process."""
        return self._count

    def _run(self) -> None:
        """Listen until nobody has waited for a minute."""
        listener = notify.listener(CHANNEL)
        last_look = last_waiter = time.monotonic()
        try:
            while True:
                heard = _hear(listener)
                now = time.monotonic()
                if heard is None:
                    last_look = now - LOOK_SECONDS
                    heard = set()
                with self._lock:
                    awaited = set(self._waiters)
                    if not awaited and (self.draining or now - last_waiter > _IDLE_SECONDS):
                        self._thread = None
                        return
                if awaited:
                    last_waiter = now
                if now - last_look >= LOOK_SECONDS:
                    last_look = now
                    self._look(awaited)
                    _sweep()
                else:
                    self._look(awaited & heard)
        finally:
            connection.close()
            listener.rest()

    def _look(self, job_ids: set[uuid.UUID]) -> None:
        """Ring for every job among ``job_ids`` whose row changed, or is gone. An end is told with its row."""
        if not job_ids:
            return
        try:
            rows = {
                row[0]: row[1:]
                for row in Job.objects.filter(pk__in=job_ids).values_list(
                    "pk", "status", "tiles_done", "tiles_total", "cancel_requested"
                )
            }
            ended = Job.objects.in_bulk([job_id for job_id, seen in rows.items() if seen[0] in TERMINAL])
        except (DatabaseError, InterfaceError) as error:
            logger.warning("cannot poll awaited jobs error=%s", one_line(error))
            connection.close()
            return
        with self._lock:
            for job_id in job_ids:
                seen, job = rows.get(job_id), ended.get(job_id)
                over = seen is None or (job is not None and job.status in TERMINAL)
                for waiter in self._waiters.get(job_id, ()):
                    if over:
                        waiter.tell_end(job)
                    elif seen != waiter.seen and not waiter.only_end:
                        waiter.seen = seen
                        waiter.ring()


def _hear(listener: Listener) -> set[uuid.UUID] | None:
    """Return the jobs that were told of within LOOK_SECONDS. None: nobody listened, so each is to be looked at."""
    try:
        with deadlines.within(_CONNECT_SECONDS):
            if listener.listen():
                return None
        return _uuids(listener.wait(LOOK_SECONDS))
    except (DatabaseError, InterfaceError) as error:
        logger.warning("not listening again_in=%.1fs error=%s", LOOK_SECONDS, one_line(error))
        connection.close()
        time.sleep(LOOK_SECONDS)
        return None


def _sweep() -> None:
    """Sweep for lost jobs, in which whoever waits has an interest: the clusters' own sweeps may be down with them."""
    try:
        sweeper.sweep_if_due()
    except (DatabaseError, InterfaceError) as error:
        logger.warning("sweep failed error=%s", one_line(error))
        connection.close()


def _uuids(payloads: Iterable[str]) -> set[uuid.UUID]:
    found = set()
    for payload in payloads:
        try:
            found.add(uuid.UUID(payload))
        except ValueError:
            logger.warning("malformed notification payload=%.60r", payload)
    return found


#: The process's waiting room.
hub = Hub()
