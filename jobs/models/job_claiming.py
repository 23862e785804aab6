"""The claim: which waiting job a worker gets next, taken by one statement."""

import uuid
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Self

from django.conf import settings
from django.db import connections, transaction
from django.db.models.functions import Now

from jobs.models import job_changes
from jobs.models.job_expiry import ExpiryQuerySet
from jobs.states import Status
from modelstore import notify

if TYPE_CHECKING:
    from jobs.models.job import Job

_CLAIM = """
    UPDATE jobs_job SET
        status = 'processing', token = %(token)s, attempts = attempts + 1, worker = %(worker)s,
        started_at = statement_timestamp(), lease_until = statement_timestamp() + %(lease)s,
        deadline = statement_timestamp() + make_interval(secs => %(limit)s + %(limit_per_megapixel)s
            * input_width::float8 * input_height * input_frames / 1e6
            * (1 + length(model) - length(replace(model, '+', '')))),
        tiles_done = 0, tiles_total = NULL, error = '', error_code = ''
    WHERE status = 'queued' AND NOT EXISTS (SELECT FROM jobs_pause WHERE cluster = 'gpu') AND {which}
    RETURNING jobs_job.*,
        CASE WHEN %(channel)s::text IS NOT NULL THEN pg_notify(%(channel)s, id::text) IS NOT NULL END AS told,
        set_config('synchronous_commit', 'off', true) AS synchronous
"""
#: One statement, and so one trip to the database: it stands between a caller and the start of the work. Half of its
#: time is the planner's, so it is as flat as can be.
#: The inner SELECT reads the index ``job_claim``, which holds waiting jobs only, in this order. The deadline is that of
#: `hard_limit`; + stands between the models of a chain. Where the key of the best job has a limit of running jobs,
#: nothing is claimed: see `_claim_within_limits`.
CLAIM = _CLAIM.format(
    which="""id = (
            SELECT id FROM jobs_job WHERE status = 'queued' AND queued_at <= statement_timestamp()
            ORDER BY priority DESC, turn, queued_at, id
            LIMIT 1 FOR UPDATE SKIP LOCKED)
        AND COALESCE((SELECT max_running_jobs FROM jobs_apikey WHERE jobs_apikey.id = api_key_id), 0) = 0"""
)
_CLAIM_THIS = _CLAIM.format(which="id=%(id)s")
#: Callers at their limit of running jobs. The rows at work are few: one for each worker.
_HELD = """
    SELECT caller FROM (
        SELECT caller, api_key_id, count(*) AS running FROM jobs_job
        WHERE status = 'processing' AND caller <> '' GROUP BY caller, api_key_id) AS each
    LEFT JOIN jobs_apikey ON jobs_apikey.id = each.api_key_id
    WHERE running >= NULLIF(COALESCE(max_running_jobs, %(default)s), 0)
"""
#: The best job whose caller is not held, and the limit of that caller.
_PICK = """
    SELECT job.id, job.caller, COALESCE(max_running_jobs, %(default)s) FROM jobs_job AS job
    LEFT JOIN jobs_apikey ON jobs_apikey.id = job.api_key_id
    WHERE job.status = 'queued' AND job.queued_at <= statement_timestamp() AND job.caller <> ALL(%(held)s)
    ORDER BY job.priority DESC, job.turn, job.queued_at, job.id
    LIMIT 1 FOR UPDATE OF job SKIP LOCKED
"""
#: The first number of the advisory locks under which the claims of a limited caller's jobs go one after the other.
_LOCK = 0x7570_636C  # "upcl"


# ClaimQuerySet is named again for the type checker, whose plugin looks for the model among the direct bases.


class ClaimingQuerySet(ExpiryQuerySet):
    """Waiting jobs in the order of the queue, and the best of them taken."""

    def waiting(self) -> Self:
        """Return the jobs that wait for a worker, in the order in which they will be claimed."""
        return self.filter(status=Status.QUEUED).order_by("-priority", "turn", "queued_at", "id")

    def claim(self, worker: str) -> "Job | None":
        """Take the best waiting job for one lease, or None when nothing waits.

        Rows that another worker is claiming at this moment are passed over, never waited for.
        """
        parameters = {
            "token": uuid.uuid4(),
            "worker": worker,
            "lease": timedelta(seconds=settings.JOB_LEASE_SECONDS),
            "limit": settings.JOB_TIMEOUT_SECONDS,
            "limit_per_megapixel": settings.JOB_TIMEOUT_SECONDS_PER_MEGAPIXEL,
            "channel": job_changes.CHANNEL if notify.over_postgres() else None,
        }
        if not settings.CALLER_MAX_RUNNING_JOBS:
            with transaction.atomic():
                job = self._claimed(CLAIM, parameters)
            if job is not None:
                return job
            if not self.waiting().filter(queued_at__lte=Now()).exists():  # most often; the limits cost more to read
                return None
        return self._claim_within_limits(parameters)

    def claimable(self) -> Self:
        """Return the jobs that a worker may take now, in their order: due, and of callers below their limits."""
        return self.waiting().filter(queued_at__lte=Now()).exclude(caller__in=self._held())

    def _claimed(self, sql: str, parameters: dict[str, Any]) -> "Job | None":
        job = next(iter(self.raw(sql, parameters)), None)
        if job is not None:
            if parameters["channel"] is None:
                job_changes.tell_waiters(job.pk)
            job_changes.call_registered(job)
        return job

    def _claim_within_limits(self, parameters: dict[str, Any]) -> "Job | None":
        """Claim the best job whose caller has fewer running ones than its limit, or any where it has none.

        A caller's jobs are counted under its lock, so that two workers never take its last place both.
        """
        held = self._held()
        while True:
            with transaction.atomic(), connections[self.db].cursor() as cursor:
                cursor.execute(_PICK, {"held": held, "default": settings.CALLER_MAX_RUNNING_JOBS})
                picked = cursor.fetchone()
                if picked is None:
                    return None
                job_id, caller, limit = picked
                if not caller or not limit or self._has_place(caller, limit):
                    return self._claimed(_CLAIM_THIS, {**parameters, "id": job_id})
                held.append(caller)
                transaction.set_rollback(True)  # lets go of the row and the lock

    def _has_place(self, caller: str, limit: int) -> bool:
        with connections[self.db].cursor() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(%s, hashtext(%s))", [_LOCK, caller])
        return self.filter(status=Status.PROCESSING, caller=caller).count() < limit

    def _held(self) -> list[str]:
        with connections[self.db].cursor() as cursor:
            cursor.execute(_HELD, {"default": settings.CALLER_MAX_RUNNING_JOBS})
            return [caller for (caller,) in cursor.fetchall()]
