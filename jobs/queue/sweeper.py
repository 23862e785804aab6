"""The sweep: what was lost is found. Safe to run anywhere, any time, by anybody: every step is a conditional UPDATE.

Runs in every pusher and in every web process that waits for jobs. It never waits for a worker: schedules of django-q2
would starve behind long jobs.
"""

import logging
import time
from datetime import timedelta

from django.conf import settings
from django.db import connection, transaction

from jobs.models.job import Job
from jobs.models.periodic_task import Chore
from jobs.models.results import Reclaimed
from jobs.models.turn import Turn
from jobs.models.worker import Worker
from jobs.queue import dispatch, liveness
from jobs.storage import files
from modelstore.downloads import runner

logger = logging.getLogger(__name__)

#: Seconds beyond its time after which a missing sweep means that the database was silent or the service was down.
OUTAGE = timedelta(seconds=2)

#: Longer than any pause of a job that is put aside (jobs/worker).
LONGEST_PAUSE = timedelta(minutes=2)

_LOCK = 0x7570_7377  # "upsw": one sweep at a time, on all hosts together

_swept_at: float | None = None


def sweep_if_due() -> None:
    """Sweep when this process has not done so for SWEEP_SECONDS."""
    global _swept_at  # noqa: PLW0603 - a process's own clock; a fork may inherit it
    now = time.monotonic()
    if _swept_at is not None and now - _swept_at < settings.SWEEP_SECONDS:
        return
    _swept_at = now
    sweep()


def sweep() -> Reclaimed:
    """Bring lost jobs and downloads back."""
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_try_advisory_xact_lock(%s)", [_LOCK])
            if cursor.fetchone() != (True,):
                return Reclaimed()
        dead = liveness.dead_holders()
        now, since = Chore.objects.mark("sweep")
        if since is not None and since > timedelta(seconds=settings.SWEEP_SECONDS) + OUTAGE:
            # Workers that are well could not renew their leases either: their next heartbeat may be a moment away.
            spared = Job.objects.spare_leases(since, dead)
            if spared:
                logger.warning("leases extended after a silence seconds=%.0f leases=%d", since.total_seconds(), spared)
        found = Job.objects.reclaim_lost(dead, as_of=now)
        if found.requeued:
            dispatch.ring()
        runner.sweep()
        _pass_time()
        if Chore.objects.take_turn("silent workers", timedelta(minutes=10)):
            Worker.objects.forget_silent()
    for worker in dead:
        logger.warning("worker died in the middle of a job worker=%s", worker)
    for job_id, token in found.claims:
        # A worker that is frozen rather than dead finds its files gone, and that the job is no longer its own.
        files.remove_claim(job_id, token)
    if found.claims:
        logger.warning(
            "lost jobs found requeued=%d failed=%d cancelled=%d", found.requeued, found.failed, found.cancelled
        )
    return found


def _pass_time() -> None:
    """Remember the clocks of the queue, and let nobody wait for ever behind those who go first."""
    Turn.objects.keep_time()
    if Job.objects.bring_near(LONGEST_PAUSE):
        logger.warning("jobs of a later time are due at once: the database's clock was set back")
    if settings.QUEUE_MAX_WAIT_SECONDS:
        promoted = Turn.objects.promote(timedelta(seconds=settings.QUEUE_MAX_WAIT_SECONDS))
        if promoted:
            logger.info("jobs that waited long were promoted jobs=%d", promoted)
