"""The verbs of a job against a real database: one winner, whoever asks and how often."""

import uuid
from datetime import timedelta
from typing import Any

import psycopg
import pytest
from django.db import IntegrityError, connection, transaction
from django.db.models.functions import Now
from pytest_django.fixtures import Settings

from jobs.errors import JobNotFound, JobStateConflict
from jobs.models import Chore, Job
from jobs.models.job_changes import CHANNEL
from jobs.models.job_claiming import CLAIM
from jobs.models.job_queryset import hard_limit
from jobs.models.results import Beat, Finished, Reclaimed
from jobs.states import Priority, Status
from tests.job_rows import waiting_job
from tests.jobs.conftest import database_url
from tests.together import together

pytestmark = pytest.mark.django_db(transaction=True)

FINISHED = Finished("results/aa/x.png", 10, "png", 48, 32, "0" * 64, tiles_done=1, tiles_total=1)


def claimed(**values: Any) -> Job:
    waiting_job(**values)
    job = Job.objects.claim("w")
    assert job is not None
    return job


def test_nothing_waits_is_a_value() -> None:
    assert Job.objects.claim("w") is None


def test_a_claim_sets_token_lease_deadline_and_counts_the_attempt(settings: Settings) -> None:
    settings.JOB_LEASE_SECONDS, settings.JOB_TIMEOUT_SECONDS = 30, 100
    settings.JOB_TIMEOUT_SECONDS_PER_MEGAPIXEL = 1000
    job = claimed(input_width=1000, input_height=100)
    assert (job.status, job.attempts, job.worker) == (Status.PROCESSING, 1, "w")
    assert job.token is not None
    assert job.started_at
    assert job.lease_until
    assert job.deadline
    assert job.lease_until - job.started_at == timedelta(seconds=30)
    assert job.deadline - job.started_at == timedelta(seconds=200)


def test_the_hard_limit_grows_with_the_members_of_a_chain(settings: Settings) -> None:
    settings.JOB_TIMEOUT_SECONDS, settings.JOB_TIMEOUT_SECONDS_PER_MEGAPIXEL = 100, 1000
    job = claimed(model="a+b+c", input_width=1000, input_height=100)
    assert job.deadline
    assert job.started_at
    assert job.deadline - job.started_at == timedelta(seconds=100 + 3 * 100) == hard_limit(job)


def test_the_greater_priority_goes_first_then_who_came_first() -> None:
    jobs = [waiting_job(priority=priority) for priority in (0, 10, 0, 20, 10)]
    order = [Job.objects.claim("w") for _ in jobs]
    assert [job.pk for job in order if job] == [jobs[i].pk for i in (3, 1, 4, 0, 2)]


def test_twenty_workers_that_claim_at_once_get_twenty_jobs() -> None:
    jobs = {waiting_job().pk for _ in range(20)}
    won = together(20, lambda _: Job.objects.claim("w"))
    assert {job.pk for job in won if job is not None} == jobs


def test_a_heartbeat_extends_the_lease_and_publishes_progress() -> None:
    job = claimed()
    assert Job.objects.heartbeat(job, tiles_done=3, tiles_total=7) == Beat(held=True, cancel=False)
    found = Job.objects.get()
    assert (found.tiles_done, found.tiles_total) == (3, 7)
    assert found.lease_until
    assert job.lease_until
    assert found.lease_until > job.lease_until


def test_a_heartbeat_never_extends_beyond_the_hard_limit(settings: Settings) -> None:
    settings.JOB_TIMEOUT_SECONDS = 1
    settings.JOB_TIMEOUT_SECONDS_PER_MEGAPIXEL = 0
    job = claimed()
    Job.objects.heartbeat(job, tiles_done=0, tiles_total=1)
    assert Job.objects.get().lease_until == job.deadline
    Job.objects.update(deadline=Now() - timedelta(seconds=1))
    assert Job.objects.heartbeat(job, tiles_done=0, tiles_total=1).held is False


