"""Counts HTTP requests: in memory while answering, added to the figures every few seconds.

The hot path is one dictionary update under a lock. What a killed process had not yet written is lost: at most
``FLUSH_SECONDS`` of its counts; a process that ends by itself writes them first.
"""

import atexit
import logging
import os
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime

from django.db import DatabaseError, InterfaceError, connection
from django.http import HttpRequest, HttpResponseBase
from django.urls import Resolver404, resolve

from jobs import deadlines
from jobs.errors import one_line
from monitoring.buckets import bucket_of, empty
from monitoring.models import ALL_TIME

log = logging.getLogger(__name__)

FLUSH_SECONDS = 5.0
_OTHERS_SECONDS = 1.0
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})

Key = tuple[datetime, str, str, int]  # hour, method, route, status

UPSERT = """
INSERT INTO monitoring_requestfigure AS f (hour, method, route, status, count, seconds, buckets)
VALUES (%s, %s, %s, %s, %s, %s, %s::bigint[])
ON CONFLICT (hour, method, route, status) DO UPDATE SET
    count = f.count + excluded.count,
    seconds = f.seconds + excluded.seconds,
    buckets = ARRAY(SELECT a + b FROM unnest(f.buckets, excluded.buckets) WITH ORDINALITY AS u(a, b, n) ORDER BY n)
"""


@dataclass
class _Sum:
    count: int = 0
    seconds: float = 0.0
    buckets: list[int] = field(default_factory=empty)

    def add(self, other: "_Sum") -> None:
        self.count += other.count
        self.seconds += other.seconds
        self.buckets = [a + b for a, b in zip(self.buckets, other.buckets, strict=True)]


class RequestCounter:
    """The counts of one process that are not yet in the database."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._flush_lock = threading.Lock()
        self._sums: dict[Key, _Sum] = {}
        self._pid = os.getpid()
        self._thread_pid: int | None = None
        self._waits = False  # True while the database does not answer, so that it is logged once

    def note(self, method: str, route: str, status: int, seconds: float) -> None:
        """Count one answered request."""
        hour = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
        key = (hour, method if method in METHODS else "OTHER", route[:200], status)
        with self._lock:
            if self._pid != os.getpid():  # forked: the parent writes its own counts
                self._sums, self._pid = {}, os.getpid()
            entry = self._sums.setdefault(key, _Sum())
            entry.count += 1
            entry.seconds += seconds
            entry.buckets[bucket_of(seconds)] += 1
            restart = self._thread_pid not in (None, self._pid)
        if restart:
            self.start_flushing()

    def forget(self) -> None:
        """Drop what was not written yet."""
        with self._lock:
            self._sums = {}

    def flush(self) -> None:
        """Add the counts to the database. Where it does not answer they are kept for the next time."""
        # Another thread that flushes may be waiting for a silent database, longer than this one may.
        if not self._flush_lock.acquire(timeout=min(_OTHERS_SECONDS, max(0.0, deadlines.seconds_left()))):
            return
        try:
            self._flush()
        finally:
            self._flush_lock.release()

    def _flush(self) -> None:
        with self._lock:
            sums, self._sums = self._sums, {}
        if not sums:
            return
        # In the order of the key: two processes that write the same rows in different orders would deadlock.
        rows = [
            (*key, total.count, total.seconds, total.buckets) for key, total in sorted(_with_all_time(sums).items())
        ]
        try:
            with connection.cursor() as cursor:
                cursor.executemany(UPSERT, rows)
        except (DatabaseError, InterfaceError) as error:
            level = logging.DEBUG if self._waits else logging.WARNING
            log.log(level, "request counts are kept for later: %s", one_line(error))
            self._waits = True
            with self._lock:
                for key, total in sums.items():
                    self._sums.setdefault(key, _Sum()).add(total)
        else:
            self._waits = False

    def start_flushing(self) -> None:
        """Write the counts every ``FLUSH_SECONDS`` and at the end of the process. Called by the WSGI entry point."""
        with self._lock:
            if self._thread_pid == os.getpid():
                return
            if self._thread_pid is None:
                atexit.register(self.flush)
            self._thread_pid = os.getpid()
        threading.Thread(target=self._keep_flushing, name="request-counts", daemon=True).start()

    def _keep_flushing(self) -> None:
        while True:
            time.sleep(FLUSH_SECONDS)
            with self._lock:
                idle = not self._sums
            if not idle:
                self.flush()
                connection.close()  # this thread's connection is rarely needed, and the server's are few


def _with_all_time(sums: dict[Key, _Sum]) -> dict[Key, _Sum]:
    """Add the rows of all time to the hourly ones."""
    rows = dict(sums)
    for (_, method, route, status), total in sums.items():
        rows.setdefault((ALL_TIME, method, route, status), _Sum()).add(total)
    return rows


counter = RequestCounter()


class CountRequests:
    """Middleware: counts every request that Django answers, with the time until its first byte was ready."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        """Answer and count."""
        started = time.monotonic()
        response = self.get_response(request)
        counter.note(request.method or "OTHER", route_of(request), response.status_code, time.monotonic() - started)
        return response


def route_of(request: HttpRequest) -> str:
    """Return the pattern that the request's path matches: at most as many as there are patterns.

    A middleware may have answered before the path was resolved; such a refusal counts where it was aimed at.
    """
    match = request.resolver_match
    if match is None:
        try:
            match = resolve(request.path_info)
        except Resolver404:
            return "api/v1/(no route)" if request.path_info.startswith("/api/v1/") else "(no route)"
    return match.route
