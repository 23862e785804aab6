"""A worker that starts before its database has tables, as in a first deploy, waits for them and says so once."""

import time
from collections.abc import Callable

from django.db import InterfaceError, OperationalError, connection
from django.db.migrations.executor import MigrationExecutor

from jobs.errors import one_line

_LOOK_SECONDS = 1.0


def wait_for_migrations(say: Callable[[str], None]) -> None:
    """Return when the database answers and every migration that this version brings has been applied.

    Those of a newer version are no obstacle: workers of both versions run side by side during a deploy. ``say`` gets a
    line whenever the reason of the wait is another one than before. No connection is left open: what forks comes after.
    """
    told = ""
    try:
        while reason := _missing():
            if reason != told:
                say(f"waiting for the database: {reason}")
                told = reason
            connection.close()
            time.sleep(_LOOK_SECONDS)
    finally:
        connection.close()


def _missing() -> str:
    try:
        executor = MigrationExecutor(connection)
        plan = executor.migration_plan(executor.loader.graph.leaf_nodes())
    except (OperationalError, InterfaceError) as error:
        return one_line(error)
    return "migrations are missing; manage.py migrate applies them" if plan else ""
