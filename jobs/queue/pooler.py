"""Finds out at a process's start whether notifications arrive: through some poolers they never do, without any error.

A pooler in transaction mode (PgBouncer, Supavisor, RDS Proxy) gives each transaction another server process, and LISTEN
belongs to one of these. Everything works all the same, since every wait also looks at the rows once a second; later.
"""

import logging
import time
import uuid
from contextlib import suppress

from django.db import DatabaseError, InterfaceError, connection

from jobs import deadlines
from jobs.errors import one_line
from modelstore import notify
from modelstore.bells.postgres import PostgresListener

logger = logging.getLogger(__name__)

#: A notification takes milliseconds; a busy machine some more.
_HEARD_SECONDS = 5.0


def warn_of_pooler() -> None:
    """Log one warning where notifications do not arrive. Never raises for the database.

    Where messages do not go over Postgres a pooler is no obstacle.
    """
    if not notify.over_postgres():
        return
    try:
        if heard_after() is None:
            logger.warning(
                "notifications do not arrive: DATABASE_URL leads through a pooler in transaction mode, so jobs start, "
                "and callers hear of their end, up to a second late; name Postgres itself, a pool in session mode, or "
                "a Redis in BROKER_URL"
            )
    except (DatabaseError, InterfaceError) as error:
        logger.info("cannot check whether notifications arrive error=%s", one_line(error))
    finally:
        connection.close()


def heard_after() -> float | None:
    """Send a notification to this process; return the seconds until it came, None where it does not come at all.

    It goes by another connection, which a pooler tells apart from the listening one.

    :raises DatabaseError, InterfaceError: the database does not answer.
    """
    word = uuid.uuid4().hex
    listener, other = PostgresListener(f"pooler_{word}"), connection.copy()
    try:
        with deadlines.within(_HEARD_SECONDS):
            listener.listen()
            sent = time.monotonic()
            with other.cursor() as cursor:
                cursor.execute("SELECT pg_notify(%s, %s)", [f"pooler_{word}", word])
        until = time.monotonic() + _HEARD_SECONDS
        while time.monotonic() < until:
            if word in listener.wait(until - time.monotonic()):
                return time.monotonic() - sent
        return None
    finally:
        other.close()
        with suppress(DatabaseError, InterfaceError):  # what it raised before counts
            listener.rest()
