"""Answers that are files: streamed, with ETag, conditions, byte ranges and a filename."""

import io
from collections.abc import Callable
from typing import IO

from django.http import FileResponse, HttpResponse, HttpResponseBase
from django.utils.cache import get_conditional_response, patch_vary_headers
from django.utils.http import content_disposition_header, http_date, parse_http_date_safe, quote_etag
from rest_framework.request import Request

from jobs.api.views.ranges import parse_range

CHUNK_BYTES = 64 * 1024
CONTENT_TYPES = {
    "png": "image/png", "jpeg": "image/jpeg", "webp": "image/webp", "avif": "image/avif", "tiff": "image/tiff",
    "jxl": "image/jxl",
    "jpg": "image/jpeg", "tif": "image/tiff", "gif": "image/gif", "bmp": "image/bmp", "heic": "image/heic",
}  # fmt: skip


class PreconditionFailed(Exception):
    """The error for If-Match with other bytes, or If-Unmodified-Since an earlier time (412)."""


def content_type(file_format: str) -> str:
    """Return the media type of a format or file suffix of ours; what we do not know is just bytes."""
    return CONTENT_TYPES.get(file_format, "application/octet-stream")


def download(
    request: Request,
    file: IO[bytes],
    *,
    size: int,
    media_type: str,
    name: str,
    etag: str = "",
    modified: float | None = None,
    inline: bool = False,
    on_sent: Callable[[int, int], None] | None = None,
) -> HttpResponseBase:
    """Answer GET or HEAD with ``file``, which is closed by the response.

    :param etag: what names these very bytes, unquoted; "" gives no ETag.
    :param modified: seconds since the epoch.
    :param on_sent: called once as the answer ends, however it does, with the first byte and the number of bytes that
        were handed over to the connection. Not for HEAD, and where no bytes are sent.
    """
    headers = {
        "Accept-Ranges": "bytes",
        # The bytes of a job never change, but who may see them can: no shared cache keeps them.
        "Cache-Control": "private, max-age=3600",
        "Content-Disposition": content_disposition_header(as_attachment=not inline, filename=name) or "attachment",
    }
    if etag:
        headers["ETag"] = quote_etag(etag)
    seconds = None if modified is None else int(modified)
    if seconds is not None:
        headers["Last-Modified"] = http_date(seconds)
    sent = HandedOver(file, None if request.method == "HEAD" else on_sent)
    response = _answer(request, sent, size=size, media_type=media_type, modified=seconds, headers=headers)
    patch_vary_headers(response, ["Authorization", "X-API-Key"])
    return response


def _answer(
    request: Request,
    file: "HandedOver",
    *,
    size: int,
    media_type: str,
    modified: int | None,
    headers: dict[str, str],
) -> HttpResponseBase:
    quoted = headers.get("ETag")
    try:
        # RFC 9110, 13.2.2: conditions first, then the range.
        refused = get_conditional_response(request._request, quoted, modified)  # noqa: SLF001 - DRF's way to Django's
        if refused is not None and refused.status_code == 412:
            raise PreconditionFailed("The file is not the one that the conditions name")
        if refused is not None:
            file.close()
            return HttpResponse(status=refused.status_code, headers=headers)
        wanted = (
            parse_range(request.headers.get("Range", ""), size) if _range_holds(request, quoted, modified) else None
        )
        if wanted is not None:
            file.begin_at(wanted.first)
    except BaseException:
        file.close()
        raise
    body: io.BytesIO | HandedOver | FilePart = FilePart(file, wanted.length) if wanted else file
    if request.method == "HEAD":
        file.close()
        body = io.BytesIO()
    response = FileResponse(body, status=206 if wanted else 200, content_type=media_type)
    for name, value in headers.items():  # now, because FileResponse makes its own of the file's name on the disk
        response.headers[name] = value
    response.headers["Content-Length"] = str(wanted.length if wanted else size)
    if wanted:
        response.headers["Content-Range"] = wanted.content_range
    return response


def _range_holds(request: Request, quoted: str | None, modified: int | None) -> bool:
    """Return whether a range may be cut out: If-Range, where given, names this very version by its tag or its time."""
    named = request.headers.get("If-Range")
    if named is None:
        return True
    return named == quoted or (modified is not None and parse_http_date_safe(named) == modified)


class HandedOver:
    """A file that counts what was taken from it: a piece when the next one is asked for, so after it was sent."""

    def __init__(self, file: IO[bytes], on_sent: Callable[[int, int], None] | None) -> None:
        self._file = file
        self._on_sent = on_sent
        self._first = self._read = self._sent = 0

    def begin_at(self, position: int) -> None:
        """Go to the range's first byte, before anything is read."""
        self._first = self._file.seek(position)

    def read(self, size: int) -> bytes:
        """Return the next piece."""
        self._sent = self._read
        piece = self._file.read(size)
        self._read += len(piece)
        return piece

    def close(self) -> None:
        """Close the file, and tell what was sent, once."""
        self._file.close()
        if self._on_sent is not None and self._sent:
            self._on_sent(self._first, self._sent)
        self._on_sent = None


class FilePart:
    """An iterator over the next ``length`` bytes of a file, closed with the response."""

    def __init__(self, file: HandedOver, length: int) -> None:
        self.file = file
        self.left = length

    def __iter__(self) -> "FilePart":
        return self

    def __next__(self) -> bytes:
        """Return the next piece."""
        piece = self.file.read(min(CHUNK_BYTES, self.left))
        if not piece:
            raise StopIteration
        self.left -= len(piece)
        return piece

    def close(self) -> None:
        """Close the file: called by Django at the response's end, whatever that was."""
        self.file.close()
