"""The error contract: exception type -> (HTTP status, code). The only place that knows both.

Every error under /api/ has the body ``{"detail": "for people", "code": "for_programs"}``, and on 422 ``"errors":
[{"field", "message"}]`` beside them. 422: the request does not fit the schema; 400: it fits, but cannot be done with
this picture.
"""

import logging
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.core.exceptions import (
    BadRequest,
    PermissionDenied,
    RequestDataTooBig,
    SuspiciousOperation,
    TooManyFieldsSent,
)
from django.core.exceptions import TooManyFilesSent as TooManyFiles
from django.db import InterfaceError, OperationalError
from django.http import Http404, JsonResponse, UnreadablePostError
from rest_framework import exceptions as drf
from rest_framework.response import Response

from jobs import errors as jobs
from jobs.api.views.downloads import PreconditionFailed
from jobs.api.views.ranges import RangeNotSatisfiable
from jobs.auth import throttling
from jobs.engine import errors as engine
from modelstore import errors as models
from modelstore.sentences import told
from upscaler_site.web import request_errors as requests

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Answer:
    """The answer to one type of exception. ``detail`` None shows the exception's own message."""

    status: int
    code: str = ""  # "": the exception's own
    detail: str | None = None
    retry_after: int | Callable[[Any], int | None] | None = None  # seconds, or a function of the exception

    def retry_seconds(self, error: BaseException) -> int | None:
        """Return the seconds for Retry-After; None: asking again is no use, or nobody knows when."""
        return self.retry_after(error) if callable(self.retry_after) else self.retry_after


#: The nearest type in the exception's MRO decides.
ANSWERS: dict[type[Exception], Answer] = {
    # jobs
    jobs.JobError: Answer(400),
    jobs.JobNotFound: Answer(404),
    jobs.JobStateConflict: Answer(409),
    jobs.ImageInvalid: Answer(400),
    jobs.ImageTooManyPixels: Answer(400),
    jobs.UploadTooLarge: Answer(413),
    jobs.TooExpensive: Answer(400),
    jobs.QueueFull: Answer(503, retry_after=10),
    jobs.LimitReached: Answer(429, retry_after=lambda error: error.retry_seconds),
    jobs.NoWorker: Answer(503, retry_after=10),
    jobs.PrecisionUnavailable: Answer(422),
    jobs.ChainRefused: Answer(422),
    jobs.StorageFull: Answer(507),
    jobs.IdempotencyConflict: Answer(422),
    jobs.IdempotencyInProgress: Answer(409, retry_after=1),
    engine.ImageRejected: Answer(400, "image_invalid"),
    engine.ImageTooLarge: Answer(400, "image_too_large"),
    engine.FormatUnsupported: Answer(400, "format_unsupported"),
    jobs.BatchNotFound: Answer(404),
    jobs.KeyNotFound: Answer(404),
    jobs.ResultNotFound: Answer(404),
    jobs.PreviewNotFound: Answer(404),
    jobs.PyramidNotFound: Answer(404),
    jobs.PyramidsBusy: Answer(503, retry_after=5),
    jobs.JobFailed: Answer(500),
    jobs.InputRejected: Answer(400),
    jobs.BatchRejected: Answer(400),
    jobs.BatchTooLarge: Answer(422),
    jobs.PriorityRefused: Answer(403),
    jobs.WebhookRefused: Answer(422),
    jobs.ImageUrlRefused: Answer(422),
    jobs.ImageUrlFailed: Answer(400),
    jobs.WaitersExceeded: Answer(503, retry_after=5),
    RangeNotSatisfiable: Answer(416, "range_not_satisfiable"),
    PreconditionFailed: Answer(412, "precondition_failed"),
    # modelstore
    models.ModelStoreError: Answer(400),
    models.NameRefused: Answer(404),
    models.ModelUnknown: Answer(404),
    models.ModelNotReady: Answer(503, retry_after=lambda error: 10 if error.coming else None),
    models.DenoiseUnsupported: Answer(400),
    models.ModelInUse: Answer(409),
    models.ModelFixed: Answer(409),
    models.ImportRefused: Answer(400),
    models.StorageUnavailable: Answer(503, "storage_unavailable", "The storage does not answer; try again soon", 5),
    # the web server
    requests.FramingAmbiguous: Answer(400, "malformed_request"),
    requests.AddressTooLong: Answer(414, "address_too_long"),
    requests.HeaderTooLarge: Answer(431, "header_too_large"),
    requests.BodyTooLarge: Answer(413, "body_too_large"),
    requests.BodyTooSlow: Answer(408, "body_too_slow"),
    requests.CredentialsMissing: Answer(401, "not_authenticated"),
    # the framework
    Http404: Answer(404, "not_found", "Not found"),
    PermissionDenied: Answer(403, "permission_denied", "Permission denied"),
    SuspiciousOperation: Answer(400, "bad_request", "Bad request"),
    BadRequest: Answer(400, "bad_request", "Bad request"),
    UnreadablePostError: Answer(400, "bad_request", "The request's body ended before it was complete"),
    RequestDataTooBig: Answer(413, "body_too_large", "The form's fields (without the files) are too large together"),
    TooManyFieldsSent: Answer(422, "too_many_fields", "The form has too many fields"),
    TooManyFiles: Answer(422, "too_many_files", "The form has too many files"),
    OperationalError: Answer(503, "database_unavailable", "The database does not answer; try again soon", 5),
    InterfaceError: Answer(503, "database_unavailable", "The database does not answer; try again soon", 5),
}

