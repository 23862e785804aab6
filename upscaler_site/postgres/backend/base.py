"""The ENGINE of DATABASES: Django's PostgreSQL backend, whose connections do not wait for a silent server for ever.

``statement_timeout`` is the server's clock and ``tcp_user_timeout`` needs a network between the two: neither ends the
wait for a local server that is frozen (SIGSTOP, a suspended container, a disk that hangs). Here our own clock decides.
"""

import math
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import SimpleNamespace, TracebackType
from typing import Any, Self, TypeVar

import psycopg
from django.db.backends.postgresql import base
from django.db.backends.postgresql.schema import DatabaseSchemaEditor
from psycopg.abc import PQGen

from jobs import deadlines

RV = TypeVar("RV")

#: Seconds within which an idle connection must answer before it is used again; else it is replaced.
HEALTH_SECONDS = 2.0
#: Seconds between two checks of the deadline while waiting.
INTERVAL_SECONDS = 0.1
#: Seconds for a cancel request: a frozen server does not take one either.
CANCEL_SECONDS = 0.5
#: When so many threads of this process have waited for so many seconds, further ones are refused at once: a web process
#: whose threads all wait for the database could not even answer its liveness probe.
MOST_SILENT = 32
SILENT_SECONDS = 2.0

#: Begin of each wait that is, or may become, a long one, by its own key.
_silent: dict[object, float] = {}
os.register_at_fork(after_in_child=_silent.clear)


class BoundedConnection(psycopg.Connection[Any]):
    """A connection whose every wait ends by the deadline of its thread (jobs/deadlines.py)."""

    #: True when a statement that is given up is to be cancelled on the server as well.
    stops_statements = True

    def wait(self, gen: PQGen[RV], interval: float = INTERVAL_SECONDS, timeout: float | None = None) -> RV:
        """Wait for the server's answer: all of psycopg's statements come through here.

        :raises psycopg.OperationalError: the deadline passed; the connection is closed.
        """
        seconds = deadlines.seconds_left()
        _refuse_if_hopeless(seconds)
        try:
            return super().wait(_answered(gen, seconds), min(interval, INTERVAL_SECONDS), timeout)
        except _TooLate:
            self._give_up()
            raise psycopg.OperationalError(f"no answer within {seconds:.1f} s") from None

    def _give_up(self) -> None:
        """Close the connection, since the answer may come yet, and ask a server that is merely slow to stop.

        Otherwise it would go on for nobody, and keep its locks.
        """
        if self.stops_statements and psycopg.capabilities.has_cancel_safe():  # else cancelling may never return
            with suppress(psycopg.Error, OSError):
                self.cancel_safe(timeout=CANCEL_SECONDS)
        self.close()


class _TooLate(Exception):
    """The server has not answered in time."""


def _answered(gen: PQGen[RV], seconds: float) -> PQGen[RV]:
    """Pass ``gen`` on, and leave it when nothing has arrived and ``seconds`` are over.

    psycopg comes round at each interval; the clock is looked at only when nothing arrived, so a quick answer costs
    nothing and a large one that goes on arriving is not cut.
    """
    begun = time.monotonic()
    key: object = None
    try:
        state = next(gen)
        while True:
            ready = yield state
            if not ready:
                waited = time.monotonic() - begun
                if waited >= seconds:
                    raise _TooLate
                if key is None and waited >= SILENT_SECONDS:
                    key = object()
                    _silent[key] = begun
            state = gen.send(ready)
    except StopIteration as end:
        answer: RV = end.value
        return answer
    finally:
        _silent.pop(key, None)


def _refuse_if_hopeless(seconds: float) -> None:
    """Refuse to connect when it cannot succeed in time.

    :raises psycopg.OperationalError: when the time is up already, or enough threads wait for a server that is silent.
    """
    if seconds <= 0:
        raise psycopg.OperationalError("no answer in the time that was left")
    if len(_silent) >= MOST_SILENT:
        before = time.monotonic() - SILENT_SECONDS
        waiting = sum(begun <= before for begun in list(_silent.values()))
        if waiting >= MOST_SILENT:
            raise psycopg.OperationalError(f"{waiting} threads wait for an answer already")


@contextmanager
def _connecting(seconds: float) -> Iterator[None]:
    """Count an attempt to connect among the waits."""
    _refuse_if_hopeless(seconds)
    key = object()
    _silent[key] = time.monotonic()
    try:
        yield
    finally:
        del _silent[key]


class SchemaEditor(DatabaseSchemaEditor):
    """Changes tables without a limit: a migration of millions of rows takes its time, and no caller waits for it."""

    def __enter__(self) -> Self:
        self._limit = deadlines.without_limit()
        self._limit.__enter__()
        super().__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            super().__exit__(kind, error, trace)
        finally:
            self._limit.__exit__(None, None, None)


class DatabaseWrapper(base.DatabaseWrapper):
    """Django's own, with our connections."""

    # Django takes errors and ``connect`` from here.
    Database = SimpleNamespace(**(vars(psycopg) | {"connect": BoundedConnection.connect}))  # type: ignore[assignment]  # stands in for the module
    SchemaEditorClass = SchemaEditor

    def get_new_connection(self, conn_params: dict[str, Any]) -> Any:
        """Connect within ``connect_timeout``, or within what the deadline leaves (2 s is libpq's least)."""
        seconds = deadlines.seconds_left()
        if seconds != math.inf:
            longest = int(float(conn_params.get("connect_timeout") or 0)) or seconds
            conn_params = conn_params | {"connect_timeout": max(2, math.ceil(min(longest, seconds)))}
        with _connecting(seconds):
            return super().get_new_connection(conn_params)

    def is_usable(self) -> bool:
        """Return True if an idle connection answers soon: a frozen server must be told from a slow statement."""
        if self.connection is None:
            return False
        self.connection.stops_statements = False  # nothing to stop, and the time is for a new connection
        try:
            with deadlines.within(min(HEALTH_SECONDS, deadlines.seconds_left() / 3)):
                return bool(super().is_usable())
        finally:
            self.connection.stops_statements = True
