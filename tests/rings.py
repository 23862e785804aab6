"""Hearing the bells of the clusters, as their pushers do."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import takewhile

import psycopg

from modelstore.notify import CLUSTERS
from tests.jobs.conftest import database_url


@contextmanager
def rings() -> Iterator[Callable[[], list[str]]]:
    """Yield what returns the names of the clusters that were rung for since it was last called."""
    with psycopg.connect(database_url(), autocommit=True) as ear:
        ear.execute(f'LISTEN "{CLUSTERS}"')

        def heard() -> list[str]:
            ear.execute("SELECT pg_notify(%s, 'until here')", [CLUSTERS])  # they come in the order of their COMMITs
            return list(takewhile(lambda told: told != "until here", (note.payload for note in ear.notifies())))

        yield heard
