"""A call that carries an Idempotency-Key is done once, however often and from wherever it is repeated."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, fields
from datetime import timedelta

from django.conf import settings
from django.db import IntegrityError, OperationalError, connection, transaction
from django.db.models.functions import Now

from jobs.errors import IdempotencyConflict, IdempotencyInProgress
from jobs.models.batch import Batch
from jobs.models.idempotency import IdempotencyKey
from jobs.models.job import Job
from jobs.submission.request import Submission
from jobs.submission.target_size import TargetSize

#: Seconds for which a repetition waits for the first call's transaction, before it is answered that it still runs.
_LOCK_TIMEOUT = "5s"


#: Fields that may differ between a call and its repetition: the caller and the urgency, not the work.
_NOT_COMPARED = frozenset({"priority", "api_key", "caller", "request_id", "idempotency_key", "require_worker"})
#: Fields of every call. The others are hashed only where they were given, so that a key used before an upgrade that
#: adds an option still finds its job after it.
_ALWAYS_COMPARED = ("model", "options", "webhook_url")


class Repeated(Exception):
    """The key is taken; the transaction that found this out was rolled back."""


def fingerprint_of(submission: Submission, kind: str, pictures: Sequence[str]) -> str:
    """Return the SHA-256 (hex) of all that must be equal in a repetition.

    That is the kind of call, the pictures' SHA-256, and every field of the submission but those in ``_NOT_COMPARED``: a
    field that is added to Submission counts without a line here.
    """
    asked = [kind, list(pictures), submission.model, submission.options.as_json(), submission.webhook_url]
    others = {field.name: getattr(submission, field.name) for field in fields(submission)}
    given = {
        name: _plain(value)
        for name, value in others.items()
        if name not in _NOT_COMPARED and name not in _ALWAYS_COMPARED and value not in (None, (), "")
    }
    canonical = json.dumps([*asked, given] if given else asked, separators=(",", ":"), sort_keys=True)
    return hashlib.sha256(canonical.encode()).hexdigest()


def _plain(value: object) -> object:
    """Return a field's value in a form that JSON has, the same for equal values."""
    if isinstance(value, TargetSize):
        return asdict(value)
    return sorted(value) if isinstance(value, tuple) else value


def first_call(submission: Submission, fingerprint: str) -> Job | Batch | None:
    """Return the row that the key's first call created; None when this is the first call, or the call has no key.

    :raises IdempotencyConflict: when the first call was a different one.
    """
    if not submission.idempotency_key:
        return None
    row = (
        IdempotencyKey.objects.select_related("job", "batch")
        .filter(
            owner=_owner(submission),
            key=submission.idempotency_key,
            created_at__gt=Now() - timedelta(hours=settings.IDEMPOTENCY_TTL_HOURS),
        )
        .first()
    )
    if row is None:
        return None
    if row.fingerprint != fingerprint:
        raise IdempotencyConflict("this Idempotency-Key was used with another image or other options")
    return row.job or row.batch


def remember(submission: Submission, fingerprint: str, created: Job | Batch) -> None:
    """Write the key beside the row that its call created, in the same transaction. An expired key is overwritten.

    A repetition that arrives meanwhile waits here for the first call's transaction: the unique constraint decides.

    :raises Repeated: the other call was first: roll back and ask `first_call`.
    :raises IdempotencyInProgress: the other call's transaction goes on for longer than a few seconds.
    """
    if not submission.idempotency_key:
        return
    owner, key = _owner(submission), submission.idempotency_key
    which = {"job": created} if isinstance(created, Job) else {"batch": created}
    with connection.cursor() as cursor:
        cursor.execute(f"SET LOCAL lock_timeout = '{_LOCK_TIMEOUT}'")
    expired = Now() - timedelta(hours=settings.IDEMPOTENCY_TTL_HOURS)
    try:
        with transaction.atomic():
            IdempotencyKey.objects.filter(owner=owner, key=key, created_at__lte=expired).delete()
            IdempotencyKey.objects.create(owner=owner, key=key, fingerprint=fingerprint, **which)
    except IntegrityError as error:
        raise Repeated from error
    except OperationalError as error:
        raise IdempotencyInProgress("the first call with this Idempotency-Key is still being submitted") from error


def _owner(submission: Submission) -> str:
    return str(submission.api_key.pk) if submission.api_key else ""
