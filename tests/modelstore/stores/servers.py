"""Object storages for tests: server processes of other people, each in memory or a directory of its own."""

import os
import shutil
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

import pytest
from pytest_django.fixtures import Settings

from modelstore.stores import s3_client
from tests.eventually import eventually
from tests.ports import free_port

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
        eventually(self._answers, say=f"{self.kind}'s first answer")

    def _answers(self) -> bool:
        if self.process is not None and self.process.poll() is not None:
            pytest.fail(f"{self.kind} ended: {(self.directory / 'log').read_text()[-1000:]}")
        return answers(self.url)

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


def answers(url: str) -> bool:
    """Whether a server speaks HTTP there."""
    try:
        urllib.request.urlopen(url, timeout=30)
    except urllib.error.HTTPError:
        return True
    except OSError:
        return False
    return True


#: Seconds for an answer in fair weather: on a busy machine one may take several.
PATIENCE = 60.0


def be_patient(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """Give the storage's every answer a minute."""
    settings.STORAGE_TIMEOUT_SECONDS = PATIENCE
    for name in ("PROBE_SECONDS", "DELETE_SECONDS"):
        monkeypatch.setattr(s3_client, name, PATIENCE)