#: Codes of DRF's own exceptions, whose status they carry themselves.
DRF_CODES: dict[type[drf.APIException], str] = {
    drf.ParseError: "malformed_request",
    drf.NotAuthenticated: "not_authenticated",
    drf.AuthenticationFailed: "authentication_failed",
    drf.PermissionDenied: "permission_denied",
    drf.NotFound: "not_found",
    drf.MethodNotAllowed: "method_not_allowed",
    drf.UnsupportedMediaType: "unsupported_media_type",
    drf.Throttled: "throttled",
}


def body(detail: str, code: str, errors: Sequence[Mapping[str, object]] | None = None) -> dict[str, Any]:
    """Return the error shape."""
    shape: dict[str, Any] = {"detail": detail, "code": code}
    if errors is not None:
        shape["errors"] = errors
    return shape


def answer_to(error: Exception) -> JsonResponse:
    """Return the answer to an error of ours where no view runs; the table knows it."""
    answer = answer_for(error)
    if answer is None:
        raise error
    response = plain_answer(answer.status, code_of(error, answer), answer.detail or str(error))
    for name, value in _headers(error, answer).items():
        response.headers[name] = value
    return response


def plain_answer(status: int, code: str, detail: str) -> JsonResponse:
    """Return an error where no view runs: from a middleware, or from Django's own error pages."""
    return JsonResponse(body(told(detail), code), status=status)


#: Refusals that come before DRF's throttles run.
_REFUSED = (drf.AuthenticationFailed, drf.NotAuthenticated, drf.PermissionDenied)


def exception_handler(error: Exception, context: dict[str, Any]) -> Response | None:
    """DRF's EXCEPTION_HANDLER. None lets Django answer 500 (and log the traceback)."""
    if isinstance(error, _REFUSED):
        error = throttling.refusal(error, context.get("request"), context.get("view"))
    if isinstance(error, drf.ValidationError):
        problems = flatten(error.detail)
        detail = "; ".join(f"{p['field']}: {p['message']}" if p["field"] else p["message"] for p in problems)
        return Response(body(detail, "validation_error", problems), status=422)
    if isinstance(error, drf.APIException):
        return _framework_answer(error)
    answer = answer_for(error)
    if answer is None:
        return None
    if answer.code == "database_unavailable":
        log.error("the database does not answer: %s", jobs.one_line(error))
    shape = body(told(answer.detail or str(error)), code_of(error, answer), _rejected(error))
    return Response(shape, status=answer.status, headers=_headers(error, answer))


def answer_for(error: BaseException) -> Answer | None:
    """Return the answer of the nearest known type, or None."""
    for kind in type(error).__mro__:
        if kind in ANSWERS:
            return ANSWERS[kind]
    return None


def code_of(error: BaseException | type[BaseException], answer: Answer) -> str:
    """Return the table's code, or the error's own: so a subclass can be narrower than its entry in the table."""
    return answer.code or str(error.code)  # type: ignore[union-attr]  # a test sees that each has one of the two


def _rejected(error: Exception) -> list[dict[str, object]] | None:
    """Return the pictures of a batch that were refused, with their reasons in the caller's language."""
    rejected: list[dict[str, object]] | None = getattr(error, "rejected", None)
    return rejected and [{**each, "detail": told(str(each["detail"]))} for each in rejected]


def _headers(error: Exception, answer: Answer) -> dict[str, str]:
    headers: dict[str, str] = dict(getattr(error, "headers", {}))
    seconds = answer.retry_seconds(error)
    if seconds is not None:
        headers["Retry-After"] = str(seconds)
    return headers


def _framework_answer(error: drf.APIException) -> Response:
    headers = {}
    wait = getattr(error, "wait", None)
    if wait is not None:
        headers["Retry-After"] = str(max(1, math.ceil(wait)))
    if getattr(error, "auth_header", None):
        headers["WWW-Authenticate"] = str(error.auth_header)  # type: ignore[attr-defined]  # set by APIView.handle_exception
    code = next((DRF_CODES[kind] for kind in type(error).__mro__ if kind in DRF_CODES), None) or str(error.default_code)
    return Response(body(told(str(error.detail)), code), status=error.status_code, headers=headers)


def flatten(detail: Any, field: str = "") -> list[dict[str, str]]:
    """Return DRF's nested messages as a flat list; ``a.b`` and ``a[0]`` name what lies inside."""
    if isinstance(detail, dict):
        problems = []
        for name, inner in detail.items():
            own = "" if name == "non_field_errors" else str(name)
            problems += flatten(inner, f"{field}.{own}" if field and own else field or own)
        return problems
    if isinstance(detail, list):
        problems = []
        for index, inner in enumerate(detail):
            problems += flatten(inner, f"{field}[{index}]" if isinstance(inner, dict | list) else field)
        return problems
    return [{"field": field, "message": told(str(detail))}]
