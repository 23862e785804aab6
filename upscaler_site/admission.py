"""What is refused by a request's header alone, before a byte of its body is read, and how long the body may be."""

from collections.abc import Callable
from http.cookies import CookieError, SimpleCookie

from django.conf import settings

from jobs.submitting.uploads import FORM_OVERHEAD_BYTES, too_large
from upscaler_site.http_protocol import MAX_HEADER_BYTES
from upscaler_site.request_body import MEMORY_BYTES
from upscaler_site.request_errors import AddressTooLong, BodyTooLarge, CredentialsMissing, HeaderTooLarge

#: An address that names a hundred jobs, or a cursor and filters, has room.
MAX_ADDRESS_BYTES = 8190

_STREAMED = ("multipart/", "image/")  # written to the disk piece by piece, under their own limits
_BODYLESS = ("GET", "HEAD", "OPTIONS", "TRACE")
_BATCH = "/api/v1/upscale-batch"


def check_header(raw_address: bytes, headers: list[tuple[bytes, bytes]]) -> None:
    """:raises AddressTooLong:

    :raises HeaderTooLarge:
    """
    if len(raw_address) > MAX_ADDRESS_BYTES:
        raise AddressTooLong(f"The address has {len(raw_address)} bytes; the limit is {MAX_ADDRESS_BYTES}")
    if sum(len(name) + len(value) for name, value in headers) > MAX_HEADER_BYTES:
        raise HeaderTooLarge(f"The header has more than {MAX_HEADER_BYTES} bytes")


def size_check(method: str, path: str, headers: dict[bytes, bytes]) -> Callable[[int], None]:
    """Return what refuses a body of a given number of bytes, by what the header says of it.

    :param path: below the service's own prefix.
    """
    streamed = headers.get(b"content-type", b"").decode("latin-1").lower().startswith(_STREAMED)
    anonymous = settings.REQUIRE_API_KEY and path.startswith("/api/") and not _has_credentials(headers)
    pictures = settings.MAX_BATCH_IMAGES + 1 if path == _BATCH else 1  # one more, so that our own message names it

    def check(size: int) -> None:
        if anonymous and size > MEMORY_BYTES:
            raise CredentialsMissing("Authentication credentials were not provided.")
        if method in _BODYLESS or (path.startswith("/api/") and not streamed):
            limit = settings.DATA_UPLOAD_MAX_MEMORY_SIZE or FORM_OVERHEAD_BYTES
            if size > limit:  # such a body is held in memory as a whole
                raise BodyTooLarge(f"A body of this type may have at most {limit} bytes")
        elif path.startswith("/api/"):
            if size > pictures * settings.MAX_UPLOAD_BYTES + FORM_OVERHEAD_BYTES:
                raise too_large()
        elif size > settings.MAX_MODEL_UPLOAD_MB * 1_000_000 + FORM_OVERHEAD_BYTES:
            raise BodyTooLarge(f"A form may have at most {settings.MAX_MODEL_UPLOAD_MB} MB")

    return check


def _has_credentials(headers: dict[bytes, bytes]) -> bool:
    """Whether the header brings anything that might admit its caller; what it is worth is found out later."""
    if b"authorization" in headers or b"x-api-key" in headers:
        return True
    try:
        cookies = SimpleCookie(headers.get(b"cookie", b"").decode("latin-1"))
    except CookieError:
        return False
    return settings.SESSION_COOKIE_NAME in cookies
