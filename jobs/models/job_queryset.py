"""The verbs of a job. Each is one conditional UPDATE that names the state it leaves and the claim it holds.

Zero rows means that somebody else owns the job now; the loser stops and deletes what it wrote. Times and leases are
the database's clock, so that hosts whose clocks differ agree. Every change of status is announced
(jobs/models/job_changes.py); a listener never hears of one that was rolled back.

Acceptance and end wait for the disk. Claim and heartbeat do not: when the server crashes, the last moments of them are
lost, and then the token no longer holds, or the lease is an older one. The job runs again.
"""

import uuid
from collections.abc import Collection
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, ClassVar, Self, cast

from django.conf import settings
from django.db import transaction
from django.db.models import F, Q, Value
from django.db.models.functions import Extract, Least, Now
from django.db.models.sql import UpdateQuery

from jobs import chains
from jobs.errors import InputGone, JobNotFound, JobStateConflict
from jobs.models import job_changes
from jobs.models.job_claiming import ClaimingQuerySet
from jobs.models.job_expiry import at_the_end
from jobs.models.results import Beat, Finished, Reclaimed
from jobs.states import LIVE, RETRYABLE, TERMINAL, Status
from modelstore import notify
from modelstore.claims import UNCLAIMED, lease

if TYPE_CHECKING:
    from jobs.models.api_key import ApiKey
    from jobs.models.job import Job

#: How long a lease runs on that could not be renewed: a worker's heartbeat comes each second, and its connection to a
#: database that is back again takes some.
SPARED = timedelta(seconds=10)

#: The columns of a job without a claim.
_FREE: dict[str, Any] = {**UNCLAIMED, "deadline": None}


