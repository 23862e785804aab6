"""Notifications of Postgres: hints that rows changed. Whoever acts on them looks at the rows now and then anyway.

A NOTIFY takes a lock over the whole database until its COMMIT is on the disk: sent inside the transactions that accept
jobs and results, these would go one after the other. So each is sent after the COMMIT, in a transaction that does not
wait for the disk. A process that dies between the two leaves a change of which nobody was told, and which is seen late.
"""

import logging
from functools import partial

from django.db import DatabaseError, InterfaceError, connection, transaction

logger = logging.getLogger(__name__)

#: The channel on which the clusters' pushers listen (jobs/queue/broker.py); the payload is the cluster's name.
CLUSTERS = "queue_tickets"

#: One statement, and so one trip. The setting lasts for its own transaction.
_NOTIFY = "SELECT set_config('synchronous_commit', 'off', true), pg_notify(%s, %s)"


def ring(cluster: str) -> None:
    """Tell the clusters of that name that rows wait for them, when the transaction has committed. It is a hint."""
    after_commit(CLUSTERS, cluster)


def after_commit(channel: str, payload: str) -> None:
    """Notify when the surrounding transaction has committed; at once where there is none. Never raises."""
    transaction.on_commit(partial(_notify, channel, payload))


def not_waiting_for_the_disk() -> None:
    """Let the open transaction's COMMIT return before it is on the disk. A crash may undo it, and all that follow it.

    For what is repaired then: never for a job that was accepted, nor for its end.
    """
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL synchronous_commit = off")


def _notify(channel: str, payload: str) -> None:
    try:
        with connection.cursor() as cursor:
            cursor.execute(_NOTIFY, [channel, payload])
    except (DatabaseError, InterfaceError) as error:  # what it would tell is committed, and must not look failed
        logger.warning("not notified channel=%s error=%s", channel, str(error).partition("\n")[0])
        connection.close()
