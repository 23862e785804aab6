"""Starts the embedded Postgres again when it dies while the service runs, as the supervisor does with the programs."""

import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from types import TracebackType
from typing import Self

from upscaler_site.postgres.embedded import EmbeddedPostgres
from upscaler_site.postgres.server import EmbeddedPostgresError

logger = logging.getLogger(__name__)

LOOK_SECONDS = 0.5
#: A server that dies so often within so many seconds has a cause that no further restart removes.
DEATHS = 3
DEATHS_SECONDS = 60.0


class PostgresSupervisor:
    """A context manager around the service's life: a thread that looks after the server, whoever started it."""

    def __init__(self, server: EmbeddedPostgres, give_up: Callable[[str], None]) -> None:
        """``give_up`` is called once, with the reason, when the server is not started again any more."""
        self._server = server
        self._give_up = give_up
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run, name="postgres-supervisor", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Return when no start is under way: nobody would stop that server."""
        self._end.set()
        self._thread.join()

    def _run(self) -> None:
        deaths: deque[float] = deque(maxlen=DEATHS)
        reason = ""
        while not self._end.wait(LOOK_SECONDS):
            if self._server.cluster.runs():  # or recovers, which may take longer than a start waits
                continue
            deaths.append(time.monotonic())
            if len(deaths) == DEATHS and deaths[-1] - deaths[0] <= DEATHS_SECONDS:
                log = self._server.cluster.places.log
                self._give_up(f"the embedded Postgres died {DEATHS} times within a minute; {log} says why{reason}")
                return
            logger.error("the embedded Postgres died: it is started again")
            try:
                self._server.start_again()
            except (EmbeddedPostgresError, OSError) as error:
                reason = f"\n{error}"
                logger.error("the embedded Postgres was not started again: %s", error)  # noqa: TRY400 - it says all
            else:
                reason = ""
                logger.warning("the embedded Postgres runs again seconds=%.1f", time.monotonic() - deaths[-1])
