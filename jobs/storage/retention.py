"""Removes what is older than its time: ended jobs with their files, files without a job, what else is left behind.

`cleanup` is the one function for the command, the API, the admin and the service's own schedule. Rows go first, in
chunks, then their files: a process that is killed in between leaves files that nothing names, which the next clean-up
finds, and never a job that the API offers without its picture. Waiting and running jobs are never touched. Jobs that go
at a time of their own, and inputs that go when their job has ended, need not wait for it: `expire` runs as soon as rows
say so.

An orphan is a file in the jobs' directories that no row names, and that none will: who wrote it was killed, or lost
its claim. A submission names its file when it commits, a claim when its result is accepted, so a young file may be
named yet. Hence the age (ORPHAN_SECONDS), far longer than either step takes; where nobody writes it may be 0.
"""

import logging
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import timedelta

from django.conf import settings
from django.db import transaction
from django.db.models import Exists, OuterRef
from django.db.models.functions import Now

from audit import log
from audit.models import Action
from jobs.models.allowance import Allowance
from jobs.models.batch import Batch
from jobs.models.idempotency import IdempotencyKey
from jobs.models.job import Job
from jobs.models.job_queryset import JobQuerySet
from jobs.models.rate_limit import RateBucket
from jobs.models.turn import Turn
from jobs.models.usage import UsageEntry
from jobs.models.webhook import WebhookMessage
from jobs.storage import file_names, files
from jobs.storage.deletion import CHUNK, Deleted, delete_ended

logger = logging.getLogger(__name__)

#: Younger files may belong to a row that is not committed yet, or to a result that is being written.
ORPHAN_SECONDS = 3600.0
#: An upload stays in its directory while its request runs, which may take hours for a large batch on a slow line.
UPLOAD_SECONDS = 24 * 3600.0
_WEBHOOK_LOG_DAYS = 7


@dataclass(frozen=True)
class CleanupReport:
    """The counts of a clean-up; with a dry run, of what would be removed."""

    jobs: int = 0
    files: int = 0  # of those jobs
    bytes: int = 0  # freed by all files together
    orphans: int = 0  # files that belonged to no job
    failed: int = 0  # files that could not be deleted: the log names each

    @property
    def complaint(self) -> str:
        """The sentence about files that are still there; "" when there are none."""
        if not self.failed:
            return ""
        return f"{self.failed} file{'s' if self.failed > 1 else ''} could not be deleted; the log says which and why"


def cleanup(hours: float | None = None, *, dry_run: bool = False, orphan_seconds: float | None = None) -> CleanupReport:
    """Remove jobs that ended more than ``hours`` ago (None: RESULT_TTL_HOURS), and orphaned files.

    Jobs whose own time is over go always. Those that may stay longer than RESULT_TTL_HOURS stay at that age, and go
    when another age is given: it is the operator's word.

    :param orphan_seconds: how old orphans must be; None: as long as whoever writes them may take.
    :raises ValueError: ``hours`` is negative or no finite number.
    """
    hours = settings.RESULT_TTL_HOURS if hours is None else hours
    if not 0 <= hours < 1_000_000:
        raise ValueError(f"hours is {hours}; it must not be negative, nor more than a century")
    age = timedelta(hours=hours)
    started = time.monotonic()
    if dry_run:
        deleted = _count(Job.objects.filter(pk__in=Job.objects.expired().values("pk")))
        deleted += _count(_old(age).exclude(pk__in=Job.objects.expired().values("pk")))
    else:
        deleted = expire()
        deleted += delete_ended(_old(age), action=Action.CLEANED_UP, wait=False, leftovers=False)
    if not dry_run:
        if settings.DELETE_INPUTS_WHEN_DONE:
            drop_inputs(Job.objects.exclude(input_file=""))
        _forget(age)
    orphans = _remove_orphans(orphan_seconds, dry_run=dry_run)  # last: a storage that is away ends it here
    report = CleanupReport(
        jobs=deleted.jobs,
        files=deleted.files.files,
        bytes=deleted.files.bytes + orphans.bytes,
        orphans=orphans.files,
        failed=deleted.files.failed + orphans.failed,
    )
    logger.log(
        logging.WARNING if report.failed else logging.INFO,
        "clean-up jobs=%d files=%d bytes=%d orphans=%d failed=%d hours=%g dry_run=%s seconds=%.2f",
        report.jobs, report.files, report.bytes, report.orphans, report.failed, hours, dry_run,
        time.monotonic() - started,
    )  # fmt: skip
    return report


