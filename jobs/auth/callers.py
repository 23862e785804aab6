"""Callers: the names under which they share the queue and have their limits.

An address is kept as a keyed hash, so that the table tells nobody's; with another SECRET_KEY it becomes another caller.
"""

import hashlib
import hmac

from django.conf import settings
from rest_framework.request import Request

from jobs.auth.authentication import caller_key
from jobs.auth.client_ip import client_address
from jobs.models.api_key import ApiKey


def caller_of(request: Request) -> str:
    """Return the caller of a request: its API key, else the staff member, else the address (IPv6: its /64)."""
    key = caller_key(request)
    if key is not None:
        return of_key(key)
    user = request.user
    if user is not None and user.is_authenticated:
        return f"user:{user.pk}"
    return of_address(client_address(request._request))  # noqa: SLF001 - DRF's wrapper hides nothing of META


def of_key(key: ApiKey) -> str:
    """Return the caller that has this key."""
    return f"key:{key.pk}"


def of_address(address: str) -> str:
    """Return the caller at this address, which cannot be told from it; all unknown ones ("") are one."""
    digest = hmac.new(settings.SECRET_KEY.encode(), f"caller {address}".encode(), hashlib.sha256)
    return f"address:{digest.hexdigest()[:16]}"
