"""Object storages for tests: server processes of other people, each in memory or a directory of its own."""

import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest

#: What both servers take. S3RVER names the program of npm's s3rver, where it is not on the PATH.
KEY, SECRET = "S3RVER", "S3RVER"  # s3rver knows these only; moto takes any


class S3Server:
    """A server that can be killed and started again on the same port; its objects outlast that where it keeps them."""

    def __init__(self, kind: str, directory: Path) -> None:
        self.kind = kind
        self.directory = directory
        self.port = free_port()
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start and wait until it answers."""
        self.directory.mkdir(parents=True, exist_ok=True)
        with (self.directory / "log").open("ab") as log:
            self.process = subprocess.Popen(self._command(), stdout=log, stderr=log, cwd=self.directory)
        until = time.monotonic() + 60
        while not answers(self.url):
            if self.process.poll() is not None or time.monotonic() > until:
                pytest.fail(f"{self.kind} did not start: {(self.directory / 'log').read_text()[-1000:]}")
            time.sleep(0.05)

    def stop(self) -> None:
        """Kill it: whoever talks to it is cut off."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None

    def _command(self) -> list[str]:
        if self.kind == "moto":
            return [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(self.port)]
        program = s3rver()
        assert program is not None
        return [program, "-a", "127.0.0.1", "-p", str(self.port), "-d", str(self.directory / "objects"), "-s"]


def s3rver() -> str | None:
    """The program of s3rver, if it is here."""
    return os.environ.get("S3RVER") or shutil.which("s3rver")


def free_port() -> int:
    """A port that nobody listens on now."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


def answers(url: str) -> bool:
    """Whether a server speaks HTTP there."""
    try:
        urllib.request.urlopen(url, timeout=2)
    except urllib.error.HTTPError:
        return True
    except OSError:
        return False
    return True
