"""GET /api/doctor: how this service sees a call, for the doctor alone, which proves itself by SECRET_KEY.

The answer comes in two pieces two seconds apart, so that it also tells whether a proxy keeps streams back.
"""

import json
import time
from collections.abc import Iterator

from django.core.signing import BadSignature, TimestampSigner
from django.http import Http404, HttpRequest, StreamingHttpResponse
from django.views.decorators.http import require_GET

PATH = "api/doctor"

_SIGNER = TimestampSigner(salt="monitoring.doctor.echo")
_VALID_SECONDS = 60
_PAUSE_SECONDS = 2.0


def token() -> str:
    """Return what lets one see the answer for a minute."""
    return _SIGNER.sign("doctor")


@require_GET
def view(request: HttpRequest) -> StreamingHttpResponse:
    """Answer {"scheme", "host", "hops"}: hops are the entries of X-Forwarded-For. 404 to everybody else."""
    try:
        _SIGNER.unsign(request.GET.get("by", ""), max_age=_VALID_SECONDS)
    except BadSignature:
        raise Http404("not for you") from None
    forwarded = [entry for entry in request.headers.get("X-Forwarded-For", "").split(",") if entry.strip()]
    seen = {"scheme": request.scheme, "host": request.get_host(), "hops": len(forwarded)}
    headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}  # as the event streams have
    return StreamingHttpResponse(_slowly(json.dumps(seen)), content_type="text/event-stream", headers=headers)


def _slowly(text: str) -> Iterator[bytes]:
    yield text[:1].encode()
    time.sleep(_PAUSE_SECONDS)
    yield text[1:].encode()
