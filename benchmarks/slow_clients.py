"""Cost of slow and stalled callers to the web server: ``python -m benchmarks.slow_clients``.

Holds hundreds of sockets against a service, of its own or (``--port``) one that runs on this host, and meanwhile times
the liveness probe and an upload of normal speed. Prints one line per scenario, with the memory of the web server's
processes. The sockets of a scenario are closed before the next one begins.
"""

import argparse
import io
import os
import socket
import statistics
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

import httpx
import psutil
from PIL import Image

from tests.service import Service

HEADER = b"POST /api/v1/jobs?model=nothing HTTP/1.1\r\nHost: localhost\r\nContent-Type: image/png\r\n"


class Slow:
    """Many sockets that each send ``piece`` every ``every`` seconds, until they are closed by the other side."""

    def __init__(self, port: int, count: int, first: bytes, piece: bytes, every: float) -> None:
        self.sockets = [socket.create_connection(("127.0.0.1", port)) for _ in range(count)]
        for each in self.sockets:
            each.sendall(first)
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._drip, args=(piece, every), daemon=True)
        self._thread.start()

    def _drip(self, piece: bytes, every: float) -> None:
        while not self._end.wait(every):
            for each in self.sockets:
                try:
                    each.sendall(piece)
                except OSError:
                    continue

    def open(self) -> int:
        """Return how many the server has not closed."""
        left = 0
        for each in self.sockets:
            each.setblocking(False)
            try:
                left += each.recv(4096) != b""
            except BlockingIOError:
                left += 1
            except OSError:
                continue
            finally:
                each.setblocking(True)
        return left

    def close(self) -> None:
        """Let go of all."""
        self._end.set()
        self._thread.join()
        for each in self.sockets:
            each.close()


def server_memory(port: int) -> float:
    """Return the resident memory in MB of the processes that listen on ``port``, and of their children."""
    family: set[psutil.Process] = set()
    for process in psutil.process_iter():
        try:
            if any(
                each.laddr and each.laddr.port == port and each.status == "LISTEN" for each in process.net_connections()
            ):
                family |= {process, *process.children(recursive=True)}
        except psutil.Error:
            continue
    return sum(process.memory_info().rss for process in family) / 1e6


def live(port: int, seconds: float) -> str:
    """Call the liveness probe, each time on a connection of its own, for so long."""
    taken, missed, end = [], 0, time.monotonic() + seconds
    while time.monotonic() < end:
        begun = time.perf_counter()
        try:
            httpx.get(f"http://127.0.0.1:{port}/api/v1/health/live", timeout=5).raise_for_status()
            taken.append((time.perf_counter() - begun) * 1000)
        except httpx.HTTPError:
            missed += 1
        time.sleep(0.1)
    if not taken:
        return f"live: no answer ({missed} tries of 5 s)"
    times = f"live: median {statistics.median(taken):.0f} ms, worst {max(taken):.0f} ms"
    return f"{times}, {missed} of {missed + len(taken)} missed"


def upload(port: int, picture: bytes) -> str:
    """Submit a picture at normal speed (a dry run: the model is not there, and the whole body is read all the same)."""
    begun = time.perf_counter()
    try:
        answer = httpx.post(
            f"http://127.0.0.1:{port}/api/v1/jobs", files={"image": picture}, data={"model": "nothing"}, timeout=15
        )
    except httpx.HTTPError as error:
        return f"upload: {type(error).__name__}"
    return f"upload: {answer.status_code} after {(time.perf_counter() - begun) * 1000:.0f} ms"


def report(name: str, port: int, picture: bytes, seconds: float, more: Callable[[], str] = lambda: "") -> None:
    print(f"{name}: {live(port, seconds)}; {upload(port, picture)}; {server_memory(port):.0f} MB{more()}", flush=True)


