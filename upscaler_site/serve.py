"""``python -m upscaler_site.serve``: the whole service in the foreground; ``--only gpu`` one part of it.

This process prepares (database, tables, static files), runs supervisord below itself and passes its output on. When it
is told to stop it stops everything, the embedded Postgres included, and sees that no process of the service is left.
"""

import argparse
import fcntl
import os
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from types import FrameType

import django
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.core.management import CommandError, call_command
from django.db import OperationalError, connections

from upscaler_site.conf import data_directory
from upscaler_site.postgres.embedded import EmbeddedPostgres, is_wanted
from upscaler_site.postgres.for_command import use
from upscaler_site.postgres.server import EmbeddedPostgresError
from upscaler_site.postgres.supervisor import PostgresSupervisor
from upscaler_site.process import bind_address, gpus, programs, tree, utf8_mode
from upscaler_site.process.banner import announce
from upscaler_site.process.bind_address import CannotListen

PARTS = ("web", "gpu", "io")

#: Beyond STOP_GRACE_SECONDS; the layers below have given up by then (programs.py).
STOP_MARGIN_SECONDS = 4


class CannotServe(Exception):
    """The service cannot start; the message says why and what to do."""


class Service:
    """One running service, from its lock to its last process."""

    def __init__(self, parts: Sequence[str]) -> None:
        """``parts`` are some of PARTS."""
        self.parts = parts
        self.supervisor: subprocess.Popen[bytes] | None = None
        self.mark: Path | None = None
        self.signals = 0
        self.failure = ""

    def stopping(self) -> bool:
        """True once a signal came."""
        return self.signals > 0

    def run(self) -> int:
        """Serve until told to stop; return the exit code: 0 where that was asked for."""
        with ExitStack() as stack:
            run_dir = self.mark = self._claim(stack)
            # Remove what a killed service left behind: the lock proves that no other service owns it.
            tree.kill(tree.of_service(run_dir))
            if "web" in self.parts:
                bind_address.check(settings.LISTEN_ADDRESS, settings.PORT)
            server = EmbeddedPostgres(settings.DATA_DIR) if is_wanted() else None
            if server is not None:
                use(stack.enter_context(server))
            # From here on a signal shuts the service down gracefully; before, Python's KeyboardInterrupt ends it.
            for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
                signal.signal(number, self._asked_to_stop)
            if "web" in self.parts:
                self._prepare()
            if self.stopping():
                return 0
            try:
                self._start(run_dir)
                if server is not None:
                    stack.enter_context(PostgresSupervisor(server, self._fail))
                self._relay()
            finally:
                self._end()
        if self.failure:
            say(f"Error: {self.failure}")
            return 1
        if self.stopping():
            return 0
        say("The supervisor ended by itself; everything else was stopped.")
        return 1

    def _claim(self, stack: ExitStack) -> Path:
        """Return the directory for configuration and pid files; refuse a second service on the same data."""
        data_directory.prepare(settings.DATA_DIR)
        if "web" not in self.parts:
            # Worker-only hosts may share a data directory: each gets a run directory of its own.
            return Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="upscaler-run-")))
        run_dir: Path = settings.DATA_DIR / "run"
        run_dir.mkdir(exist_ok=True)
        lock = stack.enter_context(lock_file(settings.DATA_DIR).open("a+"))
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.seek(0)
            raise CannotServe(
                f"a service already runs on {settings.DATA_DIR} ({lock.read().strip()}). Stop it, or give this one "
                "its own data: UPSCALER_DATA_DIR=… PORT=… make run"
            ) from None
        lock.truncate(0)
        lock.write(f"pid {os.getpid()}, port {settings.PORT}")
        lock.flush()
        return run_dir

    def _prepare(self) -> None:
        """Bring tables and static files up to date."""
        data_directory.prepare(settings.MEDIA_ROOT, "FILES_DIR")
        try:
            call_command("migrate", interactive=False, verbosity=0)
            call_command("collectstatic", interactive=False, verbosity=0)
        except (OperationalError, CommandError) as error:
            raise CannotServe(f"cannot prepare the database or the static files: {error}") from error
        finally:
            connections.close_all()

    def _start(self, run_dir: Path) -> None:
        wanted: list[programs.Program] = []
        if "web" in self.parts:
            wanted.append(programs.web())
        if "gpu" in self.parts:
            cards = gpus.assignments(gpus.visible_gpus(), settings.DEVICE, settings.GPU_WORKERS)
            wanted += programs.inference_clusters(cards)
        if "io" in self.parts:
            wanted.append(programs.cluster("io", "io"))
        configuration = run_dir / "supervisord.conf"
        configuration.write_text(
            programs.configuration(
                wanted, run_dir=run_dir, base_dir=settings.BASE_DIR, grace_seconds=settings.STOP_GRACE_SECONDS
            )
        )
        self.supervisor = subprocess.Popen(
            [sys.executable, "-m", "supervisor.supervisord", "--nodaemon", "--configuration", str(configuration)],
            cwd=settings.BASE_DIR,
            env={**os.environ, tree.SERVICE_MARK: str(run_dir), "PYTHONUNBUFFERED": "1"},
            stdin=subprocess.DEVNULL,
            # A pipe, whatever our own output is: supervisord opens /dev/fd/1 by name, which fails where it is a socket.
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            # A session of its own: Ctrl-C reaches this process alone, which then stops the others in order.
            start_new_session=True,
            preexec_fn=tree.dies_with_parent(),  # noqa: PLW1509 - no other thread runs yet
        )
        if "web" in self.parts:
            threading.Thread(target=announce, args=(lambda: self.signals == 0,), daemon=True).start()

    def _relay(self) -> None:
        """Pass on what the programs print until the supervisor has ended."""
        if self.supervisor is None or self.supervisor.stdout is None:
            return
        if self.stopping():  # it came while the supervisor was being started
            self.supervisor.terminate()
        while chunk := os.read(self.supervisor.stdout.fileno(), 65_536):
            # The reader of our output may have gone; the service does not end for that.
            with suppress(OSError):
                sys.stdout.buffer.write(chunk)
                sys.stdout.buffer.flush()
        self.supervisor.wait()

    def _asked_to_stop(self, _number: int, _frame: FrameType | None) -> None:
        """Begin to stop. Asked again, or when time is up, kill what is left."""
        self.signals += 1
        if self.supervisor is None or self.mark is None:
            return
        if self.signals == 1:
            say("Stopping …" if self.parts == PARTS else f"Stopping {', '.join(self.parts)} …")
            self.supervisor.terminate()
            signal.signal(signal.SIGALRM, self._asked_to_stop)
            signal.alarm(settings.STOP_GRACE_SECONDS + STOP_MARGIN_SECONDS)
        else:
            tree.kill(tree.of_service(self.mark), wait_seconds=1)

    def _fail(self, why: str) -> None:
        """End with an error: what the service stands on cannot be had any more."""
        self.failure = why
        if self.supervisor is not None:
            self.supervisor.terminate()

    def _end(self) -> None:
        """Leave no process behind, whatever happened."""
        signal.alarm(0)
        if self.supervisor is not None and self.supervisor.poll() is None:
            self.supervisor.terminate()
            with suppress(subprocess.TimeoutExpired):
                self.supervisor.wait(settings.STOP_GRACE_SECONDS + STOP_MARGIN_SECONDS)
        if self.mark is not None:
            tree.kill(tree.of_service(self.mark))


