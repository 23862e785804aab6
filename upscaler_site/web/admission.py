"""Admission by the request's header alone, before a byte of its body is read, and the limit on the body's length."""

from collections.abc import Callable
from http.cookies import CookieError, SimpleCookie

from django.conf import settings

from jobs.submission.uploads import FORM_OVERHEAD_BYTES, too_large
from upscaler_site.web.http_protocol import MAX_HEADER_BYTES
from upscaler_site.web.request_body import MEMORY_BYTES
from upscaler_site.web.request_errors import (
    AddressTooLong,
    BodyTooLarge,
    CredentialsMissing,
    FramingAmbiguous,
    HeaderTooLarge,
)

#: Bytes: room for a request line that names a hundred jobs, or a cursor and filters.
MAX_ADDRESS_BYTES = 8190

_STREAMED = ("multipart/", "image/")  # written to the disk piece by piece, under their own limits
_BODYLESS = ("GET", "HEAD", "OPTIONS", "TRACE")
_BATCH = "/api/v1/upscale-batch"
_MODELS = "/api/v1/models"


def check_header(raw_address: bytes, headers: list[tuple[bytes, bytes]]) -> None:
    """Check a request's header.

    :raises AddressTooLong: when the request line is too long.
    :raises HeaderTooLarge: when the header is too large.
    :raises FramingAmbiguous: for Content-Length beside Transfer-Encoding.
    """
    names = {name for name, _ in headers}
    if {b"content-length", b"transfer-encoding"} <= names:
        raise FramingAmbiguous("Content-Length and Transfer-Encoding must not come together")
    if len(raw_address) > MAX_ADDRESS_BYTES:
        raise AddressTooLong(f"The address has {len(raw_address)} bytes; the limit is {MAX_ADDRESS_BYTES}")
    if sum(len(name) + len(value) for name, value in headers) > MAX_HEADER_BYTES:
        raise HeaderTooLarge(f"The header has more than {MAX_HEADER_BYTES} bytes")


def size_check(method: str, path: str, headers: dict[bytes, bytes]) -> Callable[[int], None]:
    """Return what refuses a body of a given number of bytes, by what the header says of it.

    :param path: below the service's own prefix.
    """
    limit, refusal = _limit(method, path, headers)
    anonymous = settings.REQUIRE_API_KEY and path.startswith("/api/") and not _has_credentials(headers)

    def check(size: int) -> None:
        if anonymous and size > MEMORY_BYTES:
            raise CredentialsMissing("Authentication credentials were not provided.")
        if size > limit:
            raise refusal

    return check


def _limit(method: str, path: str, headers: dict[bytes, bytes]) -> tuple[int, Exception]:
    """Return the most bytes that such a request may have, and what to raise beyond."""
    streamed = headers.get(b"content-type", b"").decode("latin-1").lower().startswith(_STREAMED)
    if path == _MODELS and streamed and method not in _BODYLESS:  # a model is imported
        return _model_limit()
    if path.startswith("/api/") and streamed and method not in _BODYLESS:
        pictures = settings.MAX_BATCH_IMAGES + 1 if path == _BATCH else 1  # one more: our own message names the limit
        return pictures * settings.MAX_UPLOAD_BYTES + FORM_OVERHEAD_BYTES, too_large()
    if path.startswith("/admin/") and streamed and _has_session(headers):  # staff imports a model
        return _model_limit()
    limit = settings.DATA_UPLOAD_MAX_MEMORY_SIZE or FORM_OVERHEAD_BYTES  # held in memory as a whole
    return limit, BodyTooLarge(f"A body of this type may have at most {limit} bytes")


def _model_limit() -> tuple[int, Exception]:
    limit = settings.MAX_MODEL_UPLOAD_MB
    return limit * 1_000_000 + FORM_OVERHEAD_BYTES, BodyTooLarge(f"The file is larger than {limit} MB")


def _has_credentials(headers: dict[bytes, bytes]) -> bool:
    """Return True if the header brings any credentials; they are checked later."""
    return b"authorization" in headers or b"x-api-key" in headers or _has_session(headers)


def _has_session(headers: dict[bytes, bytes]) -> bool:
    try:
        cookies = SimpleCookie(headers.get(b"cookie", b"").decode("latin-1"))
    except CookieError:
        return False
    return settings.SESSION_COOKIE_NAME in cookies