def big_body(port: int, size: int) -> None:
    """Send ``size`` bytes in one upload and watch the server's memory."""
    before = most = server_memory(port)
    done = threading.Event()

    def watch() -> None:
        nonlocal most
        while not done.wait(0.1):
            most = max(most, server_memory(port))

    watcher = threading.Thread(target=watch)
    watcher.start()
    begun = time.perf_counter()
    with socket.create_connection(("127.0.0.1", port)) as line:
        line.sendall(HEADER + b"Content-Length: %d\r\nConnection: close\r\n\r\n" % size)
        piece = os.urandom(1_000_000)
        for _ in range(size // len(piece)):
            line.sendall(piece)
        status = line.recv(65_536)[9:12].decode()
    done.set()
    watcher.join()
    taken = time.perf_counter() - begun
    print(f"{size // 1_000_000} MB upload: {status} after {taken:.1f} s; memory {before:.0f}, at most {most:.0f} MB")


def request_rate(port: int, callers: int = 16, seconds: float = 5) -> None:
    """Count the small calls that ``callers`` get through."""
    counts, end = [0] * callers, time.monotonic() + seconds

    def call(number: int) -> None:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}") as client:
            while time.monotonic() < end:
                client.get("/api/v1/health/live").raise_for_status()
                counts[number] += 1

    threads = [threading.Thread(target=call, args=(number,)) for number in range(callers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    print(f"{callers} callers in turn: {sum(counts) / seconds:.0f} requests/s (callers share the processor)")


def stalled_readers(port: int, path: str, picture: bytes, count: int, seconds: float) -> None:
    """Ask for a large answer many times and read nothing of it."""
    request = f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()
    lines = []
    for _ in range(count):
        line = socket.socket()
        line.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        line.connect(("127.0.0.1", port))
        line.sendall(request)
        lines.append(line)
    time.sleep(3)
    report(f"{count} stalled readers of {path.rpartition('/')[2]}", port, picture, seconds)
    for line in lines:
        line.close()


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, help="of a service that runs already")
    parser.add_argument("--large", default="", help="path of a large answer, such as /api/v1/jobs/…/input")
    parser.add_argument("--seconds", type=float, default=8)
    parser.add_argument("--megabytes", type=int, default=400)
    given = parser.parse_args()
    picture = io.BytesIO()
    Image.effect_noise((1200, 900), 80).save(picture, "PNG")
    if given.port:
        measure(given.port, picture.getvalue(), given)
        return
    with tempfile.TemporaryDirectory() as place:
        Path(place).chmod(0o755)
        service = Service(Path(place) / "data")
        service.start()
        try:
            measure(service.port, picture.getvalue(), given)
        finally:
            service.stop()


def measure(port: int, picture: bytes, given: argparse.Namespace) -> None:
    """Run every scenario."""
    report("nobody slow", port, picture, given.seconds)
    request_rate(port)
    big_body(port, given.megabytes * 1_000_000)
    for name, count, first, piece, every in (
        ("230 unfinished headers, a byte each 5 s", 230, HEADER, b"X", 5.0),
        ("230 unfinished bodies, a byte each 5 s", 230, HEADER + b"Content-Length: 1000000\r\n\r\n", b"x", 5.0),
        ("217 honest slow uploads, 2 kB/s", 217, HEADER + b"Content-Length: 1000000\r\n\r\n", b"x" * 1000, 0.5),
    ):
        slow = Slow(port, count, first, piece, every)
        report(name, port, picture, given.seconds, lambda slow=slow: f"; {slow.open()} open")  # type: ignore[misc]  # bound to this turn
        if every > 1:
            begun = time.monotonic()
            while slow.open() and time.monotonic() - begun < 30:
                time.sleep(0.5)
            print(f"    {slow.open()} of them open {time.monotonic() - begun + given.seconds:.0f} s after they began")
        slow.close()
    if given.large:
        stalled_readers(port, given.large, picture, 230, given.seconds)


if __name__ == "__main__":
    main()
