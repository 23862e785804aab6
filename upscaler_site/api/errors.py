"""The error contract: exception type -> (HTTP status, code). The only place that knows both.

Every error under /api/ has the body ``{"detail": "for people", "code": "for_programs"}``, and on 422 ``"errors":
[{"field", "message"}]`` beside them. 422: the request does not fit the schema; 400: it fits, but cannot be done with
this picture.
"""

import logging
import math
from collections.abc import Mapping, Sequence
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
from upscaler_site.web import request_errors as requests

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Answer:
    """How one type of exception is answered. ``detail`` None shows the exception's own message."""

    status: int
    code: str
    detail: str | None = None
    retry_after: int | None = None  # seconds; an attribute ``retry_after`` of the exception goes before it


#: The nearest type in the exception's MRO decides.
ANSWERS: dict[type[Exception], Answer] = {
    # jobs
    jobs.JobError: Answer(400, "job_error"),
    jobs.JobNotFound: Answer(404, "job_not_found"),
    jobs.JobStateConflict: Answer(409, "job_state_conflict"),
    jobs.ImageInvalid: Answer(400, "image_invalid"),
    jobs.ImageTooManyPixels: Answer(400, "image_too_large"),
    jobs.UploadTooLarge: Answer(413, "upload_too_large"),
    jobs.QueueFull: Answer(503, "queue_full", retry_after=30),
    jobs.NoWorker: Answer(503, "no_worker", retry_after=10),
    jobs.PrecisionUnavailable: Answer(422, "precision_unavailable"),
    jobs.StorageFull: Answer(507, "storage_full"),
    jobs.IdempotencyConflict: Answer(422, "idempotency_key_reused"),
    jobs.IdempotencyInProgress: Answer(409, "idempotency_key_in_progress", retry_after=1),
    engine.ImageRejected: Answer(400, "image_invalid"),
    engine.ImageTooLarge: Answer(400, "image_too_large"),
    engine.FormatUnsupported: Answer(400, "format_unsupported"),
    jobs.BatchNotFound: Answer(404, "batch_not_found"),
    jobs.ResultNotFound: Answer(404, "result_not_found"),
    jobs.PreviewNotFound: Answer(404, "preview_not_found"),
    jobs.JobFailed: Answer(500, "job_failed"),
    jobs.InputRejected: Answer(400, "image_invalid"),
    jobs.BatchRejected: Answer(400, "batch_rejected"),
    jobs.BatchTooLarge: Answer(422, "batch_too_large"),
    jobs.TargetRefused: Answer(422, "target_refused"),
    jobs.ImageUrlFailed: Answer(400, "image_url_failed"),
    jobs.WaitersExceeded: Answer(503, "too_many_waiting", retry_after=5),
    RangeNotSatisfiable: Answer(416, "range_not_satisfiable"),
    PreconditionFailed: Answer(412, "precondition_failed"),
    # modelstore
    models.ModelStoreError: Answer(400, "model_error"),
    models.NameRefused: Answer(404, "model_not_found"),
    models.ModelUnknown: Answer(404, "model_not_found"),
    models.ModelNotReady: Answer(503, "model_not_available"),
    models.DenoiseUnsupported: Answer(400, "denoise_unsupported"),
    models.ModelInUse: Answer(409, "model_in_use"),
    models.ModelFixed: Answer(409, "model_fixed"),
    models.ImportRefused: Answer(400, "import_refused"),
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
    response = plain_answer(answer.status, _code(error, answer), answer.detail or str(error))
    for name, value in _headers(error, answer).items():
        response.headers[name] = value
    return response


def plain_answer(status: int, code: str, detail: str) -> JsonResponse:
    """Return an error where no view runs: from a middleware, or from Django's own error pages."""
    return JsonResponse(body(detail, code), status=status)


#: Refusals that come before DRF asks its throttles.
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
    shape = body(answer.detail or str(error), _code(error, answer), getattr(error, "rejected", None))
    return Response(shape, status=answer.status, headers=_headers(error, answer))


def answer_for(error: BaseException) -> Answer | None:
    """Return the answer of the nearest known type, or None."""
    for kind in type(error).__mro__:
        if kind in ANSWERS:
            return ANSWERS[kind]
    return None


def _headers(error: Exception, answer: Answer) -> dict[str, str]:
    headers: dict[str, str] = dict(getattr(error, "headers", {}))
    retry_after = getattr(error, "retry_after", None) or answer.retry_after
    if retry_after is None and getattr(error, "coming", False):
        retry_after = 10  # the model's weights are on their way
    if retry_after is not None:
        headers["Retry-After"] = str(int(retry_after))
    return headers


def _code(error: Exception, answer: Answer) -> str:
    """Errors of jobs and engine carry their own, so that a subclass can be narrower than its entry in the table."""
    return str(getattr(error, "code", "") or answer.code)


def _framework_answer(error: drf.APIException) -> Response:
    headers = {}
    wait = getattr(error, "wait", None)
    if wait is not None:
        headers["Retry-After"] = str(max(1, math.ceil(wait)))
    if getattr(error, "auth_header", None):
        headers["WWW-Authenticate"] = str(error.auth_header)  # type: ignore[attr-defined]  # set by APIView.handle_exception
    code = next((DRF_CODES[kind] for kind in type(error).__mro__ if kind in DRF_CODES), None) or str(error.default_code)
    return Response(body(str(error.detail), code), status=error.status_code, headers=headers)


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
    return [{"field": field, "message": str(detail)}]
