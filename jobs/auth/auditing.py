"""Names for the audit log who acts in a request: its key, the staff member, or nobody who says a name."""

from collections.abc import Callable

from django.http import HttpRequest, HttpResponse

from audit import log
from audit.log import Acting
from audit.models import Kind
from jobs.auth.client_ip import client_address
from jobs.models.api_key import ApiKey


class AuditMiddleware:
    """Lets the audit log ask about the request, when something is recorded: the key is known in the view only."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """Answer the request."""
        before = log.acting_by(lambda: acting_in(request))
        try:
            return self.get_response(request)
        finally:
            log.acting_no_more(before)


def acting_in(request: HttpRequest) -> Acting:
    """Return who acts in this request. DRF puts the key that it accepted, and the user, into Django's request."""
    came = (str(getattr(request, "request_id", "")), client_address(request))
    key = getattr(request, "auth", None)
    if isinstance(key, ApiKey):
        return Acting(Kind.KEY, str(key.pk), str(key), *came)
    user = getattr(request, "user", None)
    if user is not None and user.is_authenticated:
        return Acting(Kind.STAFF, str(user.pk), user.get_username(), *came)
    return Acting(Kind.CALLER, "caller", "a caller without a key", *came)
