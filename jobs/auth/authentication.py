"""Authentication and permission: by key, by a staff member's session, or by a signed link.

Everything is open unless REQUIRE_API_KEY or REQUIRE_MANAGE_KEY is set. A view says what it needs by ``required_scope``:
"upscale", "manage", None (always open: health), or a mapping of methods to these; a view that says nothing needs
"upscale", so that a forgotten line closes rather than opens.
"""

from collections.abc import Mapping
from copy import copy
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.http import QueryDict
from django.utils.datastructures import MultiValueDict
from rest_framework.authentication import BaseAuthentication, SessionAuthentication
from rest_framework.exceptions import AuthenticationFailed, PermissionDenied
from rest_framework.permissions import BasePermission
from rest_framework.request import Request

from jobs.auth import api_keys, signed_urls
from jobs.models.api_key import ApiKey, Scope

if TYPE_CHECKING:
    from rest_framework.views import APIView  # which reads this module while it is imported

REALM = 'Bearer realm="upscaler"'
#: What a staff member needs where a key needs this scope and the view names no permission of its own. The scope upscale
#: shows a session everybody's jobs, its own too: no row says which session submitted it.
PERMISSIONS = {Scope.UPSCALE: "jobs.view_job", Scope.MANAGE: "jobs.cleanup_job"}


def by_method(value: Any, method: str | None) -> str | None:
    """Return a view attribute's value for this method: itself, or its entry for the method ("*": all others)."""
    if isinstance(value, Mapping):
        method = "GET" if method == "HEAD" else method
        value = value.get(method, value.get("*", Scope.UPSCALE))
    return None if value is None else str(value)


def required_scope(request: Request, view: object) -> Scope | None:
    """Return the scope that a call needs under the present settings; None when it is open."""
    scope = by_method(getattr(view, "required_scope", Scope.UPSCALE), request.method)
    if scope is None or request.method == "OPTIONS":
        return None
    if scope == Scope.MANAGE:
        return Scope.MANAGE if settings.REQUIRE_API_KEY or settings.REQUIRE_MANAGE_KEY else None
    return Scope(scope) if settings.REQUIRE_API_KEY else None


def caller_key(request: Request) -> ApiKey | None:
    """Return the caller's key, which owns what the caller submits."""
    return request.auth if isinstance(request.auth, ApiKey) else None


def seen_by(request: Request) -> ApiKey | None:
    """Return the key whose jobs the caller sees: its own with REQUIRE_API_KEY.

    None, everybody's, otherwise and for staff.
    """
    return caller_key(request) if settings.REQUIRE_API_KEY else None


class KeyAuthentication(BaseAuthentication):
    """``Authorization: Bearer ups_…`` or ``X-API-Key: ups_…``."""

    def authenticate(self, request: Request) -> tuple[None, ApiKey] | None:
        """Return (None, key); None without a key. A key that is given must be valid, required or not.

        A token of another form belongs to somebody else's gateway while keys are not required.
        """
        text = _given(request)
        if not text or not (api_keys.looks_like_ours(text) or required_scope(request, _view(request))):
            return None
        key = api_keys.verify(text)
        if key is None:
            raise AuthenticationFailed("The API key is unknown, expired or revoked")
        api_keys.touch(key)
        return None, key

    def authenticate_header(self, request: Request) -> str:  # noqa: ARG002 - DRF's signature
        """Return the WWW-Authenticate header of a 401."""
        return REALM


class LinkAuthentication(BaseAuthentication):
    """A signed link (jobs/auth/signed_urls.py), for <img> and EventSource, which cannot send headers."""

    def authenticate(self, request: Request) -> tuple[None, ApiKey] | None:
        """Return (None, the key that made the link); None without a signature."""
        if signed_urls.PARAMETER not in request.query_params or request.method not in ("GET", "HEAD"):
            return None
        names = getattr(_view(request), "signed_parameters", ())
        target = signed_urls.target(request.path, request.query_params, names)
        key = signed_urls.verify(target, request.query_params[signed_urls.PARAMETER])
        if key is None:
            raise AuthenticationFailed("The link is not valid or has expired")
        return None, key


class StaffAuthentication(SessionAuthentication):
    """The session of a staff member who is logged into the admin, so that the web page works where keys are required.

    The cookie is looked at only where a key would be needed, and then every unsafe method needs Django's CSRF token: a
    browser sends the cookie along with a foreign page's request, too.
    """

    def authenticate(self, request: Request) -> tuple[Any, None] | None:
        """Return (user, None) for active staff; None for everybody else."""
        if required_scope(request, _view(request)) is None:
            return None
        user = getattr(request._request, "user", None)  # noqa: SLF001 - DRF's own way to Django's user
        if user is None or not user.is_active or not user.is_staff:
            return None
        self.enforce_csrf(request)
        return user, None

    def enforce_csrf(self, request: Request) -> None:
        """Require the CSRF token in the header X-CSRFToken.

        Django would look for it in the form first: that would read a whole upload before the caller is authenticated.
        """
        bare: Any = copy(request._request)  # noqa: SLF001 - as above
        bare._post, bare._files = QueryDict(), MultiValueDict()  # noqa: SLF001 - as if read already
        super().enforce_csrf(bare)


class ScopePermission(BasePermission):
    """Lets a call through when it is open, or when its key or staff member may do what the view's scope says.

    Without any credentials DRF turns the refusal into 401 with WWW-Authenticate; with some it is 403.
    """

    def has_permission(self, request: Request, view: "APIView") -> bool:
        """Return whether the call may go on; a missing scope is named."""
        scope = required_scope(request, view)
        if scope is None:
            return True
        key = caller_key(request)
        if key is not None:
            if scope not in key.scopes:
                raise PermissionDenied(f"The API key lacks the scope {scope}")
            return True
        user = request.user
        if user is None or not user.is_authenticated:
            return False
        permission = getattr(view, "staff_permission", None) or PERMISSIONS[scope]
        if not user.has_perm(permission):
            raise PermissionDenied(f"Your account lacks the permission {permission}")
        return True


def _given(request: Request) -> str:
    bearer, _, token = request.headers.get("Authorization", "").partition(" ")
    if bearer.lower() == "bearer" and token.strip():
        return token.strip()
    return request.headers.get("X-API-Key", "").strip()


def _view(request: Request) -> object:
    return (request.parser_context or {}).get("view")
