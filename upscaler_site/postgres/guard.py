"""Stops the embedded Postgres once nobody uses it any more, however its users ended.

Run as a script by embedded.py, with nothing but the standard library while it waits, since it lives as long
as the server:
``guard.py USERS_LOCK GUARD_LOCK SYSTEM_USER pg_ctl … stop -m``.
"""

import fcntl
import os
import pwd
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

END_SECONDS = 10


def as_user(name: str | None) -> dict[str, Any]:
    """Return arguments for subprocess that drop root's rights in favour of ``name``."""
    if not name:
        return {}
    entry = pwd.getpwnam(name)
    return {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}


def stop(command: list[str], system_user: str | None) -> None:
    """Stop the server: connections are cut, data is checkpointed; where that takes too long, it recovers next time.

    One that does not even follow its last order, since it is frozen, is killed.
    """
    data = Path(command[command.index("-D") + 1])
    server = postmaster(data)
    if server is None:
        return
    for mode in ("fast", "immediate"):
        done = subprocess.run(
            [*command, mode],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd="/",
            check=False,
            **as_user(system_user),
        )
        if done.returncode == 0:
            break
    else:
        with suppress(ProcessLookupError):
            os.kill(server, signal.SIGKILL)
    # pg_ctl waits for the pid file to go, which the server removes shortly before it ends.
    limit = time.monotonic() + END_SECONDS
    while runs(server) and time.monotonic() < limit:
        time.sleep(0.01)
    clear_away(data)


def clear_away(data: Path) -> None:
    """Kill what a dead postmaster left behind, and remove its lock files; nothing where the postmaster lives.

    Most of its children leave by themselves, but one that computes, or is frozen, does not notice, and no new server
    starts beside the shared memory that it holds. Nor does one start while a lock file names a process that exists:
    that may be another one by now, or a dead one of which its parent takes no note.
    """
    import psutil  # noqa: PLC0415 - needed for a moment, in a process that lives as long as the server

    if postmaster(data) is not None:
        return
    left = []
    for process in psutil.process_iter():
        try:
            # Its programs work in the data directory; so may an operator's shell.
            if process.name() == "postgres" and Path(process.cwd()) == data:
                process.kill()
                left.append(process.pid)
        except (psutil.Error, OSError):
            continue  # ended meanwhile, or another user's
    limit = time.monotonic() + END_SECONDS
    while any(map(runs, left)) and time.monotonic() < limit:
        time.sleep(0.01)
    with suppress(OSError):  # no pid file: nothing names a process
        pid_file = data / "postmaster.pid"
        _, _, _, port, sockets, *_ = [*pid_file.read_text().split("\n"), *[""] * 5]
        if sockets:
            (Path(sockets) / f".s.PGSQL.{port}.lock").unlink(missing_ok=True)
        pid_file.unlink()


def postmaster(data: Path) -> int | None:
    """Return the pid of the server's first process if it lives, even when it is busy or frozen.

    The pid file of one that was killed stays, and its number may be another process's by now.
    """
    try:
        pid = int((data / "postmaster.pid").read_text().split("\n", 1)[0])
    except (OSError, ValueError):
        return None
    if not runs(pid):
        return None
    with suppress(OSError):  # not Linux, or hidden from this user
        if Path(f"/proc/{pid}/cwd").readlink() != data:
            return None
    return pid


def runs(pid: int) -> bool:
    """Return True if the process exists and is no zombie; in a container without an init, zombies may stay."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (OSError, IndexError):
        return not Path("/proc/self").exists()


def main(users_lock: str, guard_lock: str, system_user: str, *command: str) -> None:
    """Wait until no user is left, then stop the server. A second guard of the same server leaves at once."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        # A service manager may signal all processes at once: end only when the users have ended.
        signal.signal(number, signal.SIG_IGN)
    with Path(guard_lock).open("a") as guard, Path(users_lock).open("a") as users:
        try:
            fcntl.flock(guard, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print("ready", flush=True)  # noqa: T201 - the answer that the starter waits for
            return
        print("ready", flush=True)  # noqa: T201 - as above
        os.close(1)
        fcntl.flock(users, fcntl.LOCK_EX)
        stop(list(command), system_user or None)
        # The locks are released by the end of the process, not before: a waiter that gets them finds nothing running.
        os._exit(0)


if __name__ == "__main__":
    main(*sys.argv[1:])
