"""Answers that are files: streamed, with ETag, conditions, byte ranges and a filename."""

import io
from typing import IO

from django.http import FileResponse, HttpResponse, HttpResponseBase
from django.utils.cache import patch_vary_headers
from django.utils.http import content_disposition_header, http_date, parse_etags, quote_etag
from rest_framework.request import Request

from jobs.views.ranges import parse_range

CHUNK_BYTES = 256 * 1024
CONTENT_TYPES = {
    "png": "image/png", "jpeg": "image/jpeg", "webp": "image/webp", "avif": "image/avif", "tiff": "image/tiff",
    "jpg": "image/jpeg", "tif": "image/tiff", "gif": "image/gif", "bmp": "image/bmp", "heic": "image/heic",
}  # fmt: skip


class PreconditionFailed(Exception):
    """If-Match names other bytes (412)."""


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
) -> HttpResponseBase:
    """Answer GET or HEAD with ``file``, which is closed by the response.

    :param etag: what names these very bytes, unquoted; "" gives neither ETag nor conditions.
    :param modified: seconds since the epoch.
    """
    headers = {
        "Accept-Ranges": "bytes",
        # The bytes of a job never change, but who may see them can: no shared cache keeps them.
        "Cache-Control": "private, max-age=3600",
        "Content-Disposition": content_disposition_header(as_attachment=not inline, filename=name) or "attachment",
    }
    quoted = quote_etag(etag) if etag else ""
    if quoted:
        headers["ETag"] = quoted
    if modified is not None:
        headers["Last-Modified"] = http_date(modified)
    response = _answer(request, file, size=size, media_type=media_type, quoted=quoted, headers=headers)
    patch_vary_headers(response, ["Authorization", "X-API-Key"])
    return response


def _answer(
    request: Request, file: IO[bytes], *, size: int, media_type: str, quoted: str, headers: dict[str, str]
) -> HttpResponseBase:
    try:
        if quoted:
            if_match = parse_etags(request.headers.get("If-Match", ""))
            if if_match and if_match != ["*"] and quoted not in if_match:
                raise PreconditionFailed("The file is not the one that If-Match names")
            if_none = parse_etags(request.headers.get("If-None-Match", ""))
            if if_none == ["*"] or quoted in [tag.removeprefix("W/") for tag in if_none]:
                file.close()
                return HttpResponse(status=304, headers=headers)
        wanted = None
        if request.headers.get("If-Range", quoted) == quoted:  # of another version the caller must get everything
            wanted = parse_range(request.headers.get("Range", ""), size)
        if wanted is not None:
            file.seek(wanted.first)
    except Exception:
        file.close()
        raise
    body: IO[bytes] | FilePart = FilePart(file, wanted.length) if wanted else file
    if request.method == "HEAD":
        file.close()
        body = io.BytesIO()
    response = FileResponse(body, status=206 if wanted else 200, content_type=media_type)
    response.block_size = CHUNK_BYTES
    for name, value in headers.items():  # now, because FileResponse makes its own of the file's name on the disk
        response.headers[name] = value
    response.headers["Content-Length"] = str(wanted.length if wanted else size)
    if wanted:
        response.headers["Content-Range"] = wanted.content_range
    return response


class FilePart:
    """An iterator over the next ``length`` bytes of a file, closed with the response."""

    def __init__(self, file: IO[bytes], length: int) -> None:
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
