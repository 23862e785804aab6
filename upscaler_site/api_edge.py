"""The edge of the site: an id for every request, and refusals that must come before any view looks at the request."""

import re
import uuid
from collections.abc import Callable

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.http.request import RawPostDataException

from upscaler_site.errors import plain_answer
from upscaler_site.request_id import current_request_id

_GOOD_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
_STREAMED = ("multipart/", "image/")  # read piece by piece, under their own limits
#: A refused body of up to so many bytes is read to its end.
_DISCARD_BYTES = 32_000_000
_BODYLESS = ("GET", "HEAD", "OPTIONS", "TRACE")


class RequestIdMiddleware:
    """Gives ``request.request_id``: the caller's X-Request-ID where it is fit for a log line, else a fresh one.

    The answer carries it back, so that a user's report leads to the log lines.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """Answer the request under its id."""
        given = request.headers.get("X-Request-ID", "")
        request_id = given if _GOOD_ID.fullmatch(given) else uuid.uuid4().hex
        request.request_id = request_id  # type: ignore[attr-defined]  # our addition
        token = current_request_id.set(request_id)
        try:
            response = self.get_response(request)
        finally:
            current_request_id.reset(token)
        response["X-Request-ID"] = request_id
        return response


class ApiEdgeMiddleware:
    """Refuses, under /api/ only, what would become a 500 deeper inside."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """Answer the request, or refuse it."""
        if request.path_info.startswith("/api/"):
            refusal = self._refusal(request)
            response = self.get_response(request) if refusal is None else refusal
            if response.status_code >= 400:
                _discard_body(request)
            return response
        return self.get_response(request)

    def _refusal(self, request: HttpRequest) -> HttpResponse | None:
        if "\x00" in request.path_info or "%00" in request.META.get("QUERY_STRING", ""):
            return plain_answer(400, "malformed_request", "The address holds a NUL character")
        if request.method in _BODYLESS:
            return None
        if not request.META.get("CONTENT_LENGTH") and "chunked" in request.headers.get("Transfer-Encoding", "").lower():
            # WSGI gives Django an empty body then: say so instead of "no file was sent".
            return plain_answer(
                411, "length_required", "Send the body with a Content-Length; chunked bodies are not read"
            )
        if request.content_type is not None and request.content_type.lower().startswith(_STREAMED):
            return None
        length = request.META.get("CONTENT_LENGTH") or "0"
        limit = settings.DATA_UPLOAD_MAX_MEMORY_SIZE
        if length.isdecimal() and limit is not None and int(length) > limit:
            # Such a body is held in memory as a whole.
            return plain_answer(413, "body_too_large", f"A body of this type may have at most {limit} bytes")
        return None


def _discard_body(request: HttpRequest) -> None:
    """Read the rest of a refused body, where it is not too much.

    The client learns that the connection stays open, and sends its next call on it: what is left of this body must be
    gone by then, or the web server closes the connection under that call. A client that waits for "100 Continue"
    (Expect) has not sent it.
    """
    length = request.META.get("CONTENT_LENGTH") or "0"
    if not length.isdecimal() or int(length) > _DISCARD_BYTES or "Expect" in request.headers:
        return
    try:
        while request.read(64 * 1024):
            pass
    except (OSError, RawPostDataException):  # the client is gone, or somebody read the body as a whole
        return
