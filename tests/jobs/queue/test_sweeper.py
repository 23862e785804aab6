"""The sweep after a silence: a database that was frozen kept every worker from renewing its lease."""

from datetime import timedelta

import pytest
from django.db.models.functions import Now
from pytest_django.fixtures import Settings

from jobs.models import Job, Turn
from jobs.models.job_queryset import SPARED
from jobs.models.periodic_task import Chore
from jobs.models.results import Reclaimed
from jobs.models.turn import CLOCK
from jobs.queue import sweeper
from jobs.states import Priority, Status
from tests.job_rows import waiting_job

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def held(settings: Settings) -> Job:
    """A job that a worker of another host holds: nobody here can tell whether that lives."""
    settings.CLEANUP_INTERVAL_MINUTES = 0
    waiting_job()
    job = Job.objects.claim("gpu@elsewhere:1-abcdef")
    assert job is not None
    sweeper.sweep()
    return job


def silence(*, of_seconds: float, lease_ended: float) -> None:
    """Let the last sweep lie so far back, and the job's lease have run out so many seconds ago."""
    Chore.objects.filter(name="sweep").update(begun_at=Now() - timedelta(seconds=of_seconds))
    Job.objects.update(lease_until=Now() - timedelta(seconds=lease_ended))


def test_a_lease_that_ran_out_while_the_database_was_silent_runs_on_for_a_moment(held: Job) -> None:
    silence(of_seconds=60, lease_ended=40)
    assert sweeper.sweep() == Reclaimed()
    job = Job.objects.get()
    assert (job.status, job.token, job.attempts) == (Status.PROCESSING, held.token, 1)
    assert Job.objects.filter(lease_until__gt=Now(), lease_until__lte=Now() + SPARED).exists()
    assert Job.objects.heartbeat(held, tiles_done=1, tiles_total=2).held


def test_a_worker_that_does_not_come_back_loses_the_job_after_that_moment(held: Job) -> None:
    silence(of_seconds=60, lease_ended=40)
    sweeper.sweep()
    Job.objects.update(lease_until=Now() - timedelta(seconds=1))
    assert sweeper.sweep() == Reclaimed(requeued=1)


def test_a_lease_that_ran_out_before_the_silence_is_lost(held: Job) -> None:
    silence(of_seconds=60, lease_ended=70)
    assert sweeper.sweep() == Reclaimed(requeued=1)


def test_while_sweeps_come_in_time_nothing_is_spared(held: Job, settings: Settings) -> None:
    silence(of_seconds=settings.SWEEP_SECONDS, lease_ended=1)
    assert sweeper.sweep() == Reclaimed(requeued=1)


def test_a_hard_limit_that_passed_in_the_silence_is_kept(held: Job) -> None:
    silence(of_seconds=60, lease_ended=40)
    Job.objects.update(deadline=Now() - timedelta(seconds=5))
    assert sweeper.sweep() == Reclaimed(failed=1)
    assert Job.objects.get().error_code == "timeout"


def test_a_sweep_that_the_freeze_caught_goes_by_the_time_before_it(held: Job) -> None:
    """It was asked what had run out, and gets its answer when the database goes on."""
    before, _ = Chore.objects.mark("sweep")
    Job.objects.update(lease_until=before + timedelta(milliseconds=1))
    while not Job.objects.filter(lease_until__lt=Now()).exists():
        pass
    assert Job.objects.reclaim_lost(as_of=before) == Reclaimed()
    assert Job.objects.reclaim_lost() == Reclaimed(requeued=1)


def test_jobs_that_were_accepted_before_the_clock_was_set_back_are_due_at_once() -> None:
    ahead, paused = waiting_job(), waiting_job()
    Job.objects.filter(pk=ahead.pk).update(queued_at=Now() + timedelta(hours=1))
    Job.objects.filter(pk=paused.pk).update(queued_at=Now() + timedelta(seconds=30))
    assert Job.objects.claim("w") is None
    sweeper.sweep()
    job = Job.objects.claim("w")
    assert job is not None
    assert job.pk == ahead.pk
    assert Job.objects.claim("w") is None, "this one was put aside"


def test_a_sweep_keeps_the_clocks_and_promotes_who_waits_long(settings: Settings) -> None:
    settings.QUEUE_MAX_WAIT_SECONDS = 60
    waiting_job(priority=Priority.ASYNC, caller="key:a", turn=7.0)
    old = waiting_job(priority=Priority.BATCH, caller="key:b")
    Job.objects.filter(pk=old.pk).update(queued_at=Now() - timedelta(seconds=61))
    sweeper.sweep()
    assert Job.objects.get(pk=old.pk).priority == Priority.ASYNC
    assert Turn.objects.get(caller=CLOCK, priority=Priority.ASYNC).finish == 7.0
    settings.QUEUE_MAX_WAIT_SECONDS = 0
    Job.objects.filter(pk=old.pk).update(promoted_at=Now() - timedelta(days=1))
    sweeper.sweep()
    assert Job.objects.get(pk=old.pk).priority == Priority.ASYNC, "0 is never"
