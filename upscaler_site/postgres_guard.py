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
from pathlib import Path
from typing import Any


def as_user(name: str | None) -> dict[str, Any]:
    """Arguments for subprocess that drop root's rights in favour of ``name``."""
    if not name:
        return {}
    entry = pwd.getpwnam(name)
    return {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}


def stop(command: list[str], system_user: str | None) -> None:
    """Stop the server: connections are cut, the data is checkpointed; where that takes too long, it recovers next time."""
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
            return


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
        print("ready", flush=True)  # noqa: T201
        os.close(1)
        fcntl.flock(users, fcntl.LOCK_EX)
        stop(list(command), system_user or None)


if __name__ == "__main__":
    main(*sys.argv[1:])
