"""API keys: made, checked, revoked. The secret is shown once; the database keeps its hash only."""

import hashlib
import hmac
import re
import secrets
import string
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction
from django.db.models import Q
from django.db.models.functions import Now
from django.utils import timezone

from audit import log
from audit.models import Action
from jobs.models.api_key import ApiKey, Scope

_PREFIX = string.ascii_lowercase + string.digits
_SECRET = string.ascii_letters + string.digits
_FORM = re.compile(r"ups_([a-z0-9]{8})_[A-Za-z0-9]{43}")  # 43 of 62 characters: 256 bits
_LAST_USED_STEP = timedelta(minutes=1)  # precision of last_used_at: a write per call would cost too much


#: The share and the limits of a key; those that are None are as the settings say (CALLER_MAX_…), 0 is no limit.
LIMITS = ("max_queued_jobs", "max_running_jobs", "max_stored_bytes", "max_megapixels_per_day")


def issue(
    name: str,
    scopes: Iterable[str],
    *,
    expires_at: datetime | None = None,
    retain_hours: int | None = None,
    share: float = 1.0,
    high_priority: bool = False,
    **limits: float | None,
) -> tuple[ApiKey, str]:
    """Make a key; returns its row and the key itself, which cannot be had again.

    :param high_priority: whether it may ask for priority=high.
    :param limits: by their names in LIMITS.
    :raises ValueError: unknown or no scopes; :raises ValidationError: a share or a limit out of its bounds.
    """
    wanted = list(dict.fromkeys(str(Scope(scope)) for scope in scopes))
    if not wanted:
        raise ValueError("a key needs at least one scope")
    prefix = "".join(secrets.choice(_PREFIX) for _ in range(8))
    text = f"ups_{prefix}_" + "".join(secrets.choice(_SECRET) for _ in range(43))
    key = ApiKey(
        name=name, prefix=prefix, digest=_digest(text), scopes=wanted, expires_at=expires_at, share=share,
        high_priority=high_priority, retain_hours=retain_hours,
    )  # fmt: skip
    _allow(key, limits)
    with transaction.atomic():
        key.save(force_insert=True)
        log.record(Action.KEY_MADE, "key", [prefix], scopes=wanted)
    return key, text


def change(key: ApiKey, **values: Any) -> None:
    """Give a key another name, share or limits, by their names; they hold from now on.

    :raises ValidationError: one is out of its bounds.
    """
    _allow(key, values)
    ApiKey.objects.filter(pk=key.pk).update(**values)


def _allow(key: ApiKey, values: Mapping[str, Any]) -> None:
    for name, value in values.items():
        setattr(key, name, value)
    others = {field.name for field in ApiKey._meta.get_fields()} - {*LIMITS, "share"}  # noqa: SLF001 - Django documents it
    key.clean_fields(exclude=others)


def looks_like_ours(text: str) -> bool:
    """Return whether ``text`` begins as our keys do: the same header may hold another gateway's token."""
    return text.startswith("ups_")


def verify(text: str) -> ApiKey | None:
    """Return the valid key with this text; None when it is unknown, wrong, expired or revoked.

    The prefix finds the row and is no secret; the comparison of the hashes takes the same time wherever they differ.
    """
    match = _FORM.fullmatch(text)
    if match is None:
        return None
    key = ApiKey.objects.filter(prefix=match[1]).first()
    digest = _digest(text)
    if key is None or not hmac.compare_digest(key.digest, digest) or not is_valid(key):
        return None
    return key


def is_valid(key: ApiKey) -> bool:
    """Return True if the key is neither revoked nor expired."""
    return key.revoked_at is None and (key.expires_at is None or key.expires_at > timezone.now())


def touch(key: ApiKey) -> None:
    """Note that the key was used, at most once a minute."""
    now = timezone.now()
    if key.last_used_at is None or now - key.last_used_at >= _LAST_USED_STEP:
        stale = Q(last_used_at__isnull=True) | Q(last_used_at__lt=now - _LAST_USED_STEP)
        ApiKey.objects.filter(stale, pk=key.pk).update(last_used_at=now)


def revoke(keys: Iterable[ApiKey]) -> int:
    """Revoke for good; returns how many were still valid. Jobs keep their key as owner."""
    valid = ApiKey.objects.filter(pk__in=[key.pk for key in keys], revoked_at__isnull=True)
    with transaction.atomic():
        prefixes = list(valid.select_for_update().values_list("prefix", flat=True))
        log.record(Action.KEY_REVOKED, "key", prefixes)
        return valid.update(revoked_at=Now())


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
