"""The door for the web server: reads each request whole, then lets Django answer it in a thread.

Three rooms of threads. Waiting requests may fill the large one; that must never delay a probe, and a probe that waits
for the database must never delay the liveness probe or a refusal, which need nothing but the processor.
"""

import asyncio
import os
import signal
import threading
from collections.abc import Callable
from concurrent.futures import Executor, ThreadPoolExecutor
from types import FrameType
from typing import IO
from urllib.parse import urlsplit

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "upscaler_site.settings")
django.setup(set_prefix=False)

from django.conf import settings  # noqa: E402 - these need Django set up

from jobs.errors import JobError  # noqa: E402 - as above
from jobs.progress.hub import hub  # noqa: E402 - as above
from modelstore import tracing  # noqa: E402 - as above
from monitoring.requests import counter  # noqa: E402 - as above
from upscaler_site.logs.access_log import Message, Send, Sending  # noqa: E402 - as above
from upscaler_site.web import admission  # noqa: E402 - as above
from upscaler_site.web.request_body import CallerLeft, Receive, read_body  # noqa: E402 - as above
from upscaler_site.web.request_errors import REFUSAL, RequestRefused  # noqa: E402 - as above
from upscaler_site.web.wsgi_bridge import Exchange, environ_for  # noqa: E402 - as above
from upscaler_site.wsgi import application as answer  # noqa: E402 - as above

#: Threads beyond the waiting requests: status, the page, uploads that were read.
SPARE_THREADS = 16
_LIVENESS = b"/api/v1/health/live"
_PROBES = (b"/api/v1/health", b"/api/v1/health/ready", b"/metrics")

#: A refused body of up to so many bytes is read to its end, for so many seconds: a caller that is still sending when
#: the connection closes sees a reset instead of the response.
_DISCARD_BYTES = 32_000_000
_DISCARD_SECONDS = 5.0

_requests = ThreadPoolExecutor(settings.MAX_WAITING_REQUESTS + SPARE_THREADS, thread_name_prefix="request")
_probes = ThreadPoolExecutor(4, thread_name_prefix="probe")
_instant = ThreadPoolExecutor(2, thread_name_prefix="instant")

_CLOSE = (b"connection", b"close")


async def application(scope: Message, receive: Receive, send: Send) -> None:
    """Serve HTTP requests and the lifespan of the process, as ASGI 3 defines."""
    if scope["type"] == "lifespan":
        await _live(receive, send)
    elif scope["type"] == "http":
        sending = Sending(send, scope)
        try:
            await _respond(scope, receive, sending)
        finally:
            sending.write_line()


async def _respond(scope: Message, receive: Receive, send: Send) -> None:
    path = below_prefix(scope["raw_path"], settings.PUBLIC_PATH.encode())
    try:
        with await _read(scope, receive, path) as body:
            exchange = Exchange(answer, environ_for(scope, body, path=path, script_name=settings.PUBLIC_PATH))
            watch = asyncio.create_task(_watch(receive, exchange.left))
            try:
                await exchange.run(_Closing(send, when=lambda: hub.draining), _room(path))
            finally:
                watch.cancel()
    except CallerLeft:
        return
    except (RequestRefused, JobError) as refusal:
        environ = environ_for(scope, None, path=path, script_name=settings.PUBLIC_PATH) | {REFUSAL: refusal}
        # A caller that waits for our "100 Continue" has not begun to send.
        rest = None if any(name == b"expect" for name, _ in scope["headers"]) else receive
        await Exchange(answer, environ).run(_Closing(send, rest=rest), _instant)


async def _read(scope: Message, receive: Receive, path: bytes) -> IO[bytes]:
    """Return the body. Raises what `admission` and `read_body` raise."""
    headers = dict(scope["headers"])
    admission.check_header(scope["raw_path"] + scope["query_string"], scope["headers"])
    check_size = admission.size_check(scope["method"], path.decode("latin-1"), headers)
    declared = headers.get(b"content-length", b"0")
    check_size(int(declared))  # the server has checked that it is a number
    return await read_body(receive, check_size=check_size)


async def _watch(receive: Receive, left: threading.Event) -> None:
    """Set ``left`` when the caller closes the connection. The server says so after the answer's end, too."""
    while (await receive())["type"] != "http.disconnect":
        pass
    left.set()


class _Closing:
    """An ASGI ``send`` for the last answer on its connection.

    :param when: asked as the answer begins: whether it is the last.
    :param rest: ``receive`` of a body that was not read to its end.
    """

    def __init__(self, send: Send, *, when: Callable[[], bool] = lambda: True, rest: Receive | None = None) -> None:
        self._send = send
        self._when = when
        self._rest = rest

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            if self._when():
                message["headers"] = [*message["headers"], _CLOSE]
        elif self._rest is not None and not message.get("more_body", False):
            await self._send({**message, "more_body": True})
            await _discard(self._rest)
            message = {"type": "http.response.body", "body": b""}
        await self._send(message)


async def _discard(receive: Receive) -> None:
    size, more = 0, True
    try:
        async with asyncio.timeout(_DISCARD_SECONDS):
            while more and size < _DISCARD_BYTES:
                message = await receive()
                size += len(message.get("body", b""))
                more = message.get("more_body", False)
    except TimeoutError:
        return


def below_prefix(raw_path: bytes, prefix: bytes) -> bytes:
    """Return the path that our addresses know, whether a proxy has taken PUBLIC_URL's own path off or not.

    A request line may hold a whole address instead of a path (RFC 9112, 3.2.2).
    """
    if not raw_path.startswith(b"/"):
        raw_path = b"/" + urlsplit(raw_path).path.lstrip(b"/")
    if prefix and (raw_path == prefix or raw_path.startswith(prefix + b"/")):
        return raw_path[len(prefix) :] or b"/"
    return raw_path


def _room(path: bytes) -> Executor:
    if path == _LIVENESS:
        return _instant
    return _probes if path in _PROBES else _requests


async def _live(receive: Receive, send: Send) -> None:
    """Take part in the process's start and end: who waits is told to come back as soon as it is asked to stop."""
    await receive()
    for number in (signal.SIGTERM, signal.SIGINT):
        _drain_on(number, asyncio.get_running_loop())
    await send({"type": "lifespan.startup.complete"})
    await receive()
    await asyncio.to_thread(counter.flush)
    await asyncio.to_thread(tracing.flush)
    await send({"type": "lifespan.shutdown.complete"})


def _drain_on(number: signal.Signals, loop: asyncio.AbstractEventLoop) -> None:
    """Have the waiting room emptied when the signal comes; then the server's own handler has its turn."""
    server = signal.getsignal(number)

    def asked_to_stop(signum: int, frame: FrameType | None) -> None:
        loop.call_soon_threadsafe(hub.drain)
        if callable(server):
            server(signum, frame)

    signal.signal(number, asked_to_stop)
