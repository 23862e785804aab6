"""Messages to other processes: hints that rows changed. Whoever acts on them looks at the rows now and then anyway.

Each is sent after the COMMIT. A process that dies between the two leaves a change of which nobody was told, and which
is seen late.
"""

import os
from functools import lru_cache, partial
from typing import TYPE_CHECKING

from django.conf import settings
from django.db import connection, transaction

from modelstore.bells.interface import Bells, Listener
from modelstore.bells.postgres import PostgresBells

if TYPE_CHECKING:
    from modelstore.bells.redis_pubsub import Broker, RedisBells

#: The channel on which the clusters' pushers listen (jobs/queue/broker.py); the payload is the cluster's name.
CLUSTERS = "queue_tickets"

_POSTGRES = PostgresBells()


def carrier() -> str:
    """Return the name of what carries messages, as operators read it."""
    return f"Redis at {settings.BROKER.shown}" if settings.BROKER else "PostgreSQL LISTEN/NOTIFY"


def _bells() -> Bells:
    return _redis(settings.BROKER, os.getpid()) if settings.BROKER else _POSTGRES


def over_postgres() -> bool:
    """Return whether statements can tell by themselves, and whether each message costs the database a transaction."""
    return settings.BROKER is None


def trouble(seconds: float) -> str:
    """Return why the broker does not answer this process within so many seconds; nothing when it does.

    Where messages go over Postgres nothing: who asks a database has asked it.
    """
    return _redis(settings.BROKER, os.getpid()).trouble(seconds) if settings.BROKER else ""


def listener(channel: str) -> Listener:
    """Return a new listener, which does not listen yet."""
    return _bells().listener(channel)


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
    _bells().send(channel, payload)


@lru_cache(maxsize=1)
def _redis(broker: "Broker", _pid: int) -> "RedisBells":
    """Return the carrier of this process: a forked child has neither its parent's threads nor its connections."""
    from modelstore.bells.redis_pubsub import RedisBells  # noqa: PLC0415 - the package redis is needed here alone

    return RedisBells(broker)
