"""One line per request where ACCESS_LOG is set. It holds no query string: signatures stand there."""

import logging
import time
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from django.conf import settings

Message = MutableMapping[str, Any]
Send = Callable[[Message], Awaitable[None]]

_LINE = '%(forwarded)s %(address)s "%(method)s %(path)s" %(status)s %(bytes)s %(milliseconds)sms request=%(request)s'
#: formatters.py gives the pieces of its lines keys of their own.
_log = logging.getLogger("upscaler.access")


class Sending:
    """An ASGI ``send`` that remembers what a line tells."""

    def __init__(self, send: Send, scope: Message) -> None:
        self._send = send
        self._scope = scope
        self._began = time.monotonic()
        self._status: int | str = "-"
        self._bytes = 0
        self._request_id = "-"

    async def __call__(self, message: Message) -> None:
        """Send it."""
        if message["type"] == "http.response.start":
            self._status = message["status"]
            self._request_id = dict(message["headers"]).get(b"x-request-id", b"-").decode("latin-1")
        else:
            self._bytes += len(message.get("body", b""))
        await self._send(message)

    def write_line(self) -> None:
        """Log the request, which has ended."""
        if not settings.ACCESS_LOG:
            return
        client = self._scope.get("client")
        pieces = {
            "forwarded": dict(self._scope["headers"]).get(b"x-forwarded-for", b"-").decode("latin-1"),
            "address": client[0] if client else "-",
            "method": self._scope["method"],
            "path": self._scope["raw_path"].decode("latin-1"),
            "status": self._status,
            "bytes": self._bytes,
            "milliseconds": round((time.monotonic() - self._began) * 1000),
            "request": self._request_id,
        }
        _log.info(_LINE, pieces)
