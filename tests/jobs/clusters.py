"""Real clusters, started as their supervisor starts them, in sessions of their own."""

import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from pathlib import Path

import psutil

from tests.eventually import eventually

REPOSITORY = Path(__file__).resolve().parent.parent.parent

ROLES = {
    "worker": re.compile(r"ready for work at (\d+)"),
    "pusher": re.compile(r"pushing tasks at (\d+)"),
    "monitor": re.compile(r"monitoring at (\d+)"),
}


class RunningCluster:
    """One `manage.py qcluster`. With ``supervised`` it is started again whenever it ends, as supervisord does."""

    def __init__(self, directory: Path, environment: Mapping[str, str], *, supervised: bool = False) -> None:
        self.log = directory / f"cluster-{time.monotonic_ns()}.log"
        self.environment = {**os.environ, **environment}
        self.starts = 0
        self._supervised = supervised
        self._lock = threading.Lock()
        self.process = self._start()
        if supervised:
            threading.Thread(target=self._supervise, daemon=True).start()

    def _start(self) -> "subprocess.Popen[bytes]":
        self.starts += 1
        with self.log.open("ab") as log:
            return subprocess.Popen(
                [sys.executable, "manage.py", "qcluster"],
                cwd=REPOSITORY,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def _supervise(self) -> None:
        while self._supervised:
            with self._lock:
                if self._supervised and self.process.poll() is not None:
                    self._kill_group()
                    self.process = self._start()
            time.sleep(0.2)

    def _kill_group(self) -> None:
        try:
            os.killpg(self.process.pid, signal.SIGKILL)
        except ProcessLookupError:
            return

    def output(self) -> str:
        return self.log.read_text(errors="replace")

    def members(self) -> list[psutil.Process]:
        """Every living process of it."""
        found = []
        for process in psutil.process_iter():
            try:
                if os.getsid(process.pid) == self.process.pid and process.status() != psutil.STATUS_ZOMBIE:
                    found.append(process)
            except (psutil.Error, ProcessLookupError, PermissionError):
                continue
        return found

    def pids(self, role: str) -> list[int]:
        """Living processes of a role: main, sentinel, worker, pusher, monitor."""
        if role == "main":
            return [self.process.pid] if self.process.poll() is None else []
        alive = {process.pid: process for process in self.members()}
        if role == "sentinel":
            return [pid for pid, process in alive.items() if _parent(process) == self.process.pid]
        return [pid for pid in map(int, ROLES[role].findall(self.output())) if pid in alive]

    def wait_ready(self, workers: int = 1) -> "RunningCluster":
        """Until its workers have loaded what they compute with."""
        eventually(
            lambda: self.output().count("worker computes") >= workers,
            seconds=240,
            say=f"start of {self.log.read_text()}",
        )
        return self

    def kill(self, role: str, number: int = signal.SIGKILL) -> int | None:
        """Send a signal to one process of a role; the pid, or None when there is none just now."""
        for pid in self.pids(role)[-1:]:
            try:
                os.kill(pid, number)
            except ProcessLookupError:
                return None
            return pid
        return None

    def terminate(self) -> None:
        """SIGTERM to the main process alone; it is not started again."""
        self._supervised = False
        self.process.send_signal(signal.SIGTERM)

    def wait(self, seconds: float = 60) -> int:
        return self.process.wait(seconds)

    def destroy(self) -> None:
        """End everything that is left of it."""
        with self._lock:
            self._supervised = False
            for process in self.members():
                try:
                    process.resume()
                except psutil.Error:
                    continue
            self._kill_group()
            self.process.wait(240)


def _parent(process: psutil.Process) -> int:
    try:
        return int(process.ppid())
    except psutil.Error:
        return 0
