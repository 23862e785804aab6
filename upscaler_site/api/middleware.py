"""The edge of the site: an id for every request, and refusals that must come before any view looks at the request."""

import re
import uuid
from collections.abc import Callable

from django.http import HttpRequest, HttpResponse

from upscaler_site.api.errors import answer_to, plain_answer
from upscaler_site.logs.request_id import current_request_id
from upscaler_site.web.request_errors import REFUSAL

_GOOD_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")


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
    """Answers what the web server refuses, and refuses under /api/ what would become a 500 deeper inside."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """Answer the request, or refuse it."""
        refused = request.META.get(REFUSAL)
        if refused is not None:
            return answer_to(refused)
        below_api = request.path_info.startswith("/api/")
        if below_api and ("\x00" in request.path_info or "%00" in request.META.get("QUERY_STRING", "")):
            return plain_answer(400, "malformed_request", "The address holds a NUL character")
        return self.get_response(request)
