"""The embedded Postgres as other processes use it, and what runs for it."""

import os
import subprocess
import sys
from pathlib import Path

import psutil
import psycopg

HOLD = """import sys
from pathlib import Path
from upscaler_site.postgres.embedded import EmbeddedPostgres
server = EmbeddedPostgres(Path(sys.argv[1]))
print(server.acquire(), flush=True)
sys.stdin.read()
server.release()
"""


def processes_of(data_dir: Path) -> list[psutil.Process]:
    """Postmaster and guard of one data directory."""
    found = []
    for process in psutil.process_iter():
        try:
            words = process.cmdline()
        except psutil.Error:
            continue
        if any(str(data_dir) in word for word in words) and process.pid != os.getpid():
            found.append(process)
    return found


def select_one(url: str) -> bool:
    with psycopg.connect(url) as connection:
        return connection.execute("SELECT 1").fetchone() == (1,)


def holder(data_dir: Path) -> tuple[subprocess.Popen[str], str]:
    """Another process that uses the server until its standard input ends."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(data_dir)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    url = process.stdout.readline().strip()
    assert url.startswith("postgresql://")
    return process, url
