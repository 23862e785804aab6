"""State that the processes of one cluster share in memory: who is idle, who must stop.

django-q2 forks main -> sentinel -> workers, monitor, pusher, and any of them may be killed at any moment. So there are
no locks in here that a dead process could keep: every number has one writer, and who reads it can bear its being old.
The memory is made by the main process before it forks (management command `qcluster`).
"""

import ctypes
import fcntl
import logging
import mmap
import os
import signal
import sys
import tempfile
import threading
import time
from contextlib import suppress
from typing import Any

import psutil
from django.utils.module_loading import import_string

logger = logging.getLogger(__name__)

MAX_WORKERS = 64
#: Seconds after which a worker that has not loaded its models counts as hanging.
START_SECONDS = 900.0
BEAT_SECONDS = 0.5
RUNNING, STOPPING, STOPPING_NOW = 0, 1, 2


class _Slot(ctypes.Structure):
    """One worker. Written by that worker only."""

    _fields_ = [
        ("pid", ctypes.c_int64),  # 0: never used
        ("busy", ctypes.c_int64),  # 1 from the moment a task is read until it is done
        ("picked", ctypes.c_int64),  # tasks read, by all holders of this slot
        ("done", ctypes.c_int64),
        ("beat", ctypes.c_int64),  # counts while the process runs; 0: it has not begun to, see watchdog.py
        ("limit", ctypes.c_double),  # monotonic time at which main kills a worker that hangs; 0: nothing runs
    ]


class _Memory(ctypes.Structure):
    _fields_ = [
        ("stop", ctypes.c_int64),  # RUNNING, STOPPING, STOPPING_NOW; written by main
        ("stop_at", ctypes.c_double),  # monotonic time at which a running job is handed back; written by main
        ("handed", ctypes.c_int64),  # tasks given to the local queue; written by the pusher
        ("beat", ctypes.c_int64),  # counts the pusher's rounds
        ("collected", ctypes.c_int64),  # results that the monitor took
        ("slots", _Slot * MAX_WORKERS),
    ]


class SharedState:
    """The shared state. Made in the main process; forked children find it in ``current()``."""

    def __init__(self, name: str, workers: int) -> None:
        if workers > MAX_WORKERS:
            raise ValueError(f"{workers} workers in one cluster, the limit is {MAX_WORKERS}")
        self.name = name
        self._map = mmap.mmap(-1, ctypes.sizeof(_Memory))
        self.memory = _Memory.from_buffer(self._map)
        # A POSIX lock on a file ends with its process, whatever kills it: a slot can always be taken.
        self._slot_lock = tempfile.TemporaryFile()  # noqa: SIM115 - lives as long as the cluster
        self.wake_read, self.wake_write = os.pipe()
        os.set_blocking(self.wake_read, False)
        os.set_blocking(self.wake_write, False)

    # --- written by workers
    def take_slot(self) -> _Slot:
        """Sign this worker in, in the place of a dead one or in a new place."""
        fcntl.lockf(self._slot_lock, fcntl.LOCK_EX)
        try:
            for slot in self.memory.slots:
                if not slot.pid or not is_alive(slot.pid):
                    slot.limit, slot.busy, slot.beat = time.monotonic() + START_SECONDS, 1, 0  # busy with its start
                    slot.pid = os.getpid()
                    taken: _Slot = slot
                    return taken
        finally:
            fcntl.lockf(self._slot_lock, fcntl.LOCK_UN)
        raise RuntimeError(f"cluster {self.name} has more than {MAX_WORKERS} workers")

    def wake_pusher(self) -> None:
        """Wake the pusher: a worker became idle."""
        with suppress(BlockingIOError):  # full: it has been woken often enough
            os.write(self.wake_write, b"x")

    # --- read by the pusher
    def drain_wake(self) -> None:
        """Forget the wake-ups that have been seen."""
        with suppress(BlockingIOError):
            os.read(self.wake_read, 65_536)  # as much as a pipe holds

    @property
    def idle_pids(self) -> frozenset[int]:
        """Workers that wait for a task."""
        return frozenset(
            int(slot.pid) for slot in self.memory.slots if slot.pid and not slot.busy and is_alive(slot.pid)
        )

    @property
    def died_idle(self) -> frozenset[int]:
        """Workers that were killed while they waited for a task, and in whose place none has begun yet."""
        return frozenset(
            int(slot.pid) for slot in self.memory.slots if slot.pid and not slot.busy and not is_alive(slot.pid)
        )

    @property
    def idle(self) -> int:
        """The number of workers that wait for a task."""
        return len(self.idle_pids)

    @property
    def busy(self) -> int:
        """Workers that work on a task."""
        return sum(1 for slot in self.memory.slots if slot.pid and slot.busy and is_alive(slot.pid))

    @property
    def alive_pids(self) -> frozenset[int]:
        """Workers that run."""
        return frozenset(int(slot.pid) for slot in self.memory.slots if slot.pid and is_alive(slot.pid))

    @property
    def alive(self) -> int:
        """The number of workers that run."""
        return len(self.alive_pids)

    @property
    def picked(self) -> int:
        """Tasks that workers have read from the local queue since the cluster's start."""
        return sum(slot.picked for slot in self.memory.slots)

    @property
    def done(self) -> int:
        """Tasks that workers have finished."""
        return sum(slot.done for slot in self.memory.slots)

    @property
    def in_flight(self) -> int:
        """Tasks handed over that no worker has read."""
        return max(0, int(self.memory.handed) - self.picked)

    @property
    def zombies(self) -> frozenset[int]:
        """Workers that are dead, and that the sentinel has not taken note of."""
        return frozenset(int(slot.pid) for slot in self.memory.slots if slot.pid and is_zombie(slot.pid))

    def beats(self) -> dict[int, int]:
        """Return each live worker's heartbeat count; workers that are starting do not count yet."""
        return {int(slot.pid): int(slot.beat) for slot in self.memory.slots if slot.beat and is_alive(slot.pid)}

    def overdue(self, now: float) -> list[int]:
        """Return the pids of workers whose job is beyond all limits: their own heartbeat thread could not end them."""
        return [int(slot.pid) for slot in self.memory.slots if slot.pid and 0 < slot.limit < now and is_alive(slot.pid)]


