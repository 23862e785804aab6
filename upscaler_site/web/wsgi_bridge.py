"""Answers one request through a WSGI application, in threads that are held only while the application runs.

What a general bridge cannot do: the body is a file that is complete already; an answer goes out from the event loop,
so that a caller who takes it slowly holds no thread; and the application can ask whether the caller is still there.
"""

import asyncio
import contextvars
import io
import sys
import threading
from collections.abc import Awaitable, Callable, Iterable, Iterator
from concurrent.futures import Executor
from http import HTTPStatus
from typing import IO, Any
from urllib.parse import unquote_to_bytes

from django.conf import settings
from django.http import FileResponse

from jobs.progress.disconnect import HAS_LEFT
from upscaler_site.logs.access_log import Message, Send

_LOOPBACK = ("127.0.0.1", "::1")
#: Bytes per piece: each costs a switch of threads, and waits in memory while a slow caller reads.
_PIECE_BYTES = 64 * 1024
_WITHOUT_BODY = (HTTPStatus.NO_CONTENT, HTTPStatus.NOT_MODIFIED)

Application = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]


def environ_for(scope: Message, body: IO[bytes] | None, *, path: bytes, script_name: str) -> dict[str, Any]:
    """Return the WSGI environ (PEP 3333) of an ASGI request.

    :param body: complete, at its beginning; None where nothing of it shall be read.
    :param path: below ``script_name``, percent-encoded. Both come from our settings and the request line: no header
        becomes anything but an HTTP_ variable.
    """
    body = body or io.BytesIO()
    size = body.seek(0, io.SEEK_END)
    body.seek(0)
    environ: dict[str, Any] = {
        "REQUEST_METHOD": scope["method"],
        "SCRIPT_NAME": script_name,
        "PATH_INFO": unquote_to_bytes(path).decode("latin-1"),
        "QUERY_STRING": scope["query_string"].decode("latin-1"),
        "SERVER_PROTOCOL": f"HTTP/{scope['http_version']}",
        "CONTENT_LENGTH": str(size),
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": _scheme(scope),
        "wsgi.input": body,
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": True,
        "wsgi.multiprocess": True,
        "wsgi.run_once": False,
    }
    host, port = scope.get("server") or ("localhost", 80)
    environ["SERVER_NAME"], environ["SERVER_PORT"] = host, str(port or 0)
    if scope.get("client"):
        environ["REMOTE_ADDR"], environ["REMOTE_PORT"] = scope["client"][0], str(scope["client"][1])
    for raw_name, raw_value in scope["headers"]:
        name = raw_name.decode("latin-1").upper()
        if "_" in name or name in ("CONTENT-LENGTH", "TRANSFER-ENCODING"):
            continue  # with an underscore a caller could pass for a header that a proxy sets; the length is known
        key = "CONTENT_TYPE" if name == "CONTENT-TYPE" else f"HTTP_{name.replace('-', '_')}"
        value = raw_value.decode("latin-1")
        joint = "; " if key == "HTTP_COOKIE" else ","
        environ[key] = f"{environ[key]}{joint}{value}" if key in environ else value
    return environ


def _scheme(scope: Message) -> str:
    """Return "https" where a proxy that we believe, on this host or counted in TRUSTED_PROXIES, says so."""
    client = scope.get("client")
    believed = settings.TRUSTED_PROXIES > 0 or (client is not None and client[0] in _LOOPBACK)
    if believed and (b"x-forwarded-proto", b"https") in scope["headers"]:
        return "https"
    return str(scope["scheme"])


class Exchange:
    """One request and its answer."""

    def __init__(self, application: Application, environ: dict[str, Any]) -> None:
        self.application = application
        self.environ = environ
        self.left = threading.Event()
        environ[HAS_LEFT] = self.left.is_set
        self._status = HTTPStatus.INTERNAL_SERVER_ERROR.value
        self._headers: list[tuple[bytes, bytes]] = []
        self._answer: Iterable[bytes] = ()
        self._pieces: Iterator[bytes] = iter(())

    async def run(self, send: Send, executor: Executor) -> None:
        """Call the application and send what it answers, each step of it in a thread of ``executor``."""
        loop, context = asyncio.get_running_loop(), contextvars.copy_context()

        def threaded(step: Callable[[], bytes | None]) -> Awaitable[bytes | None]:
            return loop.run_in_executor(executor, context.run, step)

        whole = await threaded(self._open)
        start = {"type": "http.response.start", "status": self._status, "headers": self._headers}
        if whole is not None:
            if self._status not in _WITHOUT_BODY and not any(name == b"content-length" for name, _ in self._headers):
                self._headers.append((b"content-length", b"%d" % len(whole)))
            await send(start)
            await send({"type": "http.response.body", "body": whole})
            return
        try:
            await send(start)
            while not self.left.is_set() and (piece := await threaded(self._next)) is not None:
                await send({"type": "http.response.body", "body": piece, "more_body": True})
            if not self.left.is_set():
                await send({"type": "http.response.body", "body": b""})
        finally:
            if not _being_cancelled():  # then the process ends, and a thread may still be inside of the answer
                await threaded(self._close)

    def _open(self) -> bytes | None:
        """Call the application. Return the answer's whole body; None where it is a stream."""
        self._answer = self.application(self.environ, self._start_response)
        if getattr(self._answer, "streaming", True):
            if isinstance(self._answer, FileResponse):
                self._answer.block_size = _PIECE_BYTES
            self._pieces = iter(self._answer)
            return None
        try:
            return b"".join(self._answer)
        finally:
            self._close()

    def _start_response(self, status: str, headers: list[tuple[str, str]], _exc_info: Any = None) -> None:
        self._status = int(status.split(" ", 1)[0])
        self._headers = [(name.lower().encode("latin-1"), value.strip().encode("latin-1")) for name, value in headers]

    def _next(self) -> bytes | None:
        return next(self._pieces, None)

    def _close(self) -> None:
        close = getattr(self._answer, "close", None)
        if close is not None:
            close()


def _being_cancelled() -> bool:
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0
