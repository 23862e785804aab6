"""Log-ins of staff, however they came: by password or by a provider of identities."""

from typing import Any

from django.http import HttpRequest

from audit import log
from audit.models import Action, Kind


def logged_in(sender: Any, request: HttpRequest | None, user: Any, **_: Any) -> None:  # noqa: ARG001 - a signal's
    """Record who logged in."""
    now = log.acting()
    by = log.Acting(Kind.STAFF, str(user.pk), user.get_username(), now.request_id, now.address)
    log.record(Action.LOGGED_IN, "account", [user.get_username()], by=by)


def login_failed(sender: Any, credentials: dict[str, Any], **_: Any) -> None:  # noqa: ARG001 - a signal's
    """Record the account that was tried: by whom, only the address knows."""
    account = "".join(c if c.isprintable() else "?" for c in str(credentials.get("username") or ""))
    log.record(Action.LOGIN_FAILED, "account", [account[:100]])
