"""A connection of its own that hears Postgres notifications, through restarts of the server."""

import logging
import os
import select
import time
from collections.abc import Sequence
from typing import Any

import psycopg
from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.utils import Error as DatabaseError

logger = logging.getLogger(__name__)

_FIRST_PAUSE, _LONGEST_PAUSE = 0.2, 5.0


class Listener:
    """Hears one channel. Belongs to one thread of one process; made after the fork, connected on first use.

    Notifications are lost while it is not connected: its owner looks at the rows once a second anyway.
    """

    def __init__(self, channel: str) -> None:
        self._channel = channel
        self._wrapper: BaseDatabaseWrapper | None = None
        self._pause = _FIRST_PAUSE
        self._not_before = 0.0

    def wait(self, seconds: float, also: Sequence[int] = ()) -> list[str]:
        """Return the payloads that arrived, as soon as one does or one of the descriptors ``also`` can be read.

        Empty when nothing came in time. Never raises for a lost connection: it waits, and connects again.
        """
        connection = self._connection()
        if connection is None:
            select.select(also, [], [], min(seconds, max(0.0, self._not_before - time.monotonic())))
            return []
        try:
            select.select([connection.fileno(), *also], [], [], seconds)
            return self._arrived(connection)
        except (psycopg.Error, OSError, ValueError) as error:
            self._lost(error)
            return []

    def close(self) -> None:
        """Give the connection back."""
        if self._wrapper is not None:
            wrapper, self._wrapper = self._wrapper, None
            wrapper.close()

    def _arrived(self, connection: "psycopg.Connection[Any]") -> list[str]:
        connection.pgconn.consume_input()
        payloads = []
        while (notification := connection.pgconn.notifies()) is not None:
            payloads.append(notification.extra.decode())
        return payloads

    def _connection(self) -> "psycopg.Connection[Any] | None":
        if self._wrapper is not None:
            found: psycopg.Connection[Any] = self._wrapper.connection
            return found
        if time.monotonic() < self._not_before:
            return None
        wrapper = connections.create_connection("default")
        try:
            wrapper.inc_thread_sharing()
            wrapper.ensure_connection()
            with wrapper.cursor() as cursor:
                cursor.execute(f'LISTEN "{self._channel}"')
        except (DatabaseError, psycopg.Error, OSError) as error:
            wrapper.close()
            self._lost(error)
            return None
        self._wrapper = wrapper
        self._pause = _FIRST_PAUSE
        logger.debug("listening channel=%s pid=%d", self._channel, os.getpid())
        made: psycopg.Connection[Any] = wrapper.connection
        return made

    def _lost(self, error: Exception) -> None:
        logger.warning("not listening channel=%s error=%s again_in=%.1fs", self._channel, error, self._pause)
        self._not_before = time.monotonic() + self._pause
        self._pause = min(self._pause * 2, _LONGEST_PAUSE)
        try:
            self.close()
        except (DatabaseError, psycopg.Error, OSError):
            self._wrapper = None