_current: SharedState | None = None
_slot: _Slot | None = None


def create(name: str, workers: int) -> SharedState:
    """Make the shared state; in the main process, before anything is forked."""
    global _current  # noqa: PLW0603 - one cluster per process tree
    _current = SharedState(name, workers)
    return _current


def current() -> SharedState | None:
    """Return the shared state of this process's cluster; None outside of one."""
    return _current


def let_children_die_with_us() -> None:
    """Make the kernel end every process that is forked from here on when its parent dies, however it dies.

    Otherwise a killed main process would leave workers behind that compute, and a monitor that waits for ever. Where
    the kernel cannot do it (macOS), a thread of the child looks at its parent twice a second.
    """
    parent = 0

    def before() -> None:
        nonlocal parent
        parent = os.getpid()

    os.register_at_fork(before=before, after_in_child=lambda: _die_with(parent))


def _die_with(parent: int) -> None:
    if sys.platform == "linux":
        pr_set_pdeathsig = 1
        ctypes.CDLL(None, use_errno=True).prctl(pr_set_pdeathsig, signal.SIGKILL, 0, 0, 0)
    else:
        threading.Thread(target=_watch_parent, args=(parent,), name="parent-watch", daemon=True).start()
    if os.getppid() != parent:  # it died before we asked
        os._exit(1)


def worker_started(**_: Any) -> None:
    """Receive django-q2's post_spawn: runs in each new worker, before it reads its first task."""
    global _slot  # noqa: PLW0603 - one worker per process
    if _current is None:
        return
    slot = _current.take_slot()
    import_string("jobs.worker.tasks.started")(_current.name)
    slot.limit, slot.busy = 0.0, 0
    _slot = slot
    threading.Thread(target=_beat, args=(slot,), name="heartbeat", daemon=True).start()
    _current.wake_pusher()


def task_picked(**_: Any) -> None:
    """Receive django-q2's pre_execute: the worker has read a task."""
    if _slot is not None:
        _slot.busy = 1  # first busy, then picked: the pusher must never see an idle worker too many
        _slot.picked += 1


def task_done(**_: Any) -> None:
    """Receive django-q2's post_execute_in_worker."""
    if _slot is not None and _current is not None:
        _slot.done += 1
        _slot.busy = 0
        _current.wake_pusher()


def result_collected(**_: Any) -> None:
    """Receive django-q2's post_execute: runs in the monitor."""
    if _current is not None:
        _current.memory.collected += 1


def set_limit(at: float) -> None:
    """Tell main until when this worker's job may run, in monotonic time; 0: nothing runs any more."""
    if _slot is not None:
        _slot.limit = at


def must_stop() -> tuple[bool, bool]:
    """Return whether this cluster is stopping, and whether a running job is to be handed back now."""
    if _current is None or _current.memory.stop == RUNNING:
        return False, False
    now = _current.memory.stop == STOPPING_NOW or time.monotonic() >= _current.memory.stop_at
    return True, now


def is_alive(pid: int) -> bool:
    """Return whether there is such a process. One that is dead, but not yet reaped by its parent, is not alive."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return not is_zombie(pid)


def is_zombie(pid: int) -> bool:
    """Return whether the process is dead, and its parent has not reaped it."""
    try:
        return bool(psutil.Process(pid).status() == psutil.STATUS_ZOMBIE)
    except psutil.Error:
        return False


def _beat(slot: _Slot) -> None:
    while True:
        slot.beat += 1
        time.sleep(BEAT_SECONDS)


def _watch_parent(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(0.5)
    os._exit(1)
