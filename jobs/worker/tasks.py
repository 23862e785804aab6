"""Entry points of the clusters, named by their dotted path in work.py and shared_state.py. Imported by nobody.

They never raise: django-q2 would keep the failure as a pickle, and a row of ours says what happened anyway.
"""

import logging
import os
import signal
import threading
import time
from multiprocessing import util
from types import FrameType

from jobs.queue import dispatch, periodic, shared_state
from jobs.storage import retention
from jobs.webhooks import delivery
from jobs.worker import registration
from modelstore.downloads import runner

logger = logging.getLogger(__name__)

_LOOK_SECONDS = 0.5
#: Seconds in which a worker that failed takes no further job.
_PAUSE_SECONDS = 0.5


def started(name: str) -> None:
    """Prepare a worker process, after the fork and before its first task."""
    me = registration.begin(name)
    if name == dispatch.GPU:
        from jobs.worker import runtime  # noqa: PLC0415 - imports torch, which `io` never does

        runtime.settle_in()
    else:
        _leave_when_told()
    me.start()
    util.Finalize(None, me.leave, exitpriority=100)


def _leave_when_told() -> None:
    """End a task that still runs when the stopping cluster's grace is over.

    Downloads and deliveries have no watch as jobs have; SystemExit lets them give their row back on the way out.
    """

    def leave(_number: int, _frame: FrameType | None) -> None:
        raise SystemExit("the cluster stops")

    def watch() -> None:
        while not shared_state.must_stop()[1]:
            time.sleep(_LOOK_SECONDS)
        os.kill(os.getpid(), signal.SIGTERM)
        runner.hand_back()  # the main thread may be in a call that no signal interrupts

    signal.signal(signal.SIGTERM, leave)
    threading.Thread(target=watch, name="stop-watch", daemon=True).start()


def run_next() -> None:
    """Work on waiting jobs, the best one first each time, until none waits or the cluster stops.

    Going through django-q2 for each would cost more than the job's own statements.
    """
    from jobs.worker import line  # noqa: PLC0415 - as above

    try:
        line.run()
    except Exception:  # the worker's edge: django-q2 above could do nothing about it
        logger.exception("worker: job run failed")
        time.sleep(_PAUSE_SECONDS)  # the job may wait still, and this worker would be handed the next ticket at once


def deliver_webhooks() -> None:
    """Deliver the webhooks that are due."""
    try:
        delivery.deliver_due()
    except Exception:  # as above
        logger.exception("worker: webhook delivery run failed")


def cleanup() -> None:
    """Remove what is older than its time."""
    try:
        retention.cleanup()
    except Exception:  # as above
        logger.exception("worker: clean-up failed")


def expire() -> None:
    """Remove jobs and inputs at their own time."""
    try:
        retention.expire()
    except Exception:  # as above
        logger.exception("worker: removal of expired jobs failed")


def keep_up() -> None:
    """Do the periodic work of other rooms."""
    periodic.run()
