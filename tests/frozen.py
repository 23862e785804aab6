"""Freezing and killing the embedded Postgres of a data directory."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil


def postmaster(data_dir: Path) -> psutil.Process:
    """The server's first process; the one that is named by its pid file, living or dead."""
    pid_file = data_dir / "postgres" / "data" / "postmaster.pid"
    return psutil.Process(int(pid_file.read_text().split("\n", 1)[0]))


@contextmanager
def frozen(data_dir: Path) -> Iterator[None]:
    """SIGSTOP for every process of the server, SIGCONT at the end."""
    first = postmaster(data_dir)
    stopped = []
    try:
        # The first one first: it starts no more children then.
        for process in [first, *first.children()]:
            process.suspend()
            stopped.append(process)
        for process in set(first.children()) - set(stopped):
            process.suspend()
            stopped.append(process)
        yield
    finally:
        for process in stopped:
            try:
                process.resume()
            except psutil.NoSuchProcess:
                continue
