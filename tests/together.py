"""The same work in many threads that begin at one moment: races between processes, whose rows the database holds."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from django.db import connection

T = TypeVar("T")


def together(count: int, work: Callable[[int], T]) -> list[T]:
    """What ``work(0)`` … ``work(count - 1)`` returned, in this order. What one of them raises is raised here.

    Each thread has a database connection of its own, as processes have, and closes it.
    """
    start = threading.Barrier(count)

    def run(number: int) -> T:
        start.wait(240)
        try:
            return work(number)
        finally:
            connection.close()

    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(run, range(count)))
