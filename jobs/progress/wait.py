"""Waiting for a job's end, in the request of the caller who wants its result."""

import time
import uuid
from collections.abc import Callable

from django.db import connection

from jobs.errors import JobNotFound
from jobs.models.job import Job
from jobs.progress.hub import hub
from jobs.states import TERMINAL

#: Seconds between two checks whether a waiting caller has disconnected.
_CALLER_SECONDS = 2.0


def wait_for(job_id: uuid.UUID, seconds: float, *, has_left: Callable[[], bool] = lambda: False) -> Job:
    """Wait for the job's end, at most ``seconds``; return the job as it then is. No transaction may be open.

    Nobody waits for a process that was asked to stop: the job goes on without it.

    :param has_left: asked every few seconds whether the caller is gone; then nobody needs the wait any more.

    :raises WaitersExceeded: too many requests of this process wait already.
    :raises JobNotFound:
    """
    until = time.monotonic() + seconds
    with hub.subscribe(job_id, only_end=True) as waiter:
        while True:
            job = waiter.read()
            if job is None:
                raise JobNotFound(job_id)
            left = until - time.monotonic()
            if job.status in TERMINAL or left <= 0 or has_left() or hub.draining:
                return job
            if not connection.in_atomic_block:
                connection.close()  # two hundred waiters must not hold two hundred connections
            while left > 0 and not waiter.wait(min(left, _CALLER_SECONDS)) and not has_left():
                left = until - time.monotonic()
