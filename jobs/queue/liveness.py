"""Liveness of workers by the kernel's word, not by their silence: a dead worker's job need not wait for its lease.

A pid means something in one boot of one kernel and in one pid namespace only, and there it is reused. So each worker
registers its pid space and the tick at which it started (registration.py), and only a process of the same space may
declare it dead. Two containers never share a space, whatever their host names are; nor do a container and its host. A
worker that is not certainly dead counts as alive: then the lease decides, as it does for other hosts.
"""

import os
import socket
from pathlib import Path

from jobs.models.job import Job
from jobs.models.worker import Worker
from jobs.states import Status

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
#: Fields of /proc/PID/stat behind the name, which may contain anything: state, …, start time in ticks since boot.
_STATE, _BORN = 0, 19
_DEAD_STATES = ("Z", "X", "x")  # zombie: ended, not yet reaped by its parent; dead


def space() -> str:
    """Return where this process's pids are valid; "" where that cannot be told for certain (other systems than Linux).

    Birth ticks are shifted by a time namespace, so it counts as well. The host name tells clones of a machine apart
    that were woken from one memory image, and so have one boot id.
    """
    try:
        if str(Path("/proc/self").readlink()) != str(os.getpid()):
            return ""  # this /proc belongs to another namespace: its pids mean other processes
        boot = _BOOT_ID.read_text().strip()
        pids = Path("/proc/self/ns/pid").stat().st_ino
    except OSError:
        return ""
    try:
        clocks = Path("/proc/self/ns/time").stat().st_ino
    except OSError:  # before Linux 5.6
        clocks = 0
    return f"{socket.gethostname()[:100]}/{boot}/{pids}/{clocks}"


def born(pid: int) -> int | None:
    """Return when that process of this space began, in the kernel's ticks since boot; None where nobody says so."""
    fields = _stat(pid)
    return int(fields[_BORN]) if fields else None


def is_dead(pid: int, birth: int) -> bool:
    """Return whether the process of this space with that pid and birth has certainly ended."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        pass  # it is another user's
    fields = _stat(pid)
    if not fields:
        return False  # it ends at this moment, or it may be hidden from us: no proof
    return fields[_STATE] in _DEAD_STATES or int(fields[_BORN]) != birth


def dead_holders() -> list[str]:
    """Return the ids of workers that hold a job and are certainly dead. One query; other pid spaces are skipped."""
    here = space()
    if not here:
        return []
    held = Job.objects.filter(status=Status.PROCESSING).values("worker")
    holders = Worker.objects.filter(pid_space=here, pid_born__isnull=False, pk__in=held)
    rows = holders.values_list("pk", "pid", "pid_born")
    return [str(pk) for pk, pid, birth in rows if birth is not None and is_dead(pid, birth)]


def _stat(pid: int) -> list[str]:
    """Return the fields of /proc/PID/stat after the process's name; none where it cannot be read."""
    try:
        return Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()
    except OSError:
        return []
