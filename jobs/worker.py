"""Entry points of the clusters, named by their dotted path in dispatch.py and cluster.py. Imported by nobody.

They never raise: django-q2 would keep the failure as a pickle, and a row of ours says what happened anyway.
"""

import logging
from multiprocessing import util

logger = logging.getLogger(__name__)


def started(cluster: str) -> None:
    """Prepare a worker process, after the fork and before its first task."""
    from jobs import dispatch, presence

    me = presence.begin(cluster)
    if cluster == dispatch.GPU:
        from jobs import workplace

        workplace.settle_in()
    me.start()
    util.Finalize(None, me.leave, exitpriority=100)


def run_next() -> None:
    """Work on the best waiting job, if one waits."""
    from jobs import execution

    try:
        execution.run_next()
    except Exception:  # nobody above could do anything about it
        logger.exception("worker: no job could be worked on")


def deliver_webhooks() -> None:
    """Deliver the webhooks that are due."""
    from jobs.webhooks import delivery

    try:
        delivery.deliver_due()
    except Exception:  # as above
        logger.exception("worker: webhooks could not be delivered")


def cleanup() -> None:
    """Remove what is older than its time."""
    from jobs import retention

    try:
        retention.cleanup()
    except Exception:  # as above
        logger.exception("worker: the clean-up broke off")