def expire() -> Deleted:
    """Remove the jobs whose own time is over, and the inputs of ended jobs that are to go before them.

    The names of inputs leave the rows first, then the files go: what a kill leaves is an orphan. With
    DELETE_INPUTS_WHEN_DONE the inputs of jobs go, too, that were submitted before it was set.
    """
    deleted = delete_ended(
        Job.objects.expired().order_by("expires_at"), action=Action.CLEANED_UP, wait=False, leftovers=False
    )
    deleted.files += drop_inputs(Job.objects.done_with_inputs())
    return deleted


def drop_inputs(jobs: JobQuerySet) -> files.Removed:
    """Delete the pictures that were sent for those of ``jobs`` that have ended, and the tiles made of them."""
    removed = files.Removed()
    while True:
        with transaction.atomic():
            rows = list(jobs.ended().select_for_update(skip_locked=True, of=("self",))[:CHUNK])
            if not rows:
                return removed
            Job.objects.forget_inputs([job.pk for job in rows])
        removed += files.remove(job.input_file for job in rows)
        for job in rows:
            removed += files.remove(file_names.pyramids_of(job.pk, job.input_sha256))
        if len(rows) < CHUNK:
            return removed


def _old(age: timedelta) -> JobQuerySet:
    """Return the jobs that a clean-up of this age removes, the oldest first."""
    usual = age == timedelta(hours=settings.RESULT_TTL_HOURS)
    old = Job.objects.aged(age) if usual else Job.objects.filter(finished_at__lte=Now() - age)
    return old.order_by("finished_at")


def _count(jobs: JobQuerySet) -> Deleted:
    """Count what `delete_ended` would delete."""
    found = Deleted()
    fields = ("input_file", "result_file", "preview_file", "input_sha256", "result_sha256")
    for job in jobs.ended().only(*fields).iterator(chunk_size=CHUNK):
        found.jobs += 1
        found.files += files.sizes((*file_names.names_of(job), *files.made_of(job)))
    return found


def _remove_orphans(seconds: float | None, *, dry_run: bool) -> files.Removed:
    """Delete files of our own that no row names, what claims of a removed job left behind among them."""
    removed = files.Removed()
    for chunk in _chunks(seconds):
        kept = named(chunk)
        orphans = [name for name in chunk if name not in kept]
        removed += files.sizes(orphans) if dry_run else files.remove(orphans)
    return removed


def _chunks(seconds: float | None) -> Iterator[list[str]]:
    """Yield storage names of files of ours that got their names so long ago, CHUNK at a time."""
    names: list[str] = []
    for kind in file_names.DIRECTORIES:
        usual = UPLOAD_SECONDS if kind == file_names.UPLOADS else ORPHAN_SECONDS
        before = time.time() - (usual if seconds is None else seconds)
        for name, stat in files.ours(kind):
            if stat.changed > before:
                continue
            names.append(name)
            if len(names) == CHUNK:
                yield names
                names = []
    if names:
        yield names


def named(names: Iterable[str]) -> set[str]:
    """Return which of these files a row names, and the other files of the same jobs."""
    job_ids = {job_id for job_id in map(file_names.job_id_of, names) if job_id is not None}
    rows = Job.objects.filter(pk__in=job_ids).only(
        "input_file", "result_file", "preview_file", "input_sha256", "result_sha256"
    )
    kept = {name for job in rows for name in file_names.names_of(job)}
    shown = ((job.pk, job.input_sha256 if job.input_file else "", job.result_sha256) for job in rows)
    return kept.union(*(file_names.pyramids_of(*each) for each in shown))


def _forget(age: timedelta) -> None:
    """Delete rows that only served the jobs, and what the audit log keeps no longer.

    Batches without jobs, expired Idempotency-Keys, old deliveries, idle rate limits, callers' turns and days that have
    passed.

    The usage ledger stays for USAGE_KEEP_DAYS, whatever becomes of the jobs.
    """
    has_jobs = Exists(Job.objects.filter(batch=OuterRef("pk")))
    Batch.objects.filter(~has_jobs, created_at__lte=Now() - age).delete()
    IdempotencyKey.objects.filter(created_at__lte=Now() - timedelta(hours=settings.IDEMPOTENCY_TTL_HOURS)).delete()
    WebhookMessage.objects.forget(timedelta(days=_WEBHOOK_LOG_DAYS))
    RateBucket.objects.forget()
    Turn.objects.forget()
    Allowance.objects.forget()
    if settings.USAGE_KEEP_DAYS:
        UsageEntry.objects.forget(settings.USAGE_KEEP_DAYS)
    log.purge()
