"""A real HTTP server on loopback that receives webhooks and misbehaves as asked, by path."""

import contextlib
import threading
from collections import Counter
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class Received:
    """One request as it came."""

    path: str
    headers: dict[str, str]
    body: bytes


@dataclass
class Receiver:
    """What it does, by path.

    ``/ok`` 200; ``/status/N`` N; ``/flaky/N`` 500 for the first N tries; ``/redirect`` 302 to /ok; ``/stall`` silence;
    ``/drip`` a byte of the headers now and then; ``/endless`` 200 with a body without end; ``/busy`` 503 with
    Retry-After; ``/odd-date`` 503 with a Retry-After that is no time; ``/garbage`` no HTTP; ``/hangup`` closes.
    """

    server: ThreadingHTTPServer
    requests: list[Received] = field(default_factory=list)
    released: threading.Event = field(default_factory=threading.Event)
    tries: Counter[str] = field(default_factory=Counter)

    @property
    def port(self) -> int:
        return int(self.server.server_address[1])

    def url(self, path: str = "/ok") -> str:
        return f"http://127.0.0.1:{self.port}{path}"

    def to(self, path: str) -> list[Received]:
        return [request for request in list(self.requests) if request.path == path]


def start_receiver() -> Receiver:
    """Start it; ``stop_receiver`` ends it."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    server.daemon_threads = True
    receiver = Receiver(server)
    server.receiver = receiver  # type: ignore[attr-defined]
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
    return receiver


def stop_receiver(receiver: Receiver) -> None:
    """Let go of everything that stalls, and stop."""
    receiver.released.set()
    receiver.server.shutdown()
    receiver.server.server_close()


class _Handler(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        receiver: Receiver = self.server.receiver  # type: ignore[attr-defined]
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        receiver.requests.append(Received(self.path, {k.lower(): v for k, v in self.headers.items()}, body))
        receiver.tries[self.path] += 1
        kind, _, number = self.path.strip("/").partition("/")
        with contextlib.suppress(OSError):  # the service hung up, as it should
            self._behave(receiver, kind, int(number) if number.isdecimal() else 0)

    def _behave(self, receiver: Receiver, kind: str, number: int) -> None:
        if kind == "status":
            self._answer(number, b"as asked")
        elif kind == "flaky":
            self._answer(500 if receiver.tries[self.path] <= number else 200, b"flaky\x00\xff")
        elif kind == "redirect":
            self.send_response(302)
            self.send_header("Location", receiver.url("/ok"))
            self.send_header("Content-Length", "0")
            self.end_headers()
        elif kind == "busy":
            self.send_response(503)
            self.send_header("Retry-After", "3600")
            self.send_header("Content-Length", "0")
            self.end_headers()
        elif kind == "odd-date":
            self.send_response(503)
            self.send_header("Retry-After", "Mon, 01 Jan 2024 00:00:00 +99999999999999999")
            self.send_header("Content-Length", "0")
            self.end_headers()
        elif kind == "stall":
            receiver.released.wait(240)
        elif kind == "drip":
            for letter in b"HTTP/1.1 200 OK\r\nX: " + b"x" * 10_000:
                if receiver.released.wait(0.05):
                    return
                self.wfile.write(bytes([letter]))
                self.wfile.flush()
        elif kind == "endless":
            self.send_response(200)
            self.end_headers()
            while not receiver.released.is_set():
                self.wfile.write(b"z" * 65_536)
        elif kind == "garbage":
            self.wfile.write(b"this is not HTTP\r\n\r\n")
        elif kind != "hangup":
            self._answer(200, b"thank you")

    def _answer(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: Any) -> None:
        """Quiet."""
