"""`manage.py migrate`: Django's command under an advisory lock, since every host of a deploy may run it at once."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.core.management.commands import migrate
from django.db import connections

_LOCK = 0x7570_6D67  # "upmg"
_LOOK_SECONDS = 0.5


class Command(migrate.Command):
    def handle(self, *args: Any, **options: Any) -> None:
        with self._alone(options["database"]):
            super().handle(*args, **options)

    @contextmanager
    def _alone(self, alias: str) -> Iterator[None]:
        """Wait until no other migration of this database runs, and keep others out during the block.

        The lock lives in a transaction of a connection of its own: it goes with it however this process ends, and it
        holds through a pooler that gives each transaction another server process. It is asked for again and again: a
        statement that waited for it would be taken for a silent database.
        """
        own = connections[alias].copy(alias)
        told = False
        try:
            own.set_autocommit(False)
            with own.cursor() as cursor:
                while True:
                    cursor.execute("SET LOCAL idle_in_transaction_session_timeout = 0")
                    cursor.execute("SELECT pg_try_advisory_xact_lock(%s)", [_LOCK])
                    if cursor.fetchone() == (True,):
                        break
                    own.rollback()
                    if not told:
                        self.stdout.write("Waiting for another migration of this database to end")
                        told = True
                    time.sleep(_LOOK_SECONDS)
            yield
        finally:
            own.close()
