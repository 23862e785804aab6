"""The cost of one message to its server while many processes listen: Postgres' NOTIFY beside Redis' PUBLISH.

    python -m benchmarks.bells [--listeners 0 20 100] [--messages 2000]

Each server is one of its own. Messages go one after the other, each in the statement or command that the service sends;
the listeners are connections that another process reads. Prints messages a second and milliseconds of the server's
processor for each.
"""

import argparse
import os
import select
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import psutil
import psycopg
import redis

from benchmarks.dispatch import _seconds, redis_in
from modelstore.bells.postgres import _NOTIFY
from upscaler_site.postgres.embedded import EmbeddedPostgres


def listen(kind: str, address: str, count: int) -> None:
    """Hold so many listening connections and read them, until standard input ends."""
    held = [_postgres(address) if kind == "postgres" else _redis(address) for _ in range(count)]
    poll = select.poll()
    for file in [sys.stdin.fileno(), *(file for _, file in held)]:
        poll.register(file, select.POLLIN)
    print("ready", flush=True)
    while True:
        for file, _event in poll.poll():
            if file == sys.stdin.fileno():
                return
            os.read(file, 65_536)


def _postgres(address: str) -> tuple[object, int]:
    connection = psycopg.connect(address, autocommit=True)
    connection.execute("LISTEN bell")
    return connection, connection.fileno()


def _redis(address: str) -> tuple[object, int]:
    line = socket.socket(socket.AF_UNIX)
    line.connect(address.removeprefix("unix://"))
    line.sendall(b"SUBSCRIBE bell\r\n")
    return line, line.fileno()


def measure(kind: str, address: str, server: psutil.Process, listeners: int, messages: int) -> tuple[float, float]:
    """Return messages a second, and milliseconds of the server's processor for each."""
    ears = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.bells", "--listen", kind, address, str(listeners)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    )  # fmt: skip
    assert ears.stdin
    assert ears.stdout
    ears.stdout.readline()
    send: Callable[[], object]
    if kind == "postgres":
        send = partial(psycopg.connect(address, autocommit=True).execute, _NOTIFY, ["bell", "gpu"])
    else:
        send = partial(redis.Redis.from_url(address, protocol=2).publish, "bell", "gpu")
    send()
    cpu, at = _seconds(server), time.monotonic()
    for _ in range(messages):
        send()
    passed = time.monotonic() - at
    cost = 1000 * (_seconds(server) - cpu) / messages
    ears.stdin.close()
    ears.wait(30)
    return messages / passed, cost


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--listeners", type=int, nargs="+", default=[0, 20, 100])
    parser.add_argument("--messages", type=int, default=2000)
    parser.add_argument("--listen", nargs=3, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.listen:
        listen(arguments.listen[0], arguments.listen[1], int(arguments.listen[2]))
        return
    with tempfile.TemporaryDirectory(prefix="upscaler-bench-") as name:
        scratch = Path(name)
        scratch.chmod(0o755)
        broker = redis_in(scratch)
        settings = {"max_connections": str(max(arguments.listeners) + 20)}
        with EmbeddedPostgres(scratch / "database", settings) as url:
            pid = int((scratch / "database" / "postgres" / "data" / "postmaster.pid").read_text().split()[0])
            sides = [("postgres", url, pid), ("redis", f"unix://{scratch}/redis.sock", broker.pid)]
            for listeners in arguments.listeners:
                for kind, address, server in sides:
                    rate, cost = measure(kind, address, psutil.Process(server), listeners, arguments.messages)
                    print(
                        f"{listeners:4} listen  {kind:9}{rate:8.0f} messages a second, {cost:6.3f} ms of its processor"
                    )
        broker.terminate()
        broker.wait()


if __name__ == "__main__":
    main()
