"""Runs one program for the supervisor and sees that nothing of it is left when it ends.

``python -m upscaler_site.process.launcher GRACE_SECONDS command …``. A django-q cluster and the web server are families
of processes, which misbehave in ways that a plain supervisor cannot mend (each seen by experiment):

- SIGTERM to the whole group hangs a cluster: the signal goes to the main process alone;
- a main process killed by -9 leaves its children running: the rest of the group is killed when the main one ends;
- a deaf cluster ignores SIGTERM: after the grace, the group is killed;
- a launcher killed by -9 leaves a whole family: on Linux the main process is told by the kernel, and what is still
  there when the launcher is started again is killed first;
- a supervisor killed by -9: the launcher stops its program;
- a cluster whose main process is frozen watches nobody and hears no signal: when its heartbeat stops, it is killed.
"""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from types import FrameType

import psutil

from jobs.queue.keepalive import VARIABLE, Listener
from upscaler_site.process import tree

POLL_SECONDS = 0.1
#: Seconds without a heartbeat after which a program that sends them is killed.
SILENT_SECONDS = 30.0


class Launcher:
    """One program's life."""

    def __init__(self, command: Sequence[str], grace_seconds: float) -> None:
        self.command = list(command)
        self.grace_seconds = grace_seconds
        self.parent = os.getppid()
        self.stopping = False

    def run(self) -> int:
        """Run the program to its end; return its exit code, or 0 where it was told to stop."""
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, self._asked_to_stop)
        self._clear_leftovers()
        if self.stopping:
            return 0
        heartbeat = Listener()
        main = subprocess.Popen(
            self.command,
            env={**os.environ, VARIABLE: str(heartbeat.write)},
            pass_fds=[heartbeat.write],
            process_group=0,
            preexec_fn=tree.dies_with_parent(),  # noqa: PLW1509 - no other thread runs here: Python is safe there
        )
        code = self._watch(main, heartbeat)
        with suppress(ProcessLookupError):
            os.killpg(main.pid, signal.SIGKILL)
        return 0 if self.stopping else code

    def _watch(self, main: subprocess.Popen[bytes], heartbeat: Listener) -> int:
        deadline: float | None = None
        beats, silent = False, 0.0
        while (code := main.poll()) is None:
            if heartbeat.heard():
                beats, silent = True, 0.0
            elif beats:  # the web server sends none: it watches its own processes
                silent += POLL_SECONDS  # not by the clock: this process did not listen while the machine slept
                if silent >= SILENT_SECONDS:
                    say(f"{self.command[-1]} (pid {main.pid}) has been silent for {SILENT_SECONDS:g} s: it is killed")
                    os.killpg(main.pid, signal.SIGKILL)
                    beats = False
            if self.stopping or os.getppid() != self.parent:
                self.stopping = True
                if deadline is None:
                    deadline = time.monotonic() + self.grace_seconds
                    main.terminate()
                elif time.monotonic() > deadline:
                    os.killpg(main.pid, signal.SIGKILL)
                    return main.wait()
            time.sleep(POLL_SECONDS)
        return code if code >= 0 else 128 - code

    def _clear_leftovers(self) -> None:
        """Wait for the family of a launcher that was killed, then kill what is left of it."""
        mark, name = os.environ.get(tree.SERVICE_MARK), os.environ.get(tree.PROGRAM_MARK)
        if not mark or not name:
            return
        limit = time.monotonic() + self.grace_seconds
        while not self.stopping:
            left = [process for process in tree.of_service(Path(mark), name) if not _is_ancestor(process)]
            if not left:
                return
            if time.monotonic() > limit:
                tree.kill(left)
                return
            psutil.wait_procs(left, timeout=0.5)

    def _asked_to_stop(self, _number: int, _frame: FrameType | None) -> None:
        self.stopping = True


def say(text: str) -> None:
    """Print a line for the log."""
    with suppress(OSError):
        print(text, file=sys.stderr, flush=True)  # noqa: T201 - as said


def _is_ancestor(process: psutil.Process) -> bool:
    """Return True if ``process`` started this one, such as a wrapper around the interpreter."""
    return process.pid in {ancestor.pid for ancestor in psutil.Process().parents()}


if __name__ == "__main__":
    sys.exit(Launcher(sys.argv[2:], float(sys.argv[1])).run())
