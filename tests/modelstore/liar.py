"""A real HTTP server on the loopback interface that serves files well, badly, and not at all, as told."""

import re
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Self

#: How one request is answered; gets the handler and the true content.
Behaviour = Callable[["Handler", bytes], None]


@dataclass
class Seen:
    """One request that arrived."""

    path: str
    headers: dict[str, str]
    method: str = "GET"


@dataclass
class Book:
    """What the server does. Behaviours of a path are used one per request; the last one stays."""

    files: dict[str, tuple[bytes, list[Behaviour]]] = field(default_factory=dict)
    requests: list[Seen] = field(default_factory=list)
    closing: threading.Event = field(default_factory=threading.Event)


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: "LiarServer"

    def do_GET(self) -> None:
        book = self.server.book
        book.requests.append(Seen(self.path, {key.lower(): value for key, value in self.headers.items()}, self.command))
        content, behaviours = book.files.get(self.path, (b"", [status(404)]))
        behaviour = behaviours.pop(0) if len(behaviours) > 1 else behaviours[0]
        try:
            behaviour(self, content)
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True

    def head(self, code: int, headers: dict[str, str]) -> None:
        self.send_response(code)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()

    def hang_up(self) -> None:
        self.close_connection = True

    def log_message(self, *args: object) -> None:
        pass

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", "0")))
        self.do_GET()


class LiarServer(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self) -> None:
        self.book = Book()
        super().__init__(("127.0.0.1", 0), Handler)


class Liar:
    """The server with its thread; a context manager."""

    def __init__(self) -> None:
        self._server = LiarServer()
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05})

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._server.book.closing.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    @property
    def requests(self) -> list[Seen]:
        return self._server.book.requests

    def put(self, path: str, content: bytes, *behaviours: Behaviour) -> str:
        """Serve ``content`` at ``path`` with these behaviours, well by default. Returns the URL."""
        self._server.book.files[path] = (content, list(behaviours) or [good])
        return self.url + path

    def asked(self, path: str) -> int:
        return sum(request.path == path for request in self.requests)


# --- Behaviours -------------------------------------------------------------------------------------------------------
def good(handler: Handler, content: bytes) -> None:
    """Honest, with ranges."""
    match = re.fullmatch(r"bytes=(\d+)-", handler.headers.get("Range", ""))
    start = int(match[1]) if match else 0
    if match and start >= len(content):
        handler.head(416, {"Content-Range": f"bytes */{len(content)}", "Content-Length": "0"})
        return
    headers = {"Content-Length": str(len(content) - start)}
    if match:
        headers["Content-Range"] = f"bytes {start}-{len(content) - 1}/{len(content)}"
    handler.head(206 if match else 200, headers)
    handler.wfile.write(content[start:])


def without_ranges(handler: Handler, content: bytes) -> None:
    handler.head(200, {"Content-Length": str(len(content))})
    handler.wfile.write(content)


def truncated(at: int) -> Behaviour:
    """Announces everything that was asked for, sends ``at`` bytes of it and hangs up."""

    def behave(handler: Handler, content: bytes) -> None:
        match = re.fullmatch(r"bytes=(\d+)-", handler.headers.get("Range", ""))
        start = int(match[1]) if match else 0
        headers = {"Content-Length": str(len(content) - start)}
        if match:
            headers["Content-Range"] = f"bytes {start}-{len(content) - 1}/{len(content)}"
        handler.head(206 if match else 200, headers)
        handler.wfile.write(content[start : start + at])
        handler.hang_up()

    return behave


def stalled(after: int) -> Behaviour:
    """Sends some bytes, then nothing more until the server closes."""

    def behave(handler: Handler, content: bytes) -> None:
        handler.head(200, {"Content-Length": str(len(content))})
        handler.wfile.write(content[:after])
        handler.wfile.flush()
        handler.server.book.closing.wait(240)
        handler.hang_up()

    return behave


def gated(after: int, gate: threading.Event) -> Behaviour:
    """Sends some bytes, and the rest when the gate opens."""

    def behave(handler: Handler, content: bytes) -> None:
        handler.head(200, {"Content-Length": str(len(content))})
        handler.wfile.write(content[:after])
        handler.wfile.flush()
        while not gate.wait(0.05):
            if handler.server.book.closing.is_set():
                handler.hang_up()
                return
        handler.wfile.write(content[after:])

    return behave


def trickle(block: int, pause: float) -> Behaviour:
    """Never silent for long, never done."""

    def behave(handler: Handler, content: bytes) -> None:
        handler.head(200, {"Content-Length": str(len(content))})
        for start in range(0, len(content), block):
            handler.wfile.write(content[start : start + block])
            handler.wfile.flush()
            if handler.server.book.closing.wait(pause):
                break
        handler.hang_up()

    return behave


def other_bytes(handler: Handler, content: bytes) -> None:
    """As long as the true file, but another one; honours ranges."""
    good(handler, bytes(byte ^ 0x55 for byte in content))


def announcing(length: int) -> Behaviour:
    """Lies about the length in the header."""

    def behave(handler: Handler, content: bytes) -> None:
        handler.head(200, {"Content-Length": str(length)})
        handler.wfile.write(content[:length])
        handler.hang_up()

    return behave


def endless(handler: Handler, content: bytes) -> None:
    """No length, and more and more bytes."""
    handler.head(200, {"Connection": "close"})
    while not handler.server.book.closing.is_set():
        handler.wfile.write(content or b"x" * 1024)


def wrong_range(handler: Handler, content: bytes) -> None:
    """Answers a range request with another range."""
    if "Range" not in handler.headers:
        truncated(len(content) // 2)(handler, content)
        return
    handler.head(206, {"Content-Length": "10", "Content-Range": f"bytes 0-9/{len(content)}"})
    handler.wfile.write(content[:10])


def login_page(handler: Handler, content: bytes) -> None:
    """What a captive portal answers."""
    page = b"<html>please log in</html>"
    handler.head(200, {"Content-Length": str(len(page)), "Content-Type": "text/html"})
    handler.wfile.write(page)


def gzipped(handler: Handler, content: bytes) -> None:
    import gzip

    body = gzip.compress(content)
    handler.head(200, {"Content-Length": str(len(body)), "Content-Encoding": "gzip"})
    handler.wfile.write(body)


def status(code: int, **headers: str) -> Behaviour:
    def behave(handler: Handler, content: bytes) -> None:
        handler.head(code, {"Content-Length": "0", **{k.replace("_", "-"): v for k, v in headers.items()}})

    return behave


def redirect(url: str) -> Behaviour:
    return status(302, Location=url)
