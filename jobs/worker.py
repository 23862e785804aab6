"""Entry points of the clusters, named by their dotted path in dispatch.py and cluster.py. Imported by nobody.

They never raise: django-q2 would keep the failure as a pickle, and a row of ours says what happened anyway.
"""

import logging
from multiprocessing import util

from jobs import dispatch, presence, retention
from jobs.webhooks import delivery

logger = logging.getLogger(__name__)


def started(cluster: str) -> None:
    """Prepare a worker process, after the fork and before its first task."""
    me = presence.begin(cluster)
    if cluster == dispatch.GPU:
        from jobs import workplace  # noqa: PLC0415 - imports torch, which the `io` cluster never does

        workplace.settle_in()
    me.start()
    util.Finalize(None, me.leave, exitpriority=100)


def run_next() -> None:
    """Work on the best waiting job, if one waits."""
    from jobs import execution  # noqa: PLC0415 - as above

    try:
        execution.run_next()
    except Exception:  # nobody above could do anything about it
        logger.exception("worker: no job could be worked on")


def deliver_webhooks() -> None:
    """Deliver the webhooks that are due."""
    try:
        delivery.deliver_due()
    except Exception:  # as above
        logger.exception("worker: webhooks could not be delivered")


def cleanup() -> None:
    """Remove what is older than its time."""
    try:
        retention.cleanup()
    except Exception:  # as above
        logger.exception("worker: the clean-up broke off")