def lock_file(data_dir: Path) -> Path:
    """Return the path of the lock file that a running service holds on its data directory."""
    return data_dir / "run" / "serve.lock"


def check_before_settings(parts: Sequence[str]) -> None:
    """Refuse a port that is taken before anything is created: already the settings make secrets in the data directory.

    Where a service ran before, its leftovers may hold the port, and one that still runs is the better thing to name:
    `Service.run` asks again after it has claimed that data.
    """
    if "web" in parts and not lock_file(data_directory.chosen()).exists():
        bind_address.check(bind_address.listen_address(), bind_address.port())


def say(text: str) -> None:
    """Print a line for the person at the terminal, who may have gone."""
    with suppress(OSError):
        print(text, file=sys.stderr, flush=True)  # noqa: T201 - as said


def main(arguments: Sequence[str] | None = None) -> int:
    """Parse the command line and serve."""
    utf8_mode.ensure()
    parser = argparse.ArgumentParser(prog="python -m upscaler_site.serve", description=__doc__)
    parser.add_argument("--only", choices=PARTS, help="run one part: web, the inference clusters, or the io cluster")
    options = parser.parse_args(arguments)
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "upscaler_site.settings")
    # A shell script starts its background commands with SIGINT ignored; this service ends on it all the same.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        parts = [options.only] if options.only else PARTS
        check_before_settings(parts)
        django.setup()
        return Service(parts).run()
    except (CannotServe, CannotListen, EmbeddedPostgresError, ImproperlyConfigured) as error:
        say(f"Error: {error}")
        return 1
    except OSError as error:
        say(f"Error: {data_directory.named(error, data_directory.chosen())}")
        return 1
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main())
