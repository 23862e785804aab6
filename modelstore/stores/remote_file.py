"""A stored object as an open file: read in order or from any place, with flat memory, over breaks of the line."""

import io
import logging
import time
from collections.abc import Callable
from typing import Any

from modelstore.errors import StorageUnavailable
from modelstore.stores.s3_client import told

logger = logging.getLogger(__name__)

#: Bytes that a first request asks for after each jump, and those of the largest: whoever reads on gets larger pieces,
#: and who looks at a few bytes (the table of a ZIP file) leaves little unread.
_FIRST = 1 << 18
_MOST = 1 << 26
BUFFER = 1 << 16
#: Breaks one after the other, without a byte in between, before the reader is told.
_BREAKS = 4
_PAUSE_SECONDS = 0.5


class RemoteFile(io.RawIOBase):
    """The bytes of an object. A request holds a connection while it is read, and none is kept by who is slow."""

    def __init__(self, request: Callable[[str], Any], name: str, size: int) -> None:
        """:param request: asks for a range, such as "bytes=0-99", and returns a stream with read and close."""
        self._request = request
        self.name = name
        self._size = size
        self._place = 0
        self._window = _FIRST
        self._stream: Any = None
        self._left = 0  # bytes of the stream

    def readable(self) -> bool:
        """Return True."""
        return True

    def seekable(self) -> bool:
        """Return True."""
        return True

    def tell(self) -> int:
        """Return the place in bytes."""
        return self._place

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Go to a place; nothing is asked for before something is read there."""
        place = offset + (0, self._place, self._size)[whence]
        if place != self._place:
            self._drop()
            self._place, self._window = max(0, place), _FIRST
        return self._place

    def readinto(self, buffer: Any) -> int:
        """Read what comes next, at most what fits; 0 at the end.

        :raises StorageUnavailable: the line broke again and again; :raises FileNotFoundError: it was deleted.
        """
        wanted = min(len(buffer), self._size - self._place)
        if wanted <= 0:
            return 0
        breaks = 0
        while True:
            try:
                with told(self.name):
                    piece = self._piece(wanted)
                if piece:
                    break
                raise StorageUnavailable("The object storage sends less than it promised", self.name)
            except StorageUnavailable as error:
                self._drop()
                breaks += 1
                if breaks >= _BREAKS:
                    raise
                logger.info("object storage broke off name=%s at=%d cause=%s", self.name, self._place, error.cause)
                time.sleep(_PAUSE_SECONDS * breaks)
        buffer[: len(piece)] = piece
        self._place += len(piece)
        self._left -= len(piece)
        return len(piece)

    def _piece(self, wanted: int) -> bytes:
        if self._left <= 0:
            self._drop()
            length = min(self._window, self._size - self._place)
            self._stream = self._request(f"bytes={self._place}-{self._place + length - 1}")
            self._left, self._window = length, min(self._window * 8, _MOST)
        return bytes(self._stream.read(min(wanted, self._left, BUFFER)))

    def _drop(self) -> None:
        stream, self._stream, self._left = self._stream, None, 0
        if stream is not None:
            stream.close()

    def close(self) -> None:
        """Give the connection back."""
        if not self.closed:
            self._drop()
        super().close()
