"""The edge of the site: an id for every request, and refusals that must come before any view looks at the request."""

import re
import uuid
from collections.abc import Callable

from django.conf import settings
from django.http import HttpRequest, HttpResponse

from upscaler_site.errors import plain_answer
from upscaler_site.request_id import current_request_id

_GOOD_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
_STREAMED = ("multipart/", "image/")  # read piece by piece, under their own limits
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
        request.request_id = request_id  # type: ignore[attr-defined]
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
            # JSON and forms are UTF-8. Django would believe any charset that Python knows, and "charset=base64" or
            # "charset=utf-16" then breaks the parsing even of the query string.
            request.encoding = "utf-8"
            refusal = self._refusal(request)
            if refusal is not None:
                return refusal
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
