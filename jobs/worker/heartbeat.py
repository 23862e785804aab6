"""The watch over one job in hand: heartbeat, progress, cancellation, the hard limit and the cluster's stop.

Done by the worker's pulse, a thread beside those that work. It asks the working thread to leave between two tiles;
where that is stuck in a call of C, it settles the row and ends the process.
"""

import enum
import logging
import os
import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack, suppress
from types import TracebackType
from typing import Self

from django.conf import settings
from django.db import DatabaseError, InterfaceError, connection, transaction

from jobs import deadlines
from jobs.engine.errors import Cancelled
from jobs.errors import one_line
from jobs.models.job import Job
from jobs.models.job_queryset import hard_limit, timeout_message
from jobs.queue import dispatch, shared_state
from jobs.worker import registration
from jobs.worker.limits import limited

logger = logging.getLogger(__name__)

_BEAT_SECONDS = 1.0
#: Seconds that the computing thread gets to leave before its process is ended.
_LEAVE_SECONDS = 3.0
#: Seconds after the hard limit at which the cluster's main process kills a worker that did not end itself.
_KILL_SECONDS = 10.0


#: The heartbeats of this process's jobs.
_in_hand: set["Heartbeat"] = set()


class Reason(enum.Enum):
    """The reason of an interruption. The row of all but CANCELLED is settled already when the reason is set."""

    CANCELLED = "its owner cancelled it"
    LOST = "another worker has it"
    TIMEOUT = "it passed its hard limit"
    STOPPING = "the cluster stops"


class Heartbeat:
    """Use as a context manager around the work on a claimed job; ``on_tile`` is the engine's callback."""

    def __init__(self, job: Job, *, before_exit: Callable[[], None] = lambda: None) -> None:
        """``before_exit`` removes what the computing thread wrote, when the process has to be ended."""
        self.job = job
        self.reason: Reason | None = None
        self._before_exit = before_exit
        self._tiles: tuple[int, int | None] = (0, None)
        self._left = threading.Event()
        self._limit = time.monotonic() + hard_limit(job).total_seconds()
        self._next_beat = time.monotonic() + _BEAT_SECONDS
        self._watch = ExitStack()

    def __enter__(self) -> Self:
        self._watch.enter_context(limited(self._limit + _KILL_SECONDS))
        self._watch.enter_context(registration.mine().pulse.watching(self._tick))
        _in_hand.add(self)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._left.set()
        _in_hand.discard(self)
        self._watch.close()

    @property
    def tiles(self) -> tuple[int, int | None]:
        """Tiles done, and in all; None: not known yet."""
        return self._tiles

    def on_tile(self, done: int, total: int) -> None:
        """Note the progress. :raises Cancelled: the job is interrupted."""
        self._tiles = (done, total)
        self.check()

    def check(self) -> None:
        """Raise Cancelled if the job is interrupted; ``reason`` says why."""
        if self.reason is not None:
            raise Cancelled(self.reason.value)

    def leave(self) -> None:
        """Hand the job back and remove what was written for it: its process ends, for another's fault."""
        self._release()
        self._before_exit()

    def _tick(self) -> None:
        now = time.monotonic()
        try:
            if self.reason in (Reason.TIMEOUT, Reason.STOPPING):
                return
            if now >= self._limit:
                self._time_out()
            elif shared_state.must_stop()[1]:
                self._hand_back()
            elif now >= self._next_beat and self.reason is not Reason.LOST:
                self._next_beat = now + _BEAT_SECONDS
                self._beat()
        except (DatabaseError, InterfaceError) as error:
            logger.warning("no heartbeat job=%s error=%s", self.job.id, one_line(error))
            connection.close()
            # Without the database the row cannot be settled; the limit holds all the same.
            if now >= self._limit + _LEAVE_SECONDS:
                self._end_process()

    def _beat(self) -> None:
        done, total = self._tiles
        with _soon():
            beat = Job.objects.heartbeat(self.job, tiles_done=done, tiles_total=total)
        self.job.tiles_done, self.job.tiles_total = done, total
        if not beat.held:
            self.reason = Reason.LOST
        elif beat.cancel:  # still ours, and alive, until the tile's end
            self.reason = Reason.CANCELLED

    def _time_out(self) -> None:
        with _soon():
            Job.objects.fail(self.job, timeout_message(self.job), "timeout")
        self._interrupt(Reason.TIMEOUT)

    def _hand_back(self) -> None:
        self._release()
        self._interrupt(Reason.STOPPING)

    def _release(self) -> None:
        with _soon(), transaction.atomic():
            if Job.objects.release(self.job, counted=False):
                dispatch.ring()

    def _interrupt(self, reason: Reason) -> None:
        """Ask the computing thread to leave, as the row is settled; end the process when it does not leave soon."""
        logger.warning("job interrupted job=%s reason=%s", self.job.id, reason.value)
        self.reason = reason
        if not self._left.wait(_LEAVE_SECONDS):
            self._end_process()

    def _end_process(self) -> None:
        logger.critical("worker ends: its job does not stop job=%s pid=%d", self.job.id, os.getpid())
        try:
            # The jobs beside it have done nothing wrong: they keep their attempts.
            for other in _in_hand - {self}:
                with suppress(DatabaseError, InterfaceError):
                    other.leave()
            self._before_exit()
        finally:
            os._exit(1)


def _soon() -> AbstractContextManager[None]:
    """Limit the wait for a silent database to a part of the lease: this thread has other duties."""
    return deadlines.within(settings.JOB_LEASE_SECONDS / 3)
