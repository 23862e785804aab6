"""Links that carry their own permission for a short time: one path, one key, until a moment.

For <img>, <a download> and EventSource, which cannot send an Authorization header. The key itself must never stand in
an address: addresses end in histories and in logs.
"""

from datetime import UTC, datetime, timedelta

from django.core import signing
from django.utils.crypto import constant_time_compare

from jobs import keys
from jobs.models.api_key import ApiKey, Scope

PARAMETER = "signature"
MAX_AGE = timedelta(hours=24)
_SALT = "jobs.links"


def sign(path: str, key: ApiKey, *, until: datetime) -> str:
    """``path`` with a signature that is good for GET and HEAD of this path, as ``key``, until then (whole seconds)."""
    moment = int(min(until, datetime.now(UTC) + MAX_AGE).timestamp())
    return f"{path}?{PARAMETER}={moment}.{key.prefix}.{_signature(path, key.prefix, moment)}"


def verify(path: str, text: str) -> ApiKey | None:
    """The key that signed ``path``; None when the signature is wrong or old, or the key no longer valid."""
    until, _, rest = text.partition(".")
    prefix, _, signature = rest.partition(".")
    if not (until.isascii() and until.isdecimal() and len(until) <= 12 and prefix.isalnum()):
        return None
    if not constant_time_compare(signature, _signature(path, prefix, int(until))):
        return None
    if datetime.now(UTC).timestamp() >= int(until):
        return None
    key = ApiKey.objects.filter(prefix=prefix).first()
    return key if key is not None and keys.is_valid(key) and Scope.UPSCALE in key.scopes else None


def _signature(path: str, prefix: str, until: int) -> str:
    return signing.Signer(salt=_SALT).signature(f"{until} {prefix} {path}")
