"""Django's own answers for 400, 403, 404, 500 and refused CSRF tokens: JSON under /api/, pages for people elsewhere."""

import logging
import sys
from typing import Any

from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views import csrf, defaults

from upscaler_site.api.errors import answer_for, code_of, plain_answer

log = logging.getLogger(__name__)


def _is_api(request: HttpRequest) -> bool:
    return request.path_info.startswith("/api/")


def _is_of_staff(request: HttpRequest) -> bool:
    """Return True for the admin's pages seen by who is logged in to them: others learn nothing of what is there."""
    user = getattr(request, "user", None)  # absent where a middleware before the sessions' answered
    return request.path_info.startswith("/admin/") and user is not None and admin.site.has_permission(request)


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Answer 400, also for what Django files under it (too many fields, refused host)."""
    if not _is_api(request):
        return defaults.bad_request(request, exception)
    answer = answer_for(exception)
    if answer is None:
        return plain_answer(400, "bad_request", "Bad request")
    return plain_answer(answer.status, code_of(exception, answer), answer.detail or "Bad request")


def permission_denied(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Answer 403."""
    if _is_of_staff(request):
        return render(request, "admin/403.html", admin.site.each_context(request), status=403)
    if not _is_api(request):
        return defaults.permission_denied(request, exception)
    return plain_answer(403, "permission_denied", "Permission denied")


def not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Answer 404: no such address."""
    if _is_of_staff(request):
        return render(request, "admin/404.html", admin.site.each_context(request), status=404)
    if not _is_api(request):
        return defaults.page_not_found(request, exception)
    shown = request.path if len(request.path) <= 200 else f"{request.path[:200]}…"
    return plain_answer(404, "not_found", f"No such address: {shown}. The API is described at /api/docs")


def server_error(request: HttpRequest) -> HttpResponse:
    """Answer 500, with the traceback in the log under the request's id; 503 where the database does not answer."""
    error = sys.exc_info()[1]  # Django calls this while it handles the exception
    answer = answer_for(error) if error is not None else None
    if error is not None and answer is not None and answer.status == 503:
        if _is_api(request):
            response: HttpResponse = plain_answer(503, code_of(error, answer), answer.detail or "")
        else:
            response = HttpResponse(f"{answer.detail}\n", "text/plain; charset=utf-8", 503)
        response["Retry-After"] = str(answer.retry_seconds(error) or 5)
        return response
    if not _is_api(request):
        return defaults.server_error(request)
    request_id = getattr(request, "request_id", "")
    return plain_answer(
        500, "internal_error", f"Internal server error. The log has the reason under request {request_id}"
    )


def csrf_failure(request: HttpRequest, reason: str = "", **_: Any) -> HttpResponse:
    """Answer 403: a form without its CSRF token."""
    if not _is_api(request):
        return csrf.csrf_failure(request, reason=reason)
    return plain_answer(403, "csrf_failed", f"CSRF token refused: {reason}")