class JobQuerySet(ClaimingQuerySet):
    """The only way in which a job's status changes; the claim is that of job_claiming.py."""

    claimed: ClassVar[dict[str, Any]] = {"status": Status.PROCESSING}

    def visible_to(self, api_key: "ApiKey | None") -> Self:
        """Return the caller's own jobs; all jobs where callers have no key."""
        return self if api_key is None else self.filter(api_key=api_key)

    def before(self, priority: int, turn: float) -> Self:
        """Return the waiting jobs that will be claimed before a new one with this priority and this turn."""
        return self.waiting().filter(Q(priority__gt=priority) | Q(priority=priority, turn__lte=turn))

    def with_model(self, name: str) -> Self:
        """Return the jobs that go through a model, alone or in a chain. No index serves it: narrow it by status."""
        sep = chains.SEPARATOR
        return self.filter(
            Q(model=name)
            | Q(model__startswith=f"{name}{sep}")
            | Q(model__endswith=f"{sep}{name}")
            | Q(model__contains=f"{sep}{name}{sep}")
        )

    def heartbeat(self, job: "Job", *, tiles_done: int, tiles_total: int | None) -> Beat:
        """Extend the lease of a claimed job, publish its progress and learn whether somebody wants it cancelled.

        The lease never goes beyond the hard limit: a hung job dies however lively its heartbeat is.
        """
        with transaction.atomic():
            notify.not_waiting_for_the_disk()
            until = Least(lease(timedelta(seconds=settings.JOB_LEASE_SECONDS)), F("deadline"))
            held = self.held(job).filter(deadline__gt=Now())
            row = self._update(held, lease_until=until, tiles_done=tiles_done, tiles_total=tiles_total)
            if row is None:
                return Beat(held=False, cancel=False)
            if tiles_done != job.tiles_done or tiles_total != job.tiles_total:
                job_changes.announce_progress(row, job.tiles_done)
            return Beat(held=True, cancel=row.cancel_requested)

    def succeed(self, job: "Job", finished: Finished) -> bool:
        """Accept the result of a claimed job. False: the claim was lost, and the files are the caller's to delete.

        The answer stays True when it is asked again after a connection that broke between COMMIT and its answer.
        """
        values = {
            "status": Status.COMPLETED,
            "finished_at": Now(),
            "expires_at": at_the_end(),
            "processing_seconds": _seconds_since_start(),
            "cancel_requested": False,
            **vars(finished),
            **_FREE,
        }
        if job_changes.concerns_registered(job):
            changed = self._change(self.held(job), **values) is not None
        elif changed := bool(self.held(job).update(**values)):  # one trip instead of three
            job_changes.tell_waiters(job.pk)
        return changed or self.filter(pk=job.pk, result_file=finished.result_file).exists()

    def add_preview(self, job: "Job", name: str) -> bool:
        """Name the preview of a completed job's result. False: the job is gone, or has one; the file is the caller's.

        The answer stays True when it is asked again after a connection that broke between COMMIT and its answer.
        """
        done = self.filter(pk=job.pk, status=Status.COMPLETED, result_sha256=job.result_sha256)
        return bool(done.filter(preview_file="").update(preview_file=name)) or done.filter(preview_file=name).exists()

    def fail(self, job: "Job", error: str, code: str) -> bool:
        """End a claimed job as failed; ``error`` is shown to its owner. False: the claim was lost."""
        return self._end(self.held(job), Status.FAILED, error, code)

    def give_up(self, job: "Job") -> bool:
        """End a claimed job as cancelled, as its owner asked. False: the claim was lost."""
        return self._end(self.held(job), Status.CANCELLED)

    def release(
        self, job: "Job", *, counted: bool, error: str = "", code: str = "", pause: timedelta | None = None
    ) -> bool:
        """Hand a claimed job back to the queue, at its old place. False: the claim was lost. The caller rings.

        :param counted: whether the attempt counts: not when a worker was merely asked to stop. ``error`` and ``code``
            say why it did not work, until the next attempt.
        :param pause: nobody takes it before so long, and others go first; then a cluster finds it by itself.

        A job that somebody wants cancelled is cancelled instead.
        """
        if self._end(self.held(job).filter(cancel_requested=True), Status.CANCELLED):
            return True
        attempts = F("attempts") - (0 if counted else 1)
        place = {} if pause is None else {"queued_at": Now() + pause}
        changed = self._change(
            self.held(job),
            status=Status.QUEUED, attempts=attempts, error=error, error_code=code, worker="", **place, **_FREE,
        )  # fmt: skip
        return changed is not None

    def cancel(self, job_id: object) -> "Job":
        """Cancel a waiting job at once; ask the worker of a running one to stop between two tiles.

        :raises JobNotFound:
        :raises JobStateConflict: the job has ended already.
        """
        queued = self.filter(pk=_key(job_id), status=Status.QUEUED)
        if self._end(queued, Status.CANCELLED):
            return self._found(job_id)
        running = self._change(self.filter(pk=_key(job_id), status=Status.PROCESSING), cancel_requested=True)
        if running is not None:
            return running
        job = self._found(job_id)
        if job.status in LIVE:  # it was requeued between the two statements
            return self.cancel(job_id)
        raise JobStateConflict(f"Job {job.id} is {job.status} already and cannot be cancelled")

    def retry(self, job_id: object, *, turn: float = 0.0) -> "Job":
        """Put a failed or cancelled job back into the queue, with all its attempts. The caller rings.

        :param turn: its place in the queue (Turn.objects.take).

        :raises JobNotFound:
        :raises JobStateConflict: the job has not failed.
        :raises InputGone: its picture was deleted when it ended.
        """
        waiting = self._change(
            self.filter(pk=_key(job_id), status__in=RETRYABLE, drop_input=False).exclude(input_file=""),
            status=Status.QUEUED,
            queued_at=Now(),
            turn=turn,
            promoted_at=None,
            started_at=None,
            finished_at=None,
            expires_at=None,
            processing_seconds=None,
            attempts=0,
            cancel_requested=False,
            tiles_done=0,
            tiles_total=None,
            error="",
            error_code="",
            worker="",
            report={},
        )
        if waiting is not None:
            return waiting
        job = self._found(job_id)
        if job.status in RETRYABLE:
            raise InputGone(f"Job {job.id} cannot be run again: its picture was deleted; send it anew")
        raise JobStateConflict(f"Job {job.id} is {job.status}; only failed and cancelled jobs can be retried")

    def spare_leases(self, outage: timedelta, dead_workers: Collection[str] = ()) -> int:
        """Let leases that ran out while nobody could renew them run for SPARED more; return how many.

        :param outage: how long the database was silent, or nobody swept. What had run out before is lost as ever, and
            so are the jobs of ``dead_workers``, and those beyond their hard limit.
        """
        until = lease(SPARED)
        lapsed = self.filter(status=Status.PROCESSING, lease_until__range=(Now() - outage, until), deadline__gt=Now())
        return lapsed.exclude(worker__in=dead_workers).update(lease_until=Least(until, F("deadline")))

    def reclaim_lost(self, dead_workers: Collection[str] = (), *, as_of: datetime | None = None) -> Reclaimed:
        """Sweep: requeue lost jobs, or end them. Safe to run anywhere, any time.

        Lost are jobs whose lease has expired, and those of ``dead_workers``: ids of workers that have certainly ended.
        The attempt counts: a picture that kills its worker each time fails after JOB_MAX_ATTEMPTS. The caller rings.

        :param as_of: leases that expired before then are lost; None: before now. A sweep that the database's freeze
            interrupted must not go by the time after it.
        """
        lost = self.lapsed(as_of) | self.filter(worker__in=dead_workers, **self.claimed)
        counts = {Status.QUEUED: 0, Status.FAILED: 0, Status.CANCELLED: 0}
        claims: list[tuple[uuid.UUID, uuid.UUID]] = []
        for pk, token in list(lost.values_list("pk", "token")):
            with transaction.atomic():
                job = lost.filter(pk=pk, token=token).select_for_update(skip_locked=True, of=("self",)).first()
                if job is not None and token is not None:
                    counts[self._reclaim(job)] += 1
                    claims.append((pk, token))
        return Reclaimed(counts[Status.QUEUED], counts[Status.FAILED], counts[Status.CANCELLED], tuple(claims))

    def _reclaim(self, job: "Job") -> Status:
        held = self.held(job)
        if job.cancel_requested:
            self._end(held, Status.CANCELLED)
            return Status.CANCELLED
        if held.filter(deadline__lt=Now()).exists():
            self._end(held, Status.FAILED, timeout_message(job), "timeout")
            return Status.FAILED
        if job.attempts >= settings.JOB_MAX_ATTEMPTS:
            once = "the worker died once while it worked on this job"
            often = f"the worker died {job.attempts} times while it worked on this job"
            self._end(held, Status.FAILED, once if job.attempts == 1 else often, "worker_lost")
            return Status.FAILED
        self._change(held, status=Status.QUEUED, worker="", **_FREE)
        return Status.QUEUED

    def _end(self, rows: Self, status: Status, error: str = "", code: str = "") -> bool:
        ended = self._change(
            rows,
            status=status,
            finished_at=Now(),
            expires_at=at_the_end(),
            processing_seconds=_seconds_since_start(),
            cancel_requested=False,
            error=error,
            error_code=code,
            **_FREE,
        )
        return ended is not None

    def _change(self, rows: Self, **values: Any) -> "Job | None":
        """Update the one row that is among ``rows``, and announce it as it then is. None: there was no such row."""
        with transaction.atomic():
            job = self._update(rows, **values)
            if job is not None:
                job_changes.announce(job)
        return job

    def _update(self, rows: Self, **values: Any) -> "Job | None":
        """Update the one row that is among ``rows`` and return it as it then is: one trip, where Django makes two."""
        query = cast("UpdateQuery", rows.query.chain(UpdateQuery))
        query.add_update_values(values)
        sql, parameters = query.get_compiler(rows.db).as_sql()
        return next(iter(self.raw(f"{sql} RETURNING *", parameters)), None)

    def _found(self, job_id: object) -> "Job":
        job = self.filter(pk=_key(job_id)).first()
        if job is None:
            raise JobNotFound(job_id)
        return job

    def bring_near(self, most: timedelta) -> int:
        """Let jobs wait from now on that would wait for longer than any pause; return how many.

        The database's clock was set back since they were accepted: nobody would take them before it is as late again.
        """
        ahead = self.filter(status=Status.QUEUED, queued_at__gt=Now() + most)
        return ahead.update(queued_at=Now())

    def ended(self) -> Self:
        """Return the completed, failed and cancelled jobs."""
        return self.filter(status__in=sorted(TERMINAL))


def hard_limit(job: "Job") -> timedelta:
    """Return how long one attempt may take: each member of a chain has the pixels' part of it."""
    megapixels = job.input_width * job.input_height * job.input_frames / 1e6
    work = megapixels * len(chains.split(job.model))
    return timedelta(seconds=settings.JOB_TIMEOUT_SECONDS + settings.JOB_TIMEOUT_SECONDS_PER_MEGAPIXEL * work)


def timeout_message(job: "Job") -> str:
    """Return the error message of a job that reached its hard time limit."""
    return f"the job took longer than its limit of {hard_limit(job).total_seconds():.0f} s"


def _seconds_since_start() -> Any:
    """Claim to now in seconds; NULL for a job that never started."""
    return Extract(Now() - F("started_at"), "epoch") + Value(0.0)


def _key(job_id: object) -> uuid.UUID:
    """Return the primary key, or raise JobNotFound for a malformed id."""
    try:
        return job_id if isinstance(job_id, uuid.UUID) else uuid.UUID(str(job_id))
    except ValueError:
        raise JobNotFound(job_id) from None
