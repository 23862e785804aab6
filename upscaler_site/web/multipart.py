"""A multipart body as Django's parser can read it: what RFC 7578 allows and what clients really send.

Django drops a part whose header is not UTF-8 ("No file was sent" for a picture named by an old Windows), and takes an
epilogue, which RFC 2046 lets stand after the last boundary, for a part with an endless header.
"""

import io
import re
from typing import IO, TYPE_CHECKING

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

#: A part's header of more bytes than this is no header; Django has a smaller limit and says so.
_MAX_HEADER_BYTES = 16_384
_PIECE_BYTES = 65_536

#: The character set of ``filename*=utf-8''…`` (RFC 8187).
_CHARSET = re.compile(r"(?<=\*=)[^'\s;]*(?='[^']*')")


def _known(charset: re.Match[str]) -> str:
    """Return a character set that names can be read in: Django drops what it cannot read, the whole file with it."""
    try:
        b"\xff".decode(charset[0], "replace")
    except (LookupError, ValueError):
        return "utf-8"
    return charset[0]


class TolerantMultipart(io.RawIOBase):
    """``stream`` with every part's header in UTF-8 and of known character sets, and nothing after the last boundary.

    io.BufferedReader makes a whole file of it.

    Bytes of a header that are not UTF-8 become U+FFFD. The parts' contents pass through as they are.
    """

    def __init__(self, stream: IO[bytes], boundary: bytes) -> None:
        super().__init__()
        self._stream = stream
        self._delimiter = b"--" + boundary
        self._pending = bytearray()  # read, not yet parsed
        self._ready = bytearray()  # parsed, not yet returned
        self._in_header = False
        self._over = False

    def readable(self) -> bool:
        """Return True, as io.RawIOBase asks."""
        return True

    def readinto(self, buffer: "WriteableBuffer") -> int:
        """Fill ``buffer`` as far as there is anything; return how many bytes that were: 0 at the end."""
        room = memoryview(buffer).cast("B")
        while not self._over and not self._ready:
            piece = self._stream.read(_PIECE_BYTES)
            self._pending += piece
            while self._step(last=not piece):
                pass
            self._over = self._over or not piece
        count = min(len(room), len(self._ready))
        room[:count] = self._ready[:count]
        del self._ready[:count]
        return count

    def _step(self, *, last: bool) -> bool:
        """Parse the pending bytes; return True when there may be more to parse. ``last``: nothing will follow."""
        if self._over:
            return False
        return self._header(last=last) if self._in_header else self._content(last=last)

    def _content(self, *, last: bool) -> bool:
        at = self._pending.find(self._delimiter)
        end = at + len(self._delimiter)
        if at < 0 or (len(self._pending) < end + 2 and not last):
            # The end of the delimiter, or the "--" that marks the last one, may not have arrived yet.
            safe = at if at >= 0 else len(self._pending) - len(self._delimiter) + 1
            self._hand_out(len(self._pending) if last else max(0, safe))
            return False
        if self._pending[end : end + 2] == b"--":
            self._hand_out(end + 2)
            self._ready += b"\r\n"
            self._pending.clear()
            self._over = True
            return False
        self._hand_out(end)
        self._in_header = True
        return True

    def _header(self, *, last: bool) -> bool:
        end = self._pending.find(b"\r\n\r\n")
        if end < 0 and len(self._pending) <= _MAX_HEADER_BYTES and not last:
            return False
        if end >= 0:
            header = _CHARSET.sub(_known, self._pending[:end].decode("utf-8", "replace")).encode()
            self._pending[:end] = header
            self._hand_out(len(header))
        self._in_header = False
        return True

    def _hand_out(self, count: int) -> None:
        self._ready += self._pending[:count]
        del self._pending[:count]
