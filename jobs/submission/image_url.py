"""image_url: fetches the picture that a caller names instead of sending it. Off unless IMAGE_URL_HOSTS lists hosts.

Two fences: only listed hosts, and only public addresses (modelstore/safe_http.py), both checked again at every
redirect. Bytes and time are bounded; the bytes go to a temporary file, never whole into memory.
"""

import time
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import unquote, urljoin

import httpcore
from django.conf import settings
from django.core.files.uploadedfile import UploadedFile

from jobs.errors import ImageUrlFailed, ImageUrlRefused
from jobs.storage.file_names import last_part
from jobs.submission.uploads import BoundedUploadHandler, too_large
from modelstore import safe_http
from modelstore.errors import TargetRefused

MAX_REDIRECTS = 3
#: Content codings that are decoded here although identity was requested: zlib detects both by their first bytes.
_ZLIB_CODINGS = ("gzip", "x-gzip", "deflate")
_ZLIB_OR_GZIP = zlib.MAX_WBITS | 32
#: Decompressed bytes at a time: a compressed body may hold a thousand times its size.
_PIECE_BYTES = 1 << 20


def is_enabled() -> bool:
    """Return whether image_url may be used at all."""
    return bool(settings.IMAGE_URL_HOSTS)


def fetch(url: str) -> UploadedFile[Any]:
    """Fetch ``url`` into a temporary file, which is removed when it is closed, and return it like an upload.

    Raises ImageUrlRefused (not allowed), ImageUrlFailed (no good answer in time), UploadTooLarge and StorageFull.
    """
    if not is_enabled():
        raise ImageUrlRefused("image_url is switched off here; send the picture itself")
    deadline = time.monotonic() + settings.IMAGE_URL_TIMEOUT_SECONDS
    for _ in range(MAX_REDIRECTS + 1):
        target = _allowed(url)
        with _answer(target, deadline) as answer:
            location = _header(answer, b"location")
            if answer.status in (301, 302, 303, 307, 308) and location:
                url = _redirected(target, location)
                continue
            if answer.status != 200:
                raise ImageUrlFailed(f"image_url: {target.host} answered with status {answer.status}")
            return _save(answer, target)
    raise ImageUrlFailed(f"image_url: more than {MAX_REDIRECTS} redirects")


def _redirected(target: safe_http.Target, location: str) -> str:
    try:
        return urljoin(target.url, location)
    except ValueError:  # brackets that hold no IPv6 address
        raise ImageUrlFailed(f"image_url: {target.host} answered with a redirect to what is no address") from None


def _allowed(url: str) -> safe_http.Target:
    try:
        target = safe_http.target_of(url)
    except TargetRefused as refusal:
        raise ImageUrlRefused(f"image_url: {refusal}") from None
    if not any(_matches(target, pattern.lower()) for pattern in settings.IMAGE_URL_HOSTS):
        raise ImageUrlRefused(f"image_url: the host {target.netloc} is not among those that are allowed here")
    return target


def _matches(target: safe_http.Target, pattern: str) -> bool:
    """Return True if the target matches ``host`` (the scheme's port), ``host:port``, or ``*.domain`` (subdomains)."""
    usual = 443 if target.scheme == "https" else 80
    if pattern.startswith("*."):
        return target.port == usual and target.host.endswith(pattern[1:])
    return pattern == target.netloc or (target.port == usual and pattern.strip("[]") == target.host)


@contextmanager
def _answer(target: safe_http.Target, deadline: float) -> Iterator[httpcore.Response]:
    """Send a GET and yield the response; turn every failure of the network into one of our errors."""
    headers = {
        "user-agent": f"upscaler/{settings.UPSCALER_VERSION}",
        "accept": "image/*",
        "accept-encoding": "identity",  # pictures are compressed already
        "connection": "close",
    }
    try:
        with safe_http.request(
            "GET",
            target,
            headers=headers,
            seconds=max(deadline - time.monotonic(), 0),
            allow_private=settings.WEBHOOK_ALLOW_PRIVATE,
        ) as answer:
            yield answer
    except TargetRefused as refusal:
        raise ImageUrlRefused(f"image_url: {refusal}") from None
    except httpcore.TimeoutException:
        limit = settings.IMAGE_URL_TIMEOUT_SECONDS
        raise ImageUrlFailed(f"image_url: {target.host} took longer than {limit:g} s") from None
    except (httpcore.NetworkError, httpcore.ProtocolError) as failure:
        raise ImageUrlFailed(f"image_url: {target.host} cannot be read: {type(failure).__name__}") from failure


def _save(answer: httpcore.Response, target: safe_http.Target) -> UploadedFile[Any]:
    """Stream the answer to where uploads go, under the limits of uploads."""
    length = _header(answer, b"content-length")
    if length.isdecimal() and int(length) > settings.MAX_UPLOAD_BYTES:
        raise too_large()
    name = last_part(unquote(target.path.partition("?")[0], errors="replace"))
    handler = BoundedUploadHandler()
    handler.new_file("image", name or "image", _header(answer, b"content-type"), None)
    size = 0
    try:
        for piece in _content(answer, target):
            handler.receive_data_chunk(piece, size)
            size += len(piece)
    except BaseException:
        handler.file.close()  # which removes it
        raise
    upload = handler.file_complete(size)
    if upload is None:  # Django's signature allows it; this handler always has a file
        raise ImageUrlFailed("image_url: nothing was received")
    return upload


def _content(answer: httpcore.Response, target: safe_http.Target) -> Iterator[bytes]:
    """Yield the answer's body without its content coding, in pieces of bounded size.

    :raises ImageUrlFailed: the coding is none of ours, or the body is not in it.
    """
    coding = _header(answer, b"content-encoding").strip().lower()
    if coding in ("", "identity"):
        yield from answer.iter_stream()
        return
    if coding not in _ZLIB_CODINGS:
        raise ImageUrlFailed(f"image_url: {target.host} answered in the content coding {coding[:30]}, not in identity")
    unpacker = zlib.decompressobj(_ZLIB_OR_GZIP)
    try:
        for packed in answer.iter_stream():
            rest = packed
            while rest and not unpacker.eof:
                yield unpacker.decompress(rest, _PIECE_BYTES)
                rest = unpacker.unconsumed_tail
        yield unpacker.flush()
    except zlib.error as error:
        raise ImageUrlFailed(f"image_url: {target.host} says {coding}, but its answer is not in it") from error
    if not unpacker.eof:
        raise ImageUrlFailed(f"image_url: the answer of {target.host} ended before it was complete")


def _header(answer: httpcore.Response, name: bytes) -> str:
    return next((value.decode("latin-1") for given, value in answer.headers if given.lower() == name), "")
