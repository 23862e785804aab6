"""Rate limits per API key, staff member or address: off unless RATE_LIMIT_UPSCALE or RATE_LIMIT_READ is set.

Answers carry the headers of the IETF draft "RateLimit header fields for HTTP" (draft-ietf-httpapi-ratelimit-headers);
a refused call is a 429 with Retry-After.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from rest_framework.exceptions import APIException, Throttled
from rest_framework.request import Request
from rest_framework.throttling import BaseThrottle

from jobs.auth.authentication import by_method, caller_key
from jobs.auth.client_ip import client_address
from jobs.models.rate_limit import RateBucket

if TYPE_CHECKING:
    from rest_framework.views import APIView  # which reads this module while it is imported


@dataclass(frozen=True)
class Spent:
    """The state of a rate limit, for the answer's headers."""

    scope: str
    count: int
    period: int
    remaining: int
    reset: int  # seconds until the whole limit is there again

    @property
    def policy(self) -> str:
        """RateLimit-Policy: the limit."""
        return f'"{self.scope}";q={self.count};w={self.period}'

    @property
    def state(self) -> str:
        """RateLimit: what is left of it."""
        return f'"{self.scope}";r={self.remaining};t={self.reset}'


class ScopeThrottle(BaseThrottle):
    """A throttle by the view's ``throttle_scope``: "upscale", "read" or None, or a mapping of methods to these.

    A view without one counts as "read". A refused call counts, too: see `refusal`. The limit is that of the key, else
    of the staff member, else of the address.
    """

    retry_after = 0

    def allow_request(self, request: Request, view: "APIView") -> bool:
        """Take one of the view's limit; False when nothing is left."""
        return self.take(request, _scope(request, view))

    def take(self, request: Request, scope: str | None) -> bool:
        """Take one of a scope's limit, where it has any; False when nothing is left."""
        limit = _limit(scope)
        if scope is None or limit is None:
            return True
        count, period = limit
        taken, until_full = RateBucket.objects.take(f"{scope}:{_who(request)}", count=count, period=period)
        step = period / count
        remaining = max(0, math.floor((period - until_full) / step + 1e-3))
        self.retry_after = max(1, math.ceil(until_full + step - period))
        spent = Spent(scope, count, period, remaining if taken else 0, max(0, math.ceil(until_full)))
        request._request.rate_limit = spent  # type: ignore[attr-defined]  # noqa: SLF001 - read by the middleware below
        return taken

    def wait(self) -> float:
        """Return the seconds until the next call is allowed: Retry-After."""
        return self.retry_after


def _scope(request: Request, view: "APIView") -> str | None:
    """Return what a call counts as. A dry run submits nothing: whoever looks first must not have less to submit."""
    scope: str | None = by_method(getattr(view, "throttle_scope", "read"), request.method)
    looks = request.query_params.get("dry_run", "").lower() in ("true", "1", "on", "yes")
    return "read" if scope == "upscale" and looks else scope


def refusal(error: APIException, request: Request | None, view: "APIView | None") -> APIException:
    """Count a call that was refused before its rate was asked for; return what to answer: ``error``, or Throttled.

    DRF looks at keys and permissions first. Without this, wrong keys could be tried at any rate.
    """
    if request is None or view is None or hasattr(request._request, "rate_limit"):  # noqa: SLF001 - DRF's own way
        return error
    scope = _scope(request, view)
    if scope is not None and _limit(scope) is None:
        scope = "read"  # a wrong key is no submission: it counts as a read even where submissions have no limit
    counted = ScopeThrottle()
    return error if counted.take(request, scope) else Throttled(counted.wait())


class RateLimitHeadersMiddleware:
    """Puts the headers on the answer, which a DRF throttle cannot reach."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """Answer with the headers when a limit was counted."""
        response = self.get_response(request)
        spent = getattr(request, "rate_limit", None)
        if isinstance(spent, Spent):
            response["RateLimit-Policy"] = spent.policy
            response["RateLimit"] = spent.state
        return response


def _limit(scope: str | None) -> tuple[int, int] | None:
    """Return calls and seconds of a scope's limit; None without one."""
    limits: dict[str, tuple[int, int] | None] = {
        "upscale": settings.RATE_LIMIT_UPSCALE,
        "read": settings.RATE_LIMIT_READ,
    }
    return limits.get(scope or "")


def _who(request: Request) -> str:
    key = caller_key(request)
    if key is not None:
        return f"key:{key.pk}"
    user = request.user
    if user is not None and user.is_authenticated:
        return f"user:{user.pk}"
    return f"address:{client_address(request._request)}"  # noqa: SLF001 - DRF's wrapper hides nothing of META
