"""Hearing the bells of the clusters, as their pushers do."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import psycopg

from jobs.queue.dispatch import CHANNEL
from tests.jobs.conftest import database_url


@contextmanager
def rings() -> Iterator[Callable[[], list[str]]]:
    """Yield what returns the names of the clusters that were rung for since it was last called."""
    with psycopg.connect(database_url(), autocommit=True) as ear:
        ear.execute(f'LISTEN "{CHANNEL}"')
        yield lambda: [note.payload for note in ear.notifies(timeout=0)]
