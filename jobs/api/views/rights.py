"""POST /erasure and GET /export: a key's data, its own or, with the right to manage, another's."""

from dataclasses import asdict

from django.http import HttpResponse, HttpResponseBase, StreamingHttpResponse
from django.utils import timezone
from rest_framework.exceptions import PermissionDenied
from rest_framework.request import Request
from rest_framework.response import Response

from audit import log
from audit.models import Action
from jobs import erasure
from jobs.api.docs import rights as docs
from jobs.api.export import stream
from jobs.api.serializers.rights import ErasureQuerySerializer, WhoseQuerySerializer
from jobs.api.serializers.submission import query
from jobs.api.views.base import ApiViewSet
from jobs.auth.authentication import caller_key
from jobs.erasure import Erased
from jobs.errors import KeyNotFound
from jobs.models import ApiKey
from jobs.models.api_key import Scope

#: What a staff member needs for another's data.
_PERMISSION = "jobs.erase_apikey"


class RightsViewSet(ApiViewSet):
    """Everything of a key."""

    staff_permission = _PERMISSION

    @property
    def required_scope(self) -> str:  # type: ignore[override]  # told by the call
        """The scope that the call needs: another key's data is management."""
        request = getattr(self, "request", None)
        return "manage" if request is not None and "key" in request.GET else "upscale"

    @docs.ERASE
    def erase(self, request: Request) -> Response:
        """Erase everything of a key, or count it."""
        asked = query(request.query_params, ErasureQuerySerializer)
        key = _whose(request, asked.get("key", ""))
        if key is None:
            found = Erased()
        elif asked["dry_run"]:
            found = erasure.would_erase(key)
        else:
            found = erasure.erase(key, revoke=asked["revoke"])
        pending = not found.done and not asked["dry_run"]
        shape = {"done": found.done and not asked["dry_run"], "dry_run": asked["dry_run"], **asdict(found)}
        return Response(shape, status=202 if pending else 200, headers={"Retry-After": "2"} if pending else None)

    @docs.EXPORT
    def export(self, request: Request) -> HttpResponseBase:
        """Stream everything of a key as a ZIP file."""
        key = _whose(request, query(request.query_params, WhoseQuerySerializer).get("key", ""))
        name = f"upscaler-data-{timezone.now():%Y%m%d-%H%M%S}.zip"
        headers = {"Content-Disposition": f'attachment; filename="{name}"', "Cache-Control": "no-store"}
        if request.method == "HEAD":
            return HttpResponse(content_type="application/zip", headers=headers)
        if key is not None:
            log.record(Action.EXPORTED, "key", [key.prefix])
        return StreamingHttpResponse(stream(key), content_type="application/zip", headers=headers)


def _whose(request: Request, prefix: str) -> ApiKey | None:
    """Return the key that is named, else the caller's own; None for a call without either.

    :raises PermissionDenied: another's, and no right to manage; also where nothing else needs a key.
    :raises KeyNotFound: there is none of that prefix.
    """
    own = caller_key(request)
    if not prefix or (own is not None and own.prefix == prefix):
        return own
    user = request.user
    if not (own and Scope.MANAGE in own.scopes) and not (user and user.has_perm(_PERMISSION)):
        raise PermissionDenied("Another key's data needs a key with the scope manage")
    key = ApiKey.objects.filter(prefix=prefix).first()
    if key is None:
        raise KeyNotFound(prefix)
    return key
