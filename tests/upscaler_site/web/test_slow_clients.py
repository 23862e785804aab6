"""Callers who send or read slowly cost a socket each, for a while; the others never notice them."""

import io
import random
import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Self

import httpx
import psutil
import pytest
from PIL import Image

from modelstore.bells.interface import readable
from tests.eventually import eventually
from tests.upscaler_site.web.conftest import StartWeb, WebServer

HEAD = b"POST /api/v1/jobs?model=bundled-compact-x4 HTTP/1.1\r\nHost: localhost\r\nContent-Type: image/png\r\n"
#: More than the threads there are: MAX_WAITING_REQUESTS + SPARE_THREADS.
MANY = 60
THREADS = {"MAX_WAITING_REQUESTS": "20"}


@pytest.fixture(scope="module")
def server(start_web: StartWeb) -> WebServer:
    return start_web(REQUEST_HEADER_SECONDS="3", REQUIRE_API_KEY="0", **THREADS)


class Dripping:
    """Connections that send a little now and then, in a thread of its own."""

    def __init__(self, server: WebServer, count: int, first: bytes, piece: bytes, every: float) -> None:
        self.lines = [server.connect() for _ in range(count)]
        for line in self.lines:
            line.sendall(first)
        self._piece, self._every = piece, every
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._drip)
        self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self._thread.join()
        for line in self.lines:
            line.close()

    def _drip(self) -> None:
        while not self._end.wait(self._every):
            for line in self.lines:
                try:
                    line.sendall(self._piece)
                except OSError:
                    continue  # closed by the other side

    def held(self) -> int:
        """How many the server has neither answered nor closed."""
        return sum(not readable([line.fileno()], 0) for line in self.lines)

    def first_answer(self) -> bytes:
        """What the first of them was told."""
        return self.lines[0].recv(4096)


def live(server: WebServer) -> bool:
    return bool(httpx.get(f"{server.base_url}/api/v1/health/live", timeout=240).json() == {"alive": True})


def picture(side: int = 400) -> bytes:
    out = io.BytesIO()
    noise = random.Random(side).randbytes(side * side * 3)
    Image.frombytes("RGB", (side, side), noise).save(out, "PNG", compress_level=0)
    return out.getvalue()


def submitted(server: WebServer, content: bytes) -> str:
    """Submit a picture as anybody would; return the job's address."""
    with server.client() as client:
        answer = client.post("/api/v1/jobs", files={"image": content}, data={"model": "bundled-compact-x4"})
    assert answer.status_code == 202, answer.text
    return str(answer.headers["Location"])


def test_unfinished_headers_keep_nobody_out_and_are_closed(server: WebServer) -> None:
    with Dripping(server, MANY, HEAD, b"X", 0.5) as slow:
        assert live(server)
        submitted(server, picture())
        eventually(lambda: slow.held() == 0, seconds=60, say="the end of the last unfinished header")
        told = slow.first_answer()
        assert told.startswith(b"HTTP/1.1 408 ")
        assert b"after 3 s" in told


def test_a_connection_that_was_never_used_is_closed_without_a_word(server: WebServer) -> None:
    with server.connect() as line:
        assert line.recv(1) == b""


def test_a_second_header_has_its_deadline_too(server: WebServer) -> None:
    with server.connect() as line:
        line.sendall(b"GET /api/v1/health/live HTTP/1.1\r\nHost: localhost\r\n\r\nGET /")
        told = b""
        while piece := line.recv(4096):
            told += piece
    assert told.startswith(b"HTTP/1.1 200 ")


def test_unfinished_bodies_are_told_the_limit_and_honest_slow_ones_go_on(server: WebServer) -> None:
    unfinished = HEAD + b"Content-Length: 1000000\r\n\r\n"
    with ExitStack() as stack:
        stalled = stack.enter_context(Dripping(server, MANY, unfinished, b"x", 1))
        honest = stack.enter_context(Dripping(server, MANY, unfinished, b"x" * 4000, 1))
        assert live(server)
        submitted(server, picture())
        eventually(lambda: stalled.held() == 0, seconds=120, say="the end of the last unfinished body")
        assert honest.held() == MANY
        assert live(server)
        told = stalled.first_answer()
        assert told.startswith(b"HTTP/1.1 408 ")
        assert b"least rate is 1000 bytes per second" in told
        assert b'"code": "body_too_slow"' in told


def test_an_upload_that_breaks_off_leaves_nothing(server: WebServer) -> None:
    uploads = server.data_dir / "files" / "uploads"
    with server.connect() as line:
        line.sendall(HEAD + b"Content-Length: 3000000\r\n\r\n" + b"x" * 1_000_000)
        eventually(lambda: open_uploads(server) == 1, say="the file of the upload")
    eventually(lambda: open_uploads(server) == 0, say="the end of the upload's file")
    assert list(uploads.glob("*")) == []


def open_uploads(server: WebServer) -> int:
    """How many files without a name the server holds where uploads go."""
    files = [file for process in server.serving_processes() for file in process.open_files()]
    names = [name for process in server.serving_processes() for name in _links(process)]
    return sum("/uploads/" in name and name.endswith("(deleted)") for name in {*names, *(file.path for file in files)})


def _links(process: psutil.Process) -> Iterator[str]:
    from pathlib import Path

    for link in Path(f"/proc/{process.pid}/fd").iterdir():
        try:
            yield str(link.readlink())
        except OSError:
            continue


def memory(processes: list[psutil.Process]) -> int:
    return sum(process.memory_info().rss for process in processes)


@pytest.fixture(scope="module")
def quick(start_web: StartWeb) -> WebServer:
    """Callers must take 100 kB each second here, so that a stall is found after some 20 seconds."""
    return start_web(MIN_TRANSFER_BYTES_PER_SECOND="100000", MAX_UPLOAD_MB="200", **THREADS)


def test_readers_that_stall_hold_no_thread_and_little_memory_and_are_cut_off(quick: WebServer) -> None:
    large = picture(2200)  # 14 MB: more than the kernel takes into its buffers
    place = submitted(quick, large)
    processes = quick.serving_processes()
    before = memory(processes)
    with ExitStack() as stack:
        lines = [stack.enter_context(quick.connect(receive_buffer=4096)) for _ in range(MANY)]
        for line in lines:
            line.sendall(f"GET {place}/input HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        eventually(lambda: all(readable([line.fileno()], 0) for line in lines), say="the beginning of every answer")
        assert live(quick)
        with quick.client() as client:  # a reader of normal speed needs a thread, too
            assert client.get(f"{place}/input").content == large
        # Half a megabyte each covers the piece in the buffer, the piece on its way, and Python's own objects.
        assert memory(processes) - before < MANY * 500_000 + 20_000_000
        eventually(lambda: not any(_still_sent(line) for line in lines), seconds=120, every=1, say="the cut")


def _still_sent(line: socket.socket) -> bool:
    """Whether the connection is open on the server's side: it is reset where an answer was cut off."""
    state = line.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0]
    return state == 1  # TCP_ESTABLISHED


def test_a_large_upload_does_not_grow_the_process(quick: WebServer) -> None:
    size, processes = 100_000_000, quick.serving_processes()
    before = most = memory(processes)
    with quick.connect() as line:
        line.sendall(HEAD + b"Content-Length: %d\r\n\r\n" % size)
        for _ in range(size // 1_000_000):
            line.sendall(b"\0" * 1_000_000)
            most = max(most, memory(processes))
        assert line.recv(12) == b"HTTP/1.1 400"  # no picture
    most = max(most, memory(processes))
    assert most - before < size / 5, "it was held in memory"