def test_success_is_accepted_once_and_says_yes_again_to_the_same_claim() -> None:
    job = claimed()
    assert Job.objects.succeed(job, FINISHED) is True
    found = Job.objects.get()
    assert (found.status, found.token, found.lease_until, found.tiles_done) == (Status.COMPLETED, None, None, 1)
    assert found.started_at
    assert found.finished_at
    assert found.processing_seconds == pytest.approx((found.finished_at - found.started_at).total_seconds(), abs=0.001)
    assert Job.objects.succeed(job, FINISHED) is True  # the answer of the first COMMIT was lost
    assert Job.objects.get().finished_at == found.finished_at


def test_a_fenced_out_worker_changes_nothing() -> None:
    old = claimed()
    Job.objects.update(lease_until=Now() - timedelta(seconds=1))
    assert Job.objects.reclaim_lost() == Reclaimed(requeued=1)
    new = Job.objects.claim("v")
    assert new is not None
    assert Job.objects.heartbeat(old, tiles_done=1, tiles_total=1).held is False
    assert Job.objects.succeed(old, FINISHED) is False
    assert Job.objects.fail(old, "no", "no") is False
    assert Job.objects.release(old, counted=False) is False
    assert Job.objects.give_up(old) is False
    assert Job.objects.get().token == new.token


def test_a_job_whose_workers_die_fails_with_the_reason(settings: Settings) -> None:
    settings.JOB_MAX_ATTEMPTS = 3
    waiting_job()
    for expected in (Reclaimed(requeued=1), Reclaimed(requeued=1), Reclaimed(failed=1)):
        assert Job.objects.claim("w")
        Job.objects.update(lease_until=Now() - timedelta(seconds=1))
        assert Job.objects.reclaim_lost() == expected
    job = Job.objects.get()
    assert (job.status, job.error_code) == (Status.FAILED, "worker_lost")
    assert job.error == "the worker died 3 times while it worked on this job"
    assert job.finished_at is not None


def test_a_lost_job_beyond_its_limit_fails_as_timed_out() -> None:
    claimed()
    past = Now() - timedelta(seconds=1)
    Job.objects.update(lease_until=past, deadline=past)
    assert Job.objects.reclaim_lost() == Reclaimed(failed=1)
    assert Job.objects.get().error_code == "timeout"


def test_a_lost_job_that_was_to_be_cancelled_is_cancelled() -> None:
    job = claimed()
    Job.objects.cancel(job.pk)
    Job.objects.update(lease_until=Now() - timedelta(seconds=1))
    assert Job.objects.reclaim_lost() == Reclaimed(cancelled=1)
    assert Job.objects.get().status == Status.CANCELLED


def test_a_job_that_is_handed_back_keeps_its_place_and_its_attempts() -> None:
    first, second = waiting_job(), waiting_job()
    job = Job.objects.claim("w")
    assert job is not None
    assert job.pk == first.pk
    assert Job.objects.release(job, counted=False)
    again = Job.objects.claim("w")
    assert again is not None
    assert (again.pk, again.attempts) == (first.pk, 1)
    assert Job.objects.get(pk=second.pk).status == Status.QUEUED


def test_a_job_that_is_put_aside_is_taken_by_nobody_before_its_time() -> None:
    first, second = waiting_job(), waiting_job()
    job = Job.objects.claim("w")
    assert job is not None
    assert job.pk == first.pk
    assert Job.objects.release(job, counted=False, error="later", code="x", pause=timedelta(minutes=1))
    other = Job.objects.claim("w")
    assert other is not None
    assert other.pk == second.pk
    assert Job.objects.claim("w") is None
    aside = Job.objects.get(pk=first.pk)
    assert (aside.status, aside.attempts, aside.error) == (Status.QUEUED, 0, "later")
    Job.objects.filter(pk=first.pk).update(queued_at=Now())
    again = Job.objects.claim("w")
    assert again is not None
    assert again.pk == first.pk


def test_cancel_of_a_running_job_is_told_by_the_heartbeat() -> None:
    job = claimed()
    assert Job.objects.cancel(job.pk).cancel_requested is True
    assert Job.objects.heartbeat(job, tiles_done=0, tiles_total=None) == Beat(held=True, cancel=True)
    assert Job.objects.give_up(job)
    assert Job.objects.get().status == Status.CANCELLED


