"""One HTTP/1.1 connection, with a deadline on everything that its other side can delay.

uvicorn reads a request without a thread but waits for its header, and for its answer to be taken, as long as the caller
likes: 230 sockets that send a byte now and then stay for ever, each with a descriptor and memory. What it waits for
here and how long: a header, REQUEST_HEADER_SECONDS from its first moment; an answer that is not taken, as long as
MIN_TRANSFER_BYTES_PER_SECOND allows for what lies in the buffer. The body's own deadline is held where it is read
(request_body.py), because the caller is told about it in our own words.
"""

import asyncio
import json
import socket
import struct
import sys
from contextlib import suppress
from http import HTTPStatus
from typing import cast

import h11
from django.conf import settings
from uvicorn.protocols.http.h11_impl import H11Protocol

#: All fields of one header together.
MAX_HEADER_BYTES = 65_536

#: Seconds for which data sent after a refusal is read and dropped.
LINGER_SECONDS = 2.0

#: Seconds that a slow line gets before its rate counts.
ALLOWANCE_SECONDS = 20.0


def seconds_for(size: int) -> float:
    """Return how long ``size`` bytes may take a caller."""
    return float(ALLOWANCE_SECONDS + size / settings.MIN_TRANSFER_BYTES_PER_SECOND)


class DeadlineProtocol(H11Protocol):
    """uvicorn's connection with these deadlines."""

    _refused = False
    _header_timer: asyncio.TimerHandle | None = None
    _answer_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin to wait for the first header."""
        super().connection_made(cast("asyncio.Transport", transport))
        self._watch_header()

    def data_received(self, data: bytes) -> None:
        """Take the bytes, and see whether a header is still incomplete."""
        if self._refused:
            return
        super().data_received(data)
        self._watch_header()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget every deadline."""
        super().connection_lost(exc)
        for timer in (self._header_timer, self._answer_timer):
            if timer is not None:
                timer.cancel()

    def pause_writing(self) -> None:
        """Give the caller time to read what is buffered: the response is made faster than it is read."""
        super().pause_writing()
        self._abort_unless_taken()

    def resume_writing(self) -> None:
        """Stop the clock: most of the buffer was read."""
        super().resume_writing()
        if self._answer_timer is not None:
            self._answer_timer.cancel()
            self._answer_timer = None

    def on_response_complete(self) -> None:
        """Note that the whole response is in the buffer; closing a connection waits until it is read, too."""
        super().on_response_complete()
        if self.transport.is_closing():
            self._abort_unless_taken()

    def timeout_keep_alive_handler(self) -> None:
        """Close an idle connection on which nothing came."""
        super().timeout_keep_alive_handler()
        self._abort_unless_taken()

    def _watch_header(self) -> None:
        if self.conn.their_state is h11.IDLE and not self.transport.is_closing():
            if self._header_timer is None:
                self._header_timer = self.loop.call_later(settings.REQUEST_HEADER_SECONDS, self._header_too_slow)
        elif self._header_timer is not None:
            self._header_timer.cancel()
            self._header_timer = None

    def _header_too_slow(self) -> None:
        if self.transport.is_closing():
            return
        if self.conn.trailing_data[0]:
            detail = f"The request's header was not complete after {settings.REQUEST_HEADER_SECONDS} s"
            self._end_with(HTTPStatus.REQUEST_TIMEOUT, detail, "header_too_slow")
        else:  # a connection that a browser opened and never used needs no answer
            self.transport.close()
            self._abort_unless_taken()

    def send_400_response(self, msg: str) -> None:
        """Answer what is no HTTP, or has more header than fits. Not even its address is known.

        Called by uvicorn where it handles h11's error, whose hint tells a header that is too large from nonsense.
        """
        if getattr(sys.exception(), "error_status_hint", 400) != HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE:
            self._end_with(HTTPStatus.BAD_REQUEST, msg, "malformed_request")
        elif b"\n" in self.conn.trailing_data[0][:MAX_HEADER_BYTES]:
            detail = f"The header has more than {MAX_HEADER_BYTES} bytes"
            self._end_with(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, detail, "header_too_large")
        else:
            detail = f"The address has more than {MAX_HEADER_BYTES} bytes"
            self._end_with(HTTPStatus.REQUEST_URI_TOO_LONG, detail, "address_too_long")

    def _unsupported_upgrade_warning(self) -> None:
        """Say nothing: any stranger may ask for WebSocket, and uvicorn's advice is to install one."""

    def _end_with(self, status: HTTPStatus, detail: str, code: str) -> None:
        """Answer outside of any request, in the shape of every error (errors.py), and close."""
        body = json.dumps({"detail": detail, "code": code})
        head = f"HTTP/1.1 {status.value} {status.phrase}\r\nConnection: close\r\nContent-Type: application/json\r\n"
        self.transport.write(f"{head}Content-Length: {len(body)}\r\n\r\n{body}".encode())
        # If it were closed at once with bytes unread, the kernel would send a reset, which may overtake the response.
        self._refused = True
        self.transport.write_eof()
        self.loop.call_later(LINGER_SECONDS, self.transport.close)
        self._abort_unless_taken()

    def _abort_unless_taken(self) -> None:
        if self._answer_timer is None:
            patience = seconds_for(self.transport.get_write_buffer_size())
            self._answer_timer = self.loop.call_later(patience, self._reset)

    def _reset(self) -> None:
        """Drop the connection, and what the kernel still holds for it: megabytes, kept for minutes otherwise."""
        line = self.transport.get_extra_info("socket")
        with suppress(OSError):  # closed already
            line.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.transport.abort()
