"""Listening to notifications of Postgres, beside the statements of a thread's own connection."""

import select
from collections.abc import Iterable, Sequence
from typing import Any

import psycopg
from django.db import connections


class Listener:
    """Hears one channel, between the statements of this thread's Django connection: no second one is needed.

    Raises Django's errors of the database; when that connection was closed or replaced, `listen` begins anew.
    """

    def __init__(self, channel: str) -> None:
        self._channel = channel
        self._connection: psycopg.Connection[Any] | None = None
        self._heard: list[str] = []

    def listen(self) -> bool:
        """Listen from now on. True when it did not before: what was told meanwhile is lost, and is to be looked for."""
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
        """Listen no more: the server need not wake this process for what it does not act on."""
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


def readable(descriptors: Iterable[int], seconds: float) -> bool:
    """Wait until one of the descriptors can be read, or was closed by the other side; False when the time was up.

    Not by ``select.select``, which fails at number 1024: a web server with many callers reaches that.

    :raises ValueError: one is closed here.
    """
    poll = select.poll()
    for descriptor in descriptors:
        poll.register(descriptor, select.POLLIN)
    return bool(poll.poll(max(0.0, seconds) * 1000))
