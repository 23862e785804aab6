"""A second service of this installation for a proof: its own directory, database and port, and nothing of the first."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

import httpx
import psutil
from django.conf import settings

#: What the second service takes over from the environment: how to compute, and what programs need to run at all.
_NAMES = frozenset({
    "DEVICE", "PRECISION", "ENGINE_BACKEND", "MODEL_MEMORY_MB", "PIPELINE_MEMORY_MB", "GPU_WORKERS",
    "PATH", "HOME", "USER", "TMPDIR", "LANG", "TZ", "VIRTUAL_ENV", "LD_LIBRARY_PATH",
})  # fmt: skip
_BEGINNINGS = ("LC_", "PYTHON", "CUDA_", "NVIDIA_", "HIP_", "ROCR_", "HSA_", "ONEAPI_", "ZE_", "VK_", "OMP_", "MKL_")

#: Seconds for its start, with a database to make; and for its end.
_START_SECONDS, _STOP_SECONDS = 300.0, 60.0


class Failed(Exception):
    """The second service did not do what it must; the message says what."""


class ScratchService:
    """It runs within a ``with`` block, and nothing of its processes is left after it.

    :raises Failed: on entry, when it does not become ready.
    """

    def __init__(self, scratch: Path) -> None:
        """:param scratch: an empty directory, the caller's to delete."""
        self.data, self._log = scratch / "data", scratch / "log"
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = int(probe.getsockname()[1])
        self.base_url = f"http://127.0.0.1:{port}"
        taken = {name: value for name, value in os.environ.items() if name in _NAMES or name.startswith(_BEGINNINGS)}
        self._environment = taken | {
            "UPSCALER_DATA_DIR": str(self.data), "PORT": str(port), "REQUIRE_API_KEY": "1", "REUSE_RESULTS": "0",
            "MIN_FREE_DISK_MB": "0", "JOB_LEASE_SECONDS": "5", "SWEEP_SECONDS": "1", "JOB_MAX_ATTEMPTS": "10",
        }  # fmt: skip
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "upscaler_site.serve"],
                cwd=settings.BASE_DIR, env=self._environment, stdin=subprocess.DEVNULL, stdout=log,
                stderr=subprocess.STDOUT, start_new_session=True,
            )  # fmt: skip
        try:
            self._wait_ready(self._process)
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end()

    def _wait_ready(self, process: "subprocess.Popen[bytes]") -> None:
        until = time.monotonic() + _START_SECONDS
        while time.monotonic() < until:
            if process.poll() is not None:
                raise Failed(f"it ended with {process.returncode}: {self.last_words()}")
            with suppress(httpx.TransportError):
                if httpx.get(f"{self.base_url}/api/v1/health/ready", timeout=30, trust_env=False).is_success:
                    return
            time.sleep(0.3)
        raise Failed(f"it was not ready within {_START_SECONDS:.0f} s: {self.last_words()}")

    def key(self, name: str) -> str:
        """Make an API key of that name, and return its secret."""
        made = subprocess.run(
            [sys.executable, "-m", "upscaler_site.manage", "create_api_key", name, "--quiet"],
            cwd=settings.BASE_DIR, env=self._environment, capture_output=True, text=True, timeout=120, check=False,
        )  # fmt: skip
        if made.returncode:
            raise Failed(f"it made no key: {made.stderr.strip()[-300:]}")
        return made.stdout.strip()

    def inference(self) -> list[psutil.Process]:
        """Return the processes of its cluster that upscales: the main process, and all below it."""
        return [
            process for process in self._below() if _environment(process).get("Q_CLUSTER_NAME") == "gpu"
            and "qcluster" in _words(process)
        ]  # fmt: skip

    def files(self) -> list[Path]:
        """Return its stored files of jobs."""
        kept = ("inputs", "results", "previews", "pyramids")
        return [path for path in (self.data / "files").rglob("*") if path.is_file() and path.parts[-3] in kept]

    def last_words(self) -> str:
        """Return the end of its log, in one line."""
        return " | ".join(self._log.read_text(errors="replace").splitlines()[-5:])[-600:]

    def _below(self) -> Iterator[psutil.Process]:
        if self._process is not None:
            with suppress(psutil.Error):
                yield from psutil.Process(self._process.pid).children(recursive=True)

    def _end(self) -> None:
        assert self._process is not None
        family = [*self._below()]
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(_STOP_SECONDS)
        _, left = psutil.wait_procs(family, timeout=5)
        for process in left:
            with suppress(psutil.Error):
                process.kill()
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait()


def _environment(process: psutil.Process) -> dict[str, str]:
    try:
        return dict(process.environ())
    except psutil.Error:  # it ended meanwhile
        return {}


def _words(process: psutil.Process) -> list[str]:
    try:
        return list(process.cmdline())
    except psutil.Error:  # as above
        return []
