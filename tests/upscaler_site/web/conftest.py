"""A service without workers, and bytes on a socket as no HTTP library would send them."""

import contextlib
import re
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Self

import psutil
import pytest

from tests.service import Service

StartWeb = Callable[..., "WebServer"]


class WebServer(Service):
    """The web server and its database alone: pictures are accepted, nobody upscales them."""

    def __init__(self, data_dir: Path, environment: dict[str, str]) -> None:
        super().__init__(data_dir, environment)
        self.command = [*self.command, "--only", "web"]

    def connect(self, *, receive_buffer: int = 0) -> socket.socket:
        """Open a connection, with a small receive buffer where one is asked for."""
        line = socket.socket()
        if receive_buffer:
            line.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        line.settimeout(120)
        line.connect(("127.0.0.1", self.port))
        return line

    def serving_processes(self) -> list[psutil.Process]:
        """The processes that answer requests, without the one that watches over them."""
        found = []
        for process in self.processes():
            with contextlib.suppress(psutil.NoSuchProcess):  # it was just killed, and is a zombie at most
                words = " ".join(process.cmdline())
                if "multiprocessing.spawn" in words and "spawn_main" in words:
                    found.append(process)
        return found


class Line:
    """One connection and what was read of it."""

    def __init__(self, server: WebServer) -> None:
        self.socket = server.connect()
        self._read = b""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def ask(self, head: bytes, body: bytes = b"") -> tuple[int, dict[bytes, bytes], bytes]:
        """Send a request, whose head lacks only its Host and last empty line, and read one answer."""
        self.socket.sendall(head.rstrip(b"\r\n") + b"\r\nHost: localhost\r\n\r\n" + body)
        return self.answer()

    def answer(self) -> tuple[int, dict[bytes, bytes], bytes]:
        """Read one answer: status, header with names in small letters, body by its Content-Length."""
        while b"\r\n\r\n" not in self._read:
            self._more()
        head, _, self._read = self._read.partition(b"\r\n\r\n")
        first, *lines = head.split(b"\r\n")
        fields = dict(re.split(rb":\s*", line, maxsplit=1) for line in lines)
        fields = {name.lower(): value for name, value in fields.items()}
        length = int(fields.get(b"content-length", b"0"))
        while len(self._read) < length:
            self._more()
        body, self._read = self._read[:length], self._read[length:]
        return int(first.split()[1]), fields, body

    def ended(self) -> bool:
        """Wait until the other side closes; False where it sends something instead."""
        try:
            return self._read == b"" and self.socket.recv(1) == b""
        except ConnectionResetError:
            return True

    def _more(self) -> None:
        piece = self.socket.recv(65_536)
        if not piece:
            raise AssertionError(f"the connection ended after {self._read!r}")
        self._read += piece


@pytest.fixture(scope="session")
def start_web(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StartWeb]:
    """A function that starts a web server with variables of your choice."""
    started: list[WebServer] = []

    def start(**environment: str) -> WebServer:
        server = WebServer(tmp_path_factory.mktemp("web") / "data", environment)
        started.append(server)
        server.start()
        return server

    yield start
    try:
        for server in started:
            server.stop()
    finally:
        for server in started:
            server.kill()


@pytest.fixture(scope="session")
def web(start_web: StartWeb) -> WebServer:
    """One web server for all tests that only call it. Small limits, so that going beyond them is quick."""
    return start_web(MAX_UPLOAD_MB="2", ACCESS_LOG="1", LOG_FORMAT="json")
