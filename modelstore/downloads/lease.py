"""Holding a claim: a thread that extends the lease and publishes progress while the work goes on."""

import logging
import threading
from typing import Self

from django.conf import settings
from django.db import DatabaseError, InterfaceError, connection

from modelstore.models import Model

logger = logging.getLogger(__name__)

#: Seconds between two writes of the progress: often enough for a progress bar.
BEAT_SECONDS = 1.0


class LeaseKeeper:
    """A context in which a claim is kept. ``lost`` is set when it went to somebody else or was cancelled."""

    def __init__(self, claim: Model) -> None:
        self.claim = claim
        self.received_bytes = 0  # written by the downloading thread, read by the heartbeat thread
        self.lost = threading.Event()
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._beat, name=f"keep-{claim.name}", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._done.set()
        self._thread.join()

    def progress(self, received_bytes: int) -> None:
        """Say how many bytes are here."""
        self.received_bytes = received_bytes

    def confirm(self) -> bool:
        """Ask the database now whether the claim still holds."""
        if not Model.objects.heartbeat(self.claim, self.received_bytes):
            self.lost.set()
        return not self.lost.is_set()

    def _beat(self) -> None:
        pause = min(BEAT_SECONDS, settings.JOB_LEASE_SECONDS / 4)
        try:
            while not self._done.wait(pause):
                try:
                    if not self.confirm():
                        return
                except (
                    DatabaseError,
                    InterfaceError,
                ) as error:  # a restart of the database: if it takes too long, the lease expires
                    logger.warning("heartbeat failed model=%s error=%s", self.claim.name, error)
                    connection.close()
        finally:
            connection.close()  # the connection of this thread
