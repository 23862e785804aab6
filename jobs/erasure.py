"""Erases everything of a key: jobs with all their files, batches, webhooks, Idempotency-Keys; its name in the logs.

The wish is a row (``ApiKey.erase_until``) before anything goes, and is taken back when nothing is left. In between each
step may be repeated: by the call, by another one, and by a worker of the `io` cluster, which goes on by itself after a
kill and while running jobs still have to stop. What the key makes after the wish stays.
"""

import logging
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

from django.db import transaction
from django.db.models import QuerySet, Sum
from django.db.models.functions import Coalesce, Now

from audit import log
from audit.models import Action, Kind
from jobs import actions
from jobs.auth import api_keys
from jobs.errors import JobNotFound, JobStateConflict
from jobs.models.api_key import ApiKey
from jobs.models.batch import Batch
from jobs.models.idempotency import IdempotencyKey
from jobs.models.job import Job
from jobs.models.job_queryset import JobQuerySet
from jobs.models.usage import UsageEntry
from jobs.models.webhook import WebhookMessage
from jobs.states import LIVE
from jobs.storage.deletion import CHUNK, delete_ended

logger = logging.getLogger(__name__)

#: The fields of `Erased` that count what a key still has as well as what is gone.
_COUNTED = ("jobs", "bytes", "batches", "webhooks", "idempotency_keys")


@dataclass(frozen=True)
class Erased:
    """The counts of an erasure, or of what one would erase."""

    jobs: int = 0
    bytes: int = 0  # of their files
    batches: int = 0
    webhooks: int = 0
    idempotency_keys: int = 0
    names: int = 0  # in the audit log and in the usage ledger
    pending_jobs: int = 0  # running ones, which have been told to stop: they go when they have
    failed_files: int = 0  # files that could not be deleted: the log names each

    @property
    def done(self) -> bool:
        """True if nothing is left to do."""
        return not self.pending_jobs


def would_erase(key: ApiKey) -> Erased:
    """Count what there is of a key now."""
    jobs = Job.objects.filter(api_key=key)
    sizes = jobs.aggregate(inputs=Coalesce(Sum("input_bytes"), 0), results=Coalesce(Sum("result_bytes"), 0))
    return Erased(
        jobs=jobs.count(),
        bytes=sizes["inputs"] + sizes["results"],
        batches=Batch.objects.filter(api_key=key).count(),
        webhooks=WebhookMessage.objects.filter(api_key=key).count(),
        idempotency_keys=IdempotencyKey.objects.filter(owner=str(key.pk)).count(),
        pending_jobs=jobs.filter(status__in=LIVE).count(),
    )


def erase(key: ApiKey, *, revoke: bool = False) -> Erased:
    """Erase everything that the key has made until now; go on with an erasure that was begun before.

    :param revoke: whether the key is revoked, too, and loses its name.
    """
    before = would_erase(key)
    with transaction.atomic():
        if revoke:
            api_keys.revoke([key])
        ApiKey.objects.filter(pk=key.pk).update(erase_until=Now())
        log.record(Action.ERASED, "key", [log.pseudonym_of(str(key.pk))], step="begun")
    return _since(before, key, _go_on(key))


def _since(before: Erased, key: ApiKey, erased: Erased) -> Erased:
    """Return what is gone since ``before``: workers of the `io` cluster may have done a part of it, or all."""
    left = would_erase(key)
    gone = {name: getattr(before, name) - getattr(left, name) for name in _COUNTED}
    return replace(erased, **{name: max(count, getattr(erased, name)) for name, count in gone.items()})


def go_on() -> None:
    """Go on with every erasure that has begun. A worker's task, named by its path in jobs/queue/work.py."""
    for key in ApiKey.objects.filter(erase_until__isnull=False):
        try:
            _go_on(key)
        except Exception:  # the worker's edge: django-q2 above could do nothing about it, and the row waits still
            logger.exception("erasure broke off, and will go on")


def _go_on(key: ApiKey) -> Erased:
    key.refresh_from_db(fields=["erase_until", "revoked_at"])
    until = key.erase_until
    if until is None:  # another one was faster
        return Erased()
    jobs: JobQuerySet = Job.objects.filter(api_key=key, created_at__lte=until)
    _cancel_all(jobs)
    # Before the jobs, with which they would go uncounted.
    called = _delete(IdempotencyKey.objects.filter(owner=str(key.pk), created_at__lte=until))
    gone = delete_ended(jobs.order_by("created_at"), action=Action.ERASED)
    webhooks = WebhookMessage.objects.filter(api_key=key).exclude(job__created_at__gt=until)
    counts = {
        "webhooks": _delete(webhooks),
        "idempotency_keys": called,
        "batches": _delete(Batch.objects.filter(api_key=key, created_at__lte=until, jobs=None)),
    }
    pending = jobs.count()
    names = 0 if pending else _finish(key)
    erased = Erased(
        jobs=gone.jobs,
        bytes=gone.files.bytes,
        failed_files=gone.files.failed,
        names=names,
        pending_jobs=pending,
        **counts,
    )
    logger.info("erasure jobs=%d bytes=%d pending=%d done=%s", erased.jobs, erased.bytes, pending, erased.done)
    return erased


def _cancel_all(jobs: JobQuerySet) -> None:
    live = jobs.filter(status__in=LIVE, cancel_requested=False)
    for job_id in list(live.values_list("pk", flat=True)):
        with suppress(JobNotFound, JobStateConflict):  # it ended meanwhile
            actions.cancel(jobs, job_id)


def _delete(rows: QuerySet[Any]) -> int:
    """Delete rows, so many at a time that no transaction is long; return how many."""
    total = 0
    while ids := list(rows.order_by("pk").values_list("pk", flat=True)[:CHUNK]):
        rows.model._default_manager.filter(pk__in=ids).delete()  # noqa: SLF001 - Django's public name for it
        total += len(ids)
    return total


def _finish(key: ApiKey) -> int:
    """Take the wish back and the names out, unless there is a newer wish by now. Return how many names there were."""
    reference = str(key.pk)
    pseudonym = log.pseudonym_of(reference)
    with transaction.atomic():
        if not ApiKey.objects.filter(pk=key.pk, erase_until=key.erase_until).update(erase_until=None):
            return 0
        ApiKey.objects.filter(pk=key.pk, revoked_at__isnull=False).update(name=pseudonym)
        by = log.acting()
        if by.kind == Kind.KEY and by.reference == reference:  # it is not named anew by its own erasure
            by = log.Acting(Kind.SYSTEM, "erasure", "an erased key")
        log.record(Action.ERASED, "key", [pseudonym], by=by, step="done")
        return log.pseudonymise(reference) + UsageEntry.objects.forget_name(key.prefix, pseudonym)
