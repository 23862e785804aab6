"""A request's body, read whole before a thread is given to the request: small ones into memory, large ones to the disk.

A slow upload costs a descriptor and at most MEMORY_BYTES, never a thread. It must keep up with
MIN_TRANSFER_BYTES_PER_SECOND on average, after an allowance for its start.
"""

import asyncio
import io
import tempfile
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import IO

from django.conf import settings

from jobs.submission.rollback import disk_that_may_be_full
from jobs.submission.uploads import require_disk
from upscaler_site.logs.access_log import Message
from upscaler_site.web.http_protocol import seconds_for
from upscaler_site.web.request_errors import BodyTooSlow

Receive = Callable[[], Awaitable[Message]]

#: A body of up to so many bytes never touches the disk; more is written in pieces of this size.
MEMORY_BYTES = 256 * 1024

#: The disk may stall: never in the thread that serves all connections.
_writers = ThreadPoolExecutor(4, thread_name_prefix="body")


class CallerLeft(Exception):
    """The caller closed the connection before its request was complete. Nobody is there to be answered."""


async def read_body(receive: Receive, *, check_size: Callable[[int], None]) -> IO[bytes]:
    """Return the body as an open file at its beginning. A file on the disk has no name and goes when it is closed.

    :param check_size: called with the bytes received so far; raises what the caller shall be told where it is too much.
    :raises BodyTooSlow: naming the limit.
    :raises CallerLeft:
    :raises StorageFull: less than MIN_FREE_DISK_MB would be left.
    """
    loop = asyncio.get_running_loop()
    began = loop.time()
    size = 0
    buffer = bytearray()
    file: IO[bytes] | None = None
    try:
        while True:
            message = await _next(receive, until=began + seconds_for(size))
            buffer += message.get("body", b"")
            size += len(message.get("body", b""))
            check_size(size)
            more = message.get("more_body", False)
            if len(buffer) > MEMORY_BYTES or (file is not None and not more):
                ours = loop.time()
                file = await loop.run_in_executor(_writers, _write, file, buffer)
                buffer = bytearray()
                began += loop.time() - ours  # a slow disk is not the caller's fault
            if not more:
                break
    except BaseException:
        if file is not None:
            file.close()
        raise
    if file is None:
        return io.BytesIO(buffer)
    file.seek(0)
    return file


async def _next(receive: Receive, *, until: float) -> Message:
    try:
        async with asyncio.timeout_at(until):
            message = await receive()
    except TimeoutError:
        rate = settings.MIN_TRANSFER_BYTES_PER_SECOND
        raise BodyTooSlow(f"The body arrives too slowly: the least rate is {rate} bytes per second") from None
    if message["type"] == "http.disconnect":
        raise CallerLeft
    return message


def _write(file: IO[bytes] | None, piece: bytearray) -> IO[bytes]:
    """Append to ``file``; None: make one. Runs in a thread."""
    with disk_that_may_be_full():
        if file is None:
            directory = Path(settings.FILE_UPLOAD_TEMP_DIR)
            directory.mkdir(parents=True, exist_ok=True)
            file = tempfile.TemporaryFile(dir=directory)  # noqa: SIM115 - the request's, which closes it
        require_disk()
        file.write(piece)
        file.flush()
    return file
