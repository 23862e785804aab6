"""Messages by NOTIFY and LISTEN of Postgres, beside the statements of a thread's own connection.

A NOTIFY takes a lock over the whole database until its COMMIT is on the disk: sent inside the transactions that accept
jobs and results, these would go one after the other. So each is sent in a transaction that does not wait for the disk.
"""

import logging
from collections.abc import Sequence
from typing import Any

import psycopg
from django.db import DatabaseError, InterfaceError, connection, connections

from modelstore.bells.interface import readable

logger = logging.getLogger(__name__)

#: One statement, and so one trip. The setting lasts for its own transaction.
_NOTIFY = "SELECT set_config('synchronous_commit', 'off', true), pg_notify(%s, %s)"


class PostgresBells:
    """The carrier that needs no other server."""

    def send(self, channel: str, payload: str) -> None:
        """Notify by this thread's connection."""
        try:
            with connection.cursor() as cursor:
                cursor.execute(_NOTIFY, [channel, payload])
        except (DatabaseError, InterfaceError) as error:
            logger.warning("not notified channel=%s error=%s", channel, str(error).partition("\n")[0])
            connection.close()

    def listener(self, channel: str) -> "PostgresListener":
        """Return a new listener, which does not listen yet."""
        return PostgresListener(channel)


class PostgresListener:
    """Hears one channel, between the statements of this thread's Django connection: no second one is needed.

    Raises Django's errors of the database; when that connection was closed or replaced, `listen` begins anew.
    """

    def __init__(self, channel: str) -> None:
        self._channel = channel
        self._connection: psycopg.Connection[Any] | None = None
        self._heard: list[str] = []

    def listen(self) -> bool:
        """Listen from now on. True when it did not before."""
        django = connections["default"]
        django.ensure_connection()
        if self._connection is not None and self._connection is django.connection:
            return False
        with django.cursor() as cursor:
            cursor.execute(f'LISTEN "{self._channel}"')
        self._connection = django.connection
        django.connection.add_notify_handler(self._note)
        return True

    def rest(self) -> None:
        """Listen no more: the server need not wake this process."""
        django = connections["default"]
        if self._connection is not None and self._connection is django.connection:
            self._connection.remove_notify_handler(self._note)
            self._connection = None
            with django.cursor() as cursor:
                cursor.execute(f'UNLISTEN "{self._channel}"')
        self._heard.clear()

    def wait(self, seconds: float, also: Sequence[int] = ()) -> list[str]:
        """Return the payloads that arrived, as soon as one does or one of the descriptors ``also`` can be read."""
        connection = self._connection
        assert connection is not None
        with connections["default"].wrap_database_errors:
            heard = self._heard + _arrived(connection)  # together with the answer of a statement
            if not heard:
                readable([connection.fileno(), *also], seconds)
                heard = _arrived(connection)
        self._heard.clear()
        return heard

    def _note(self, notification: psycopg.Notify) -> None:
        self._heard.append(notification.payload)


def _arrived(connection: "psycopg.Connection[Any]") -> list[str]:
    connection.pgconn.consume_input()
    payloads = []
    while (notification := connection.pgconn.notifies()) is not None:
        payloads.append(notification.extra.decode())
    return payloads
