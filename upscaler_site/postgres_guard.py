"""Stops the embedded Postgres once nobody uses it any more, however its users ended.

Run as a script by embedded_postgres.py, with nothing but the standard library, since it lives as long as the server:
``postgres_guard.py USERS_LOCK GUARD_LOCK SYSTEM_USER pg_ctl … stop -m``.
"""

import fcntl
import os
import pwd
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

END_SECONDS = 10


def as_user(name: str | None) -> dict[str, Any]:
    """Arguments for subprocess that drop root's rights in favour of ``name``."""
    if not name:
        return {}
    entry = pwd.getpwnam(name)
    return {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}


def stop(command: list[str], system_user: str | None) -> None:
    """Stop the server: connections are cut, data is checkpointed; where that takes too long, it recovers next time."""
    server = _server_pid(Path(command[command.index("-D") + 1]))
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
    # pg_ctl waits for the pid file to go, which the server removes shortly before it ends.
    limit = time.monotonic() + END_SECONDS
    while _runs(server) and time.monotonic() < limit:
        time.sleep(0.01)


def _server_pid(data: Path) -> int | None:
    try:
        return int((data / "postmaster.pid").read_text().split("\n", 1)[0])
    except (OSError, ValueError):
        return None


def _runs(pid: int) -> bool:
    """Whether the process is there and no zombie, which nobody may reap where this container has no init."""
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
        # A service manager may signal everything at once; the users' end is what counts.
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
        # The locks go with the process, not before it: whoever waits for them finds nothing running.
        os._exit(0)


if __name__ == "__main__":
    main(*sys.argv[1:])
