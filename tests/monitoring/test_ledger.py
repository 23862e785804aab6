"""Every end of a job is counted exactly once, whoever ends it, and stays counted when the job is gone."""

import threading
import uuid
from datetime import timedelta

import pytest
from django.db import connection, transaction
from django.utils import timezone

from jobs.models import Job
from jobs.queue import periodic
from jobs.states import Status
from monitoring import ledger, stats
from monitoring.models import ALL_TIME, JobEnd, JobFigure, SpanFigure
from tests.jobs import made
from tests.together import together

pytestmark = pytest.mark.django_db(transaction=True)


def figure(status: str) -> JobFigure:
    return JobFigure.objects.get(hour=ALL_TIME, status=status)


def test_each_end_is_written_in_its_own_transaction() -> None:
    made.completed()
    made.failed("out_of_memory")
    made.cancelled()
    assert sorted(JobEnd.objects.values_list("status", flat=True)) == ["cancelled", "completed", "failed"]
    job = made.queued()
    with transaction.atomic():
        Job.objects.cancel(job.pk)
        transaction.set_rollback(True)
    assert JobEnd.objects.count() == 3


def test_a_change_that_ends_nothing_is_not_counted() -> None:
    job = made.processing()
    Job.objects.heartbeat(job, tiles_done=1, tiles_total=4)
    Job.objects.release(job, counted=True)
    assert not JobEnd.objects.exists()


def test_a_retried_job_ends_twice_and_is_one_image() -> None:
    job = made.failed()
    Job.objects.retry(job.pk)
    claimed = Job.objects.claim("w")
    assert claimed is not None
    made_again = Job.objects.fail(claimed, "again", "timeout")
    assert made_again
    totals = stats.totals()
    assert (totals.completed, totals.failed) == (0, 2)


def test_a_job_that_is_born_completed_counts_as_reused_and_not_into_the_average() -> None:
    made.completed()
    original = Job.objects.get()
    born = Job.objects.create(
        **{f.attname: getattr(original, f.attname) for f in Job._meta.concrete_fields if f.attname != "id"}
        | {"reused_from": original.pk, "processing_seconds": 0.0}
    )
    assert born.status == Status.COMPLETED
    before = JobEnd.objects.get(reused=False).processing_seconds
    totals = stats.totals()
    assert (totals.completed, totals.reused) == (2, 1)
    assert totals.average_processing_seconds == pytest.approx(before, abs=0.001)
    assert figure("completed").tiles == made.REPORT["tiles"]


def test_folding_keeps_every_sum_and_empties_the_ledger() -> None:
    made.completed()
    made.completed()
    made.failed("timeout")
    before = stats._unfolded()
    assert {row[0]: row[1] for row in before} == {"completed": 2, "failed": 1}
    assert ledger.fold() == 3
    assert not JobEnd.objects.exists()
    done = figure("completed")
    assert (done.jobs, done.timed, done.tiles, done.input_pixels, done.device) == (2, 2, 8, 2 * 48 * 32, "Test CPU")
    assert figure("failed").error_code == "timeout"
    spans = {row.span: row for row in SpanFigure.objects.filter(hour=ALL_TIME)}
    assert set(spans) == set(ledger.SPANS)
    assert spans["infer"].seconds == pytest.approx(3.0)
    assert all(sum(row.buckets) == row.count == 2 for row in spans.values())
    hourly = JobFigure.objects.exclude(hour=ALL_TIME)
    assert sum(row.jobs for row in hourly) == 3


def test_chains_count_by_their_length() -> None:
    """Callers can name any number of chains; a label of each would grow the figures, and Prometheus, without end."""
    for model in ("a+b", "b+a", "+".join(["m" * 100] * 3)):
        made.completed(model=model)
    ledger.fold()
    counted = JobFigure.objects.filter(hour=ALL_TIME).values_list("model", "jobs")
    assert dict(counted) == {"chain of 2": 2, "chain of 3": 1}
    assert set(SpanFigure.objects.values_list("model", flat=True)) == {"chain of 2", "chain of 3"}


def test_figures_outlive_the_jobs() -> None:
    made.completed()
    before = stats.totals()
    Job.objects.all().delete()
    assert stats.totals() == before
    assert before.completed == 1


def test_many_processes_fold_each_end_once() -> None:
    now = timezone.now()
    JobEnd.objects.bulk_create(
        JobEnd(at=now - timedelta(minutes=n % 200), job_id=uuid.uuid4(), status="completed", model="m",
               processing_seconds=1.0, queue_seconds=0.5, report=made.REPORT)
        for n in range(5000)
    )  # fmt: skip

    def fold_until_empty(_: int) -> int:
        folded = 0
        while JobEnd.objects.exists():
            folded += ledger.fold()
        return folded

    assert sum(together(4, fold_until_empty)) == 5000
    assert figure("completed").jobs == 5000
    assert SpanFigure.objects.get(hour=ALL_TIME, span="infer").count == 5000


def test_totals_count_what_another_process_is_folding() -> None:
    made.completed()
    holding, release = threading.Event(), threading.Event()

    def hold_the_lock() -> None:
        try:
            with transaction.atomic(), connection.cursor() as cursor:
                cursor.execute("SELECT pg_advisory_xact_lock(%s)", [ledger.LOCK])
                holding.set()
                release.wait(240)
        finally:
            connection.close()

    thread = threading.Thread(target=hold_the_lock)
    thread.start()
    try:
        assert holding.wait(240)
        assert ledger.fold() == 0
        assert stats.totals().completed == 1
    finally:
        release.set()
        thread.join(240)


@pytest.mark.parametrize("report", [[], "text", {"tiles": "many", "seconds": [1]}, {"seconds": {"infer": None}}])
def test_an_odd_report_does_not_stop_the_counting(report: object) -> None:
    job = made.completed(report={})
    JobEnd.objects.filter(job_id=job.pk).update(report=report)
    ledger.fold()
    assert figure("completed").jobs == 1


def test_the_services_upkeep_folds_without_readers_and_forgets_old_hours() -> None:
    for _ in range(3):
        made.completed()
    periodic.run()
    assert not JobEnd.objects.exists()
    assert figure("completed").jobs == 3
    hour = timezone.now().replace(minute=0, second=0, microsecond=0)
    for figures in (JobFigure, SpanFigure):
        figures.objects.exclude(hour=ALL_TIME).update(hour=hour - timedelta(days=29))
    periodic.run()
    assert JobFigure.objects.count() == 2
    for figures in (JobFigure, SpanFigure):
        figures.objects.exclude(hour=ALL_TIME).update(hour=hour - timedelta(days=40))
    periodic.run()
    assert set(JobFigure.objects.values_list("hour", flat=True)) == {ALL_TIME}
    assert set(SpanFigure.objects.values_list("hour", flat=True)) == {ALL_TIME}
    assert stats.totals().completed == 3
