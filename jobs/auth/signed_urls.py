"""Links that carry their own permission for a short time: one target, one key, until a moment.

A target is a path, or with views that name parameters as `signed_parameters` the path with these.

For <img>, <a download> and EventSource, which cannot send an Authorization header. The key itself must never stand in
an address: addresses end in histories and in logs.
"""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from urllib.parse import urlencode

from django.core import signing
from django.utils.crypto import constant_time_compare

from jobs.auth import api_keys
from jobs.models.api_key import ApiKey, Scope

PARAMETER = "signature"
MAX_AGE = timedelta(hours=24)
_SALT = "jobs.links"  # not the module's path: links that were given out outlive a move of this file


def target(path: str, parameters: Mapping[str, str], names: Iterable[str]) -> str:
    """Return the path with the parameters that are signed; others are ignored."""
    query = urlencode({name: parameters.get(name, "") for name in names}, safe=",")
    return f"{path}?{query}" if query else path


def sign(target: str, key: ApiKey, *, until: datetime) -> str:
    """Sign ``target`` as ``key`` for GET and HEAD until then (whole seconds)."""
    moment = int(min(until, datetime.now(UTC) + MAX_AGE).timestamp())
    joint = "&" if "?" in target else "?"
    return f"{target}{joint}{PARAMETER}={moment}.{key.prefix}.{_signature(target, key.prefix, moment)}"


def verify(target: str, text: str) -> ApiKey | None:
    """Return the key that signed ``target``; None when signature or key is wrong, expired or revoked."""
    until, _, rest = text.partition(".")
    prefix, _, signature = rest.partition(".")
    if not (until.isascii() and until.isdecimal() and len(until) <= 12 and prefix.isalnum()):
        return None
    if not constant_time_compare(signature, _signature(target, prefix, int(until))):
        return None
    if datetime.now(UTC).timestamp() >= int(until):
        return None
    key = ApiKey.objects.filter(prefix=prefix).first()
    return key if key is not None and api_keys.is_valid(key) and Scope.UPSCALE in key.scopes else None


def _signature(target: str, prefix: str, until: int) -> str:
    return signing.Signer(salt=_SALT).signature(f"{until} {prefix} {target}")
