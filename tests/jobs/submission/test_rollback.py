"""A submission that breaks off, at whatever point, leaves no file that no row names, and no row without its file."""

import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from django.db import OperationalError, connection
from pytest_django.fixtures import Settings

from jobs.models import Job
from jobs.storage import file_names, retention
from tests.eventually import eventually
from tests.jobs.clusters import REPOSITORY
from tests.jobs.conftest import stored_files

Submit = Callable[..., Job]

#: Submits a picture and dies at the point that is named.
DIES = """
import io, os, signal, sys
import django
django.setup()
from PIL import Image
from django.db import connections
from jobs.queue import dispatch
from jobs.storage import files
from jobs.models import Job
from jobs.options import JobOptions
from jobs.submission import submit as intake
from jobs.submission.request import Submission

def die(*_args, **_rest):
    os.kill(os.getpid(), signal.SIGKILL)

def after(owner, name):
    plain = getattr(owner, name)
    def then_die(*args, **rest):
        plain(*args, **rest)
        die()
    setattr(owner, name, then_die)

{
    "before the file has its name": lambda: setattr(files, "keep", die),
    "before the row is written": lambda: after(files, "keep"),
    "after the row is written": lambda: after(Job, "save"),
    "before the commit": lambda: after(dispatch, "ring"),
    "after the commit": lambda: after(type(connections["default"]), "_commit"),
}[sys.argv[1]]()
file = io.BytesIO()
Image.new("RGB", (24, 16)).save(file, "PNG")
file.seek(0)
intake.submit(file, Submission("tiny-x2", JobOptions()))
"""


def named_files() -> list[str]:
    return sorted(name for job in Job.objects.all() for name in file_names.names_of(job))


@pytest.mark.processes
@pytest.mark.parametrize(
    ("point", "committed"),
    [
        ("before the file has its name", False),
        ("before the row is written", False),
        ("after the row is written", False),
        ("before the commit", False),
        ("after the commit", True),
    ],
)
@pytest.mark.usefixtures("model")
def test_what_a_killed_process_leaves_is_found_by_the_clean_up_and_nothing_else(
    point: str, committed: bool, environment: dict[str, str], data_dir: Path
) -> None:
    plain = {"DJANGO_SETTINGS_MODULE": "upscaler_site.settings"}
    done = subprocess.run(
        [sys.executable, "-c", DIES, point],
        cwd=REPOSITORY,
        env=os.environ | environment | plain,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert Job.objects.count() == int(committed)
    left = set(stored_files(data_dir)) - set(named_files())
    assert committed or left
    assert retention.cleanup().orphans == 0, "a young file may belong to a row that comes yet"
    assert retention.cleanup(orphan_seconds=0).orphans == len(left)
    assert stored_files(data_dir) == named_files()
    assert bool(named_files()) == committed


class Between:
    """A server's socket that passes everything on, until it is told to lose a COMMIT, or the answer to one."""

    def __init__(self, directory: Path, server: str) -> None:
        self.loses: str = ""
        self.server = server
        self.listening = socket.socket(socket.AF_UNIX)
        self.listening.bind(str(directory / ".s.PGSQL.5432"))
        self.listening.listen()
        self.links: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self.listening.accept()
                server = socket.socket(socket.AF_UNIX)
                server.connect(self.server)
                self.links += [client, server]
                lost: set[str] = set()
                threading.Thread(target=self._pass, args=(client, server, lost, True), daemon=True).start()
                threading.Thread(target=self._pass, args=(server, client, lost, False), daemon=True).start()

    def _pass(self, source: socket.socket, target: socket.socket, lost: set[str], asks: bool) -> None:
        with suppress(OSError):
            while data := source.recv(65_536):
                if asks and b"COMMIT" in data:
                    lost |= {self.loses} - {""}
                if "question" in lost or (lost and not asks):
                    continue
                target.sendall(data)

    def cut(self) -> None:
        """Break every connection: the server rolls back then what was not committed."""
        while self.links:
            _close(self.links.pop())

    def end(self) -> None:
        """Take no more."""
        _close(self.listening)
        self.cut()


def _close(link: socket.socket) -> None:
    with suppress(OSError):
        link.shutdown(socket.SHUT_RDWR)
    link.close()


@pytest.fixture
def between(tmp_path: Path, transactional_db: None) -> Iterator[Between]:
    """This thread's connection goes through it; others go straight to the server."""
    values = connection.settings_dict
    if not str(values["HOST"]).startswith("/"):
        pytest.skip("DATABASE_URL names no Unix socket")
    made = Between(tmp_path, f"{values['HOST']}/.s.PGSQL.{values['PORT'] or 5432}")
    connection.close()
    connection.settings_dict = values | {"HOST": str(tmp_path)}
    yield made
    connection.close()
    connection.settings_dict = values
    made.end()


@contextmanager
def losing(between: Between, settings: Settings, what: str) -> Iterator[None]:
    """Nobody waits long for what gets lost."""
    usual = settings.DATABASE_TIMEOUT_SECONDS
    between.loses, settings.DATABASE_TIMEOUT_SECONDS = what, 1
    try:
        yield
    finally:
        between.loses, settings.DATABASE_TIMEOUT_SECONDS = "", usual
        connection.close()


def test_a_commit_whose_answer_is_lost_keeps_its_file(
    submit: Submit, data_dir: Path, between: Between, settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "jobs.submission.rollback")
    with losing(between, settings, "answer"), pytest.raises(OperationalError):
        submit()
    eventually(lambda: "settled committed=True" in caplog.text)
    assert Job.objects.count() == 1
    assert stored_files(data_dir) == named_files() != []


@pytest.mark.slow
def test_a_commit_that_never_arrives_leaves_no_file_once_its_transaction_is_over(
    submit: Submit, data_dir: Path, between: Between, settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "jobs.submission.rollback")
    with losing(between, settings, "question"), pytest.raises(OperationalError):
        submit()
    # The server has not heard that the client gave up: the row may come yet, so the file stays.
    with pytest.raises(AssertionError):
        eventually(lambda: "was settled" in caplog.text, seconds=3)
    assert len(stored_files(data_dir)) == 1
    between.cut()
    eventually(lambda: "settled committed=False" in caplog.text)
    assert not Job.objects.exists()
    assert stored_files(data_dir) == []


def test_a_database_that_falls_silent_before_the_commit_leaves_no_file(
    submit: Submit, data_dir: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No COMMIT was sent, so none can happen: this was taken for doubtful, and the input stayed as an orphan."""
    from jobs.queue import dispatch

    def never_answered() -> None:
        settings.DATABASE_TIMEOUT_SECONDS = 1
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_sleep(3600)")

    monkeypatch.setattr(dispatch, "ring", never_answered)
    with pytest.raises(OperationalError, match="no answer within"):
        submit()
    settings.DATABASE_TIMEOUT_SECONDS = 60
    connection.close()
    assert not Job.objects.exists()
    assert stored_files(data_dir) == []
