"""Finding and ending the processes of one running service. Standard library and psutil only."""

import ctypes
import os
import signal
import sys
from collections.abc import Callable, Iterable
from pathlib import Path

import psutil

#: In the environment of everything that the supervisor starts: the service's run directory, so that two services tell
#: each other's processes apart, and the program's name.
SERVICE_MARK = "UPSCALER_SERVICE"
PROGRAM_MARK = "UPSCALER_PROGRAM"

PR_SET_PDEATHSIG = 1


def of_service(run_dir: Path, program: str | None = None) -> list[psutil.Process]:
    """Return every living process below the supervisor that was configured in ``run_dir``, with all descendants."""
    found = []
    for process in psutil.process_iter():
        try:
            environment = process.environ()
            if environment.get(SERVICE_MARK) != str(run_dir) or process.status() == psutil.STATUS_ZOMBIE:
                continue
        except (psutil.Error, OSError):
            continue  # ended meanwhile, or another user's
        if process.pid != os.getpid() and program in (None, environment.get(PROGRAM_MARK)):
            found.append(process)
    return found


def kill(processes: Iterable[psutil.Process], *, wait_seconds: float = 5) -> None:
    """Send SIGKILL and wait for the end."""
    doomed = list(processes)
    for process in doomed:
        try:
            process.kill()
        except psutil.NoSuchProcess:
            continue
    psutil.wait_procs(doomed, timeout=wait_seconds)


def dies_with_parent(number: int = signal.SIGTERM) -> Callable[[], None]:
    """Return a function for the child, between fork and exec: it gets ``number`` when this process ends, even by -9.

    Linux only; elsewhere the function does nothing, and leftovers are found by their mark at the next start.
    """
    parent = os.getpid()
    prctl = ctypes.CDLL(None, use_errno=True).prctl if sys.platform == "linux" else None

    def in_the_child() -> None:
        if prctl is None:
            return
        prctl(PR_SET_PDEATHSIG, number, 0, 0, 0)
        if os.getppid() != parent:  # it died before the call above
            os._exit(1)

    return in_the_child
