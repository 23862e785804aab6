"""A worker process says that it lives: one row per process, written every few seconds by its pulse."""

import logging
import os
import socket
import uuid
from typing import TYPE_CHECKING

import psutil
from django.conf import settings
from django.db import Error as DatabaseError
from django.db import connection
from django.db.models.functions import Now

from jobs import deadlines
from jobs.errors import one_line
from jobs.models.worker import Worker
from jobs.queue import liveness
from jobs.worker.pulse import Pulse

if TYPE_CHECKING:
    from jobs.engine.backends.device import ComputeDevice  # imports torch

logger = logging.getLogger(__name__)

#: Longest interval in seconds; with a short lease a third of it, or live workers would seem lost now and then.
SAY_SECONDS = 5.0
_MEMORABLE = 20  # names of models kept per worker
_LONGEST = 500  # characters of a choice of a backend, in words


class Registration:
    """The row of this process. Attributes are set by the worker's main thread and written by its pulse."""

    def __init__(self, cluster: str) -> None:
        self.host = socket.gethostname()
        self.cluster = cluster
        # The suffix tells two processes apart that had the same pid on hosts of the same name (containers).
        self.id = f"{cluster}@{self.host[:60]}:{os.getpid()}-{uuid.uuid4().hex[:6]}"
        self.pid_space, self.pid_born = liveness.space(), liveness.born(os.getpid())
        self.place: ComputeDevice | None = None
        self.precisions: tuple[str, ...] = ()
        self.current_job: uuid.UUID | None = None
        self.loaded_models: list[str] = []
        self.choices: dict[str, str] = {}
        self.jobs_done = 0
        self._left = self._known = False
        self._seconds = min(SAY_SECONDS, settings.JOB_LEASE_SECONDS / 3)
        self.pulse = Pulse(self._say_again, self._seconds)

    def start(self) -> None:
        """Write the row now and go on doing so."""
        self.say()
        self.pulse.start()

    def used(self, model: str, room: int, choice: str) -> None:
        """Note that the model's network is loaded and was used last; at most ``room`` are held.

        :param choice: the report's: the backend and precision in words, and why these; "" where there was none.
        """
        names = [name for name in self.loaded_models if name != model]
        self.loaded_models = [*names, model][-max(1, min(room, _MEMORABLE)) :]
        if choice and self.choices.get(model) != choice[:_LONGEST]:
            logger.info("backend chosen model=%s worker=%s choice=%s", model, self.id, choice)
        known = {**self.choices, model: choice[:_LONGEST]}
        self.choices = {name: known[name] for name in self.loaded_models if known.get(name)}

    def say(self) -> None:
        """Write the row; what the database refuses is said again soon."""
        place, (total, used, free) = self.place, self._memory()
        values = {
            "cluster": self.cluster,
            "host": self.host[:200],
            "pid": os.getpid(),
            "pid_space": self.pid_space,
            "pid_born": self.pid_born,
            "device": place.device[:50] if place else "",
            "device_name": place.name[:200] if place else "",
            "device_uuid": place.uuid[:64] if place else "",
            "device_note": place.note[:500] if place else "",
            "precision": place.precision if place else "",
            "precisions": list(self.precisions),
            "memory_total": total,
            "memory_used": used,
            "memory_free": free,
            "current_job": self.current_job,
            "loaded_models": self.loaded_models,
            "choices": self.choices,
            "jobs_done": self.jobs_done,
            "version": settings.UPSCALER_VERSION,
            "seen_at": Now(),
        }
        try:
            if not self._known or not Worker.objects.filter(pk=self.id).update(**values):
                Worker.objects.bulk_create(
                    [Worker(id=self.id, started_at=Now(), **values)],
                    update_conflicts=True,
                    unique_fields=["id"],
                    update_fields=list(values),
                )
                self._known = True
        except DatabaseError as error:
            logger.warning("worker not heard worker=%s error=%s", self.id, one_line(error))
            connection.close()

    def leave(self) -> None:
        """Delete the worker's row: it ends in good order."""
        self._left = True
        try:
            Worker.objects.filter(pk=self.id).delete()
        except DatabaseError as error:
            logger.warning("worker's row stays worker=%s error=%s", self.id, one_line(error))

    def _say_again(self) -> None:
        """Write the row, within a time that leaves the same thread enough for a job's lease."""
        if not self._left:
            with deadlines.within(self._seconds):
                self.say()

    def _memory(self) -> tuple[int | None, int | None, int | None]:
        """Return the device's memory in bytes: total, used, and free for the engine. The host's for a CPU."""
        if self.place is None:
            return None, None, None
        if self.place.accelerator is not None:
            try:
                held = self.place.accelerator.memory()
                return held.total, held.used, held.free
            except RuntimeError as error:  # the device is lost: the computing thread will notice; this one goes on
                logger.warning("no device memory worker=%s error=%.200s", self.id, error)
                return None, None, None
        memory = psutil.virtual_memory()
        return memory.total, memory.total - memory.available, self.place.free_bytes()


_registration: Registration | None = None


def begin(cluster: str) -> Registration:
    """Make this process's registration; once, after the fork."""
    global _registration  # noqa: PLW0603 - one per process
    _registration = Registration(cluster)
    return _registration


def mine() -> Registration:
    """Return this process's registration; one that does nothing where no worker was started (commands, tests)."""
    global _registration  # noqa: PLW0603 - as above
    if _registration is None or _registration.id.split(":")[-1].split("-")[0] != str(os.getpid()):
        _registration = Registration("none")
    return _registration
