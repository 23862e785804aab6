"""Examines the database: its version, tables, speed, connections and clock, and whether messages arrive."""

import statistics
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime

from django.conf import settings
from django.db import DatabaseError, InterfaceError, connection, transaction
from django.db.migrations.executor import MigrationExecutor

from jobs.errors import one_line
from jobs.queue import pooler
from modelstore import notify
from monitoring.doctor.finding import Finding, fault, fine, note, warning

AREA = "database"

#: Of Django 5.2, which refuses older servers.
_OLDEST = 14
#: Trips and commits of which the median counts.
_TRIPS, _COMMITS = 20, 10
#: A claim and an acceptance are some trips each: beyond this a caller feels it.
_SLOW_TRIP_MS, _SLOW_COMMIT_MS = 10.0, 50.0
#: A web process opens one per request at work, a worker three.
_FEW_CONNECTIONS = 20
#: Signed links and lifetimes bear a second; log lines of two hosts should be in order.
_CLOCK_SECONDS, _CLOCK_FAULT_SECONDS = 2.0, 60.0
#: Seconds that the broker has for its answer.
_BROKER_SECONDS = 2.0


def examine() -> Iterator[Finding]:
    """Examine the server that ``DATABASE_URL`` names, or the embedded one."""
    yield _server()
    yield _tables()
    yield from _speed()
    yield _connections()
    yield _clock()
    yield _messages()


def _asked(sql: str) -> str:
    with connection.cursor() as cursor:
        cursor.execute(sql)
        return str(cursor.fetchone()[0])


def _server() -> Finding:
    number = int(_asked("SHOW server_version_num"))
    told = f"PostgreSQL {number // 10000}.{number % 10000}"
    if number < _OLDEST * 10000:
        return fault(AREA, told, f"Upgrade it to PostgreSQL {_OLDEST} or newer")
    return fine(AREA, told)


def _tables() -> Finding:
    executor = MigrationExecutor(connection)
    missing = executor.migration_plan(executor.loader.graph.leaf_nodes())
    if missing:
        return fault(AREA, f"{len(missing)} migrations have not run", "Run: manage.py migrate")
    known = executor.loader.disk_migrations.keys()
    newer = [name for name in executor.loader.applied_migrations if name not in known and name[0] in _ours()]
    if newer:
        names = ", ".join(f"{app}.{name}" for app, name in sorted(newer))
        return warning(AREA, f"A newer version has changed the tables: {names}", "Upgrade this host, too")
    return fine(AREA, "All tables are of this version")


def _ours() -> set[str]:
    return {"jobs", "modelstore", "monitoring", "audit"}


def _median_ms(times: int, work: Callable[[], object]) -> float:
    took = []
    for _ in range(times):
        at = time.perf_counter()
        work()
        took.append(time.perf_counter() - at)
    return statistics.median(took) * 1000


def _speed() -> Iterator[Finding]:
    trip = _median_ms(_TRIPS, lambda: _asked("SELECT 1"))
    told = f"One trip takes {trip:.1f} ms (median of {_TRIPS})"
    if trip > _SLOW_TRIP_MS:
        yield warning(AREA, told, "Bring the database nearer to this host: each job takes some ten trips")
    else:
        yield fine(AREA, told)
    try:
        commit = _median_ms(_COMMITS, _commit)
    except DatabaseError as error:
        yield note(AREA, f"How long a COMMIT takes could not be measured: {one_line(error)}")
        return
    told = f"One COMMIT reaches the disk in {commit:.1f} ms (median of {_COMMITS})"
    if commit > _SLOW_COMMIT_MS:
        yield warning(AREA, told, "Give the database a faster disk: each job waits for two of them")
    else:
        yield fine(AREA, told)


def _commit() -> None:
    """Commit something that must be on the disk, and changes nothing."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SELECT pg_logical_emit_message(true, 'upscaler', 'doctor')")


def _connections() -> Finding:
    most = int(_asked("SHOW max_connections")) - int(_asked("SHOW superuser_reserved_connections"))
    used = int(_asked("SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend'"))
    told = f"{used} of {most} connections are in use"
    needed = settings.MAX_WAITING_REQUESTS + _FEW_CONNECTIONS
    if most - used < _FEW_CONNECTIONS:
        return fault(AREA, told, "Raise max_connections of the server, or put a pooler before it with BROKER_URL set")
    if most < needed:
        told += f"; a web process may want {needed} in a burst"
        return warning(AREA, told, "Raise max_connections of the server, or lower MAX_WAITING_REQUESTS")
    return fine(AREA, told)


def _clock() -> Finding:
    before = time.time()
    theirs = datetime.fromisoformat(_asked("SELECT clock_timestamp() AT TIME ZONE 'UTC'")).replace(tzinfo=UTC)
    ours = (before + time.time()) / 2
    apart = theirs.timestamp() - ours
    told = f"The clocks of database and this host are {abs(apart):.2f} s apart"
    if abs(apart) > _CLOCK_SECONDS:
        advice = "Let both follow NTP: times in the log and lifetimes of signed links are wrong by so much"
        return (fault if abs(apart) > _CLOCK_FAULT_SECONDS else warning)(AREA, told, advice)
    return fine(AREA, told)


def _messages() -> Finding:
    if not notify.over_postgres():
        if trouble := notify.trouble(_BROKER_SECONDS):
            advice = "See that it runs and that BROKER_URL is right; until then jobs start some seconds late"
            return warning(AREA, f"{notify.carrier()} does not answer: {trouble}", advice)
        return fine(AREA, f"{notify.carrier()} answers, and carries the messages")
    try:
        seconds = pooler.heard_after()
    except (DatabaseError, InterfaceError) as error:
        return note(AREA, f"Whether notifications arrive could not be tried: {one_line(error)}")
    if seconds is None:
        advice = "Name Postgres itself in DATABASE_URL, a pool in session mode, or a Redis in BROKER_URL"
        return warning(AREA, "Notifications do not arrive: a pooler in transaction mode is in between", advice)
    return fine(AREA, f"Notifications arrive within {seconds * 1000:.1f} ms")