@pytest.mark.parametrize("end", ["completed", "failed", "cancelled"])
def test_a_finished_job_cannot_be_cancelled(end: str) -> None:
    job = claimed()
    if end == "completed":
        Job.objects.succeed(job, FINISHED)
    elif end == "failed":
        Job.objects.fail(job, "broken", "broken")
    else:
        Job.objects.cancel(job.pk)
        Job.objects.give_up(job)
    with pytest.raises(JobStateConflict, match=f"is {end} already"):
        Job.objects.cancel(job.pk)


def test_only_failed_and_cancelled_jobs_can_be_retried() -> None:
    job = waiting_job()
    with pytest.raises(JobStateConflict, match="is queued"):
        Job.objects.retry(job.pk)
    Job.objects.cancel(job.pk)
    again = Job.objects.retry(job.pk)
    assert (again.status, again.finished_at) == (Status.QUEUED, None)


def test_what_is_no_id_names_no_job() -> None:
    for verb in (Job.objects.cancel, Job.objects.retry):
        for odd in ("nonsense", uuid.uuid4()):
            with pytest.raises(JobNotFound):
                verb(odd)


def test_every_change_of_status_is_told_and_none_that_was_rolled_back() -> None:
    with psycopg.connect(database_url(), autocommit=True) as ear:
        ear.execute(f"LISTEN {CHANNEL}")
        job = claimed()
        try:
            with transaction.atomic():
                Job.objects.fail(job, "x", "x")
                raise ZeroDivisionError
        except ZeroDivisionError:
            pass
        Job.objects.heartbeat(job, tiles_done=1, tiles_total=2)
        Job.objects.succeed(job, FINISHED)
        heard = [note.payload for note in ear.notifies(timeout=5, stop_after=2)]
        heard += [note.payload for note in ear.notifies(timeout=0)]
    assert heard == [str(job.pk)] * 2  # claimed, completed; who watches the progress looks at the row


def test_the_claim_uses_its_short_index_however_many_jobs_are_finished() -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            """
            INSERT INTO jobs_job (id, status, priority, request_id, model, options, fingerprint, input_file, input_name,
                input_sha256, input_bytes, input_format, input_width, input_height, input_frames, result_file,
                preview_file, result_format, result_sha256, report, created_at, queued_at, finished_at, attempts,
                worker, tiles_done, cancel_requested, error, error_code, webhook_url, webhook_events)
            SELECT gen_random_uuid(), 'completed', 10, '', 'tiny', '{}', '', 'i', '', '', 1, 'png', 1, 1, 1, 'r', '',
                'png', '', '{}', now(), now(), now(), 1, '', 0, false, '', '', '', '[]' FROM generate_series(1, 20000)
            """
        )
        cursor.execute("ANALYZE jobs_job")
    waiting_job()
    values: dict[str, Any] = {
        "token": uuid.uuid4(),
        "worker": "w",
        "lease": timedelta(1),
        "limit": 1,
        "limit_per_megapixel": 1,
    }
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(f"EXPLAIN {CLAIM}", values | {"channel": CHANNEL})
        plan = "\n".join(row[0] for row in cursor.fetchall())
    assert "job_claim" in plan
    assert "Sort" not in plan
    assert "Seq Scan on jobs_job" not in plan


@pytest.mark.parametrize(
    "broken",
    [
        {"status": "thinking"},
        {"status": Status.PROCESSING},
        {"status": Status.COMPLETED, "finished_at": Now()},
        {"status": Status.FAILED},
        {"status": Status.QUEUED, "finished_at": Now()},
    ],
)
def test_the_database_refuses_rows_that_cannot_be(broken: dict[str, Any]) -> None:
    with pytest.raises(IntegrityError):
        waiting_job(**broken)


def test_a_chore_has_one_turn_per_period_however_many_ask() -> None:
    hour = timedelta(hours=1)
    assert not Chore.objects.take_turn("tidy", hour)  # a start is not the moment
    Chore.objects.update(begun_at=Now() - hour)
    turns = together(8, lambda _: Chore.objects.take_turn("tidy", hour))
    assert turns.count(True) == 1


def test_priorities_are_ordered() -> None:
    assert Priority.SYNC > Priority.ASYNC > Priority.BATCH
