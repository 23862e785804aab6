"""The usage ledger: each end of a job counts exactly once, whoever ends it, folds it, or dies meanwhile."""

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection, transaction
from django.db.models import F
from pytest_django.fixtures import Settings

from jobs.models import ApiKey, Job, UsageEntry, UsageNote, UsageTotal
from jobs.models.results import Finished
from jobs.models.usage import COUNTERS, GROUPS, Sums, UsageRow
from jobs.storage import retention
from tests.eventually import eventually
from tests.jobs import made
from tests.jobs.conftest import database_url
from tests.together import together

pytestmark = pytest.mark.django_db(transaction=True)

MakeKey = Callable[..., tuple[ApiKey, dict[str, str]]]
#: A job of tests/jobs/made.py that was completed once.
ONE = Sums(
    completed=1, input_pixels=48 * 32, output_pixels=96 * 64, device_ms=1500, input_bytes=1234, result_bytes=4321
)


def rows(*groups: str, key: str | None = None) -> list[UsageRow]:
    today = UsageEntry.objects.today()
    first = today - timedelta(days=1)  # a test may run over midnight
    return UsageEntry.objects.added_up(first, today, groups, key_prefix=key, most=1000)


def total(**of: Any) -> Sums:
    return sum((row.sums for row in rows(**of)), Sums())


def test_a_completed_job_counts_with_its_pixels_its_bytes_and_the_seconds_of_the_device(make_key: MakeKey) -> None:
    key, _ = make_key()
    made.completed(api_key=key, report={**made.REPORT, "device": "cuda:1"})
    (row,) = rows("day", "model", "device", "key")
    assert row == UsageRow(ONE, UsageEntry.objects.today(), "tiny-x2", "cuda", key.prefix, "test")
    assert (total(key=key.prefix), total(key="other")) == (ONE, Sums())


def test_frames_of_an_animation_count() -> None:
    made.completed(input_frames=5)
    assert (total().input_pixels, total().output_pixels) == (5 * 48 * 32, 5 * 96 * 64)


def test_jobs_that_failed_or_were_cancelled_count_with_the_time_in_which_they_kept_a_device() -> None:
    made.worker(id="gpu@test:1-abc", device="cuda:0")
    for end in (lambda job: Job.objects.fail(job, "broken", "broken"), Job.objects.give_up):
        job = made.processing()
        Job.objects.filter(pk=job.pk).update(started_at=F("started_at") - timedelta(seconds=3))
        assert end(job)
    made.cancelled()
    by_device = {row.device: row.sums for row in rows("device")}
    assert by_device[""] == Sums(cancelled=1)
    assert (by_device["cuda"].failed, by_device["cuda"].cancelled, by_device["cuda"].completed) == (1, 1, 0)
    assert 6000 <= by_device["cuda"].device_ms < 60_000
    assert by_device["cuda"].input_pixels == by_device["cuda"].input_bytes == 0


def test_a_reused_result_is_a_completed_job_without_a_device() -> None:
    original = made.completed()
    values = {field.attname: getattr(original, field.attname) for field in Job._meta.concrete_fields}
    Job.objects.create(**{**values, "id": None, "reused_from": original.pk, "processing_seconds": 0.0})
    by_device = {row.device: row.sums for row in rows("device")}
    assert by_device["cpu"] == ONE
    assert (by_device[""].completed, by_device[""].reused, by_device[""].device_ms) == (1, 1, 0)
    assert by_device[""].output_pixels == ONE.output_pixels


@pytest.mark.parametrize("report", [{}, {"device": 7, "seconds": "soon"}, {"seconds": {"infer": None}}, ["odd"]])
def test_no_report_however_odd_keeps_a_job_from_ending(report: Any) -> None:
    made.completed(report=report)
    assert total().completed == 1


def test_what_is_rolled_back_or_ends_nothing_does_not_count() -> None:
    job = made.processing()
    with transaction.atomic():
        assert Job.objects.fail(job, "broken", "broken")
        transaction.set_rollback(True)
    Job.objects.heartbeat(job, tiles_done=1, tiles_total=4)
    Job.objects.release(job, counted=True)
    assert rows() == []


def test_an_end_that_is_asked_again_counts_once_and_a_lost_claim_counts_nothing() -> None:
    first = made.processing()
    Job.objects.release(first, counted=True)
    second = Job.objects.claim("another")
    assert second is not None
    finished = Finished("results/b.png", 10, "png", 96, 64, "b" * 64, report=made.REPORT)
    assert Job.objects.succeed(second, finished)
    assert Job.objects.succeed(second, finished), "asked again after a broken connection"
    assert not Job.objects.succeed(first, Finished("results/a.png", 10, "png", 96, 64, "a" * 64))
    assert not Job.objects.fail(first, "late", "late")
    assert (total().completed, total().failed) == (1, 0)


def test_a_retried_job_counts_with_each_of_its_ends() -> None:
    job = made.failed()
    Job.objects.retry(job.pk)
    claimed = Job.objects.claim("w")
    assert claimed is not None
    assert Job.objects.succeed(claimed, Finished("results/b.png", 10, "png", 96, 64, "b" * 64, report=made.REPORT))
    assert (total().completed, total().failed, total().input_pixels) == (1, 1, 48 * 32)


def test_folding_changes_no_sum_and_leaves_no_note(make_key: MakeKey) -> None:
    key, _ = make_key()
    for _unused in range(2):
        for fields in ({}, {"api_key": key}, {"model": "a+b", "api_key": key}):
            made.completed(**fields)
        made.failed()
        before = {group: rows(group) for group in GROUPS}
        assert UsageEntry.objects.fold() == 4
        assert {group: rows(group) for group in GROUPS} == before
    assert not UsageNote.objects.exists()
    assert UsageEntry.objects.fold() == 0
    assert set(UsageEntry.objects.values_list("key_name", "api_key")) == {("", None), ("test", key.pk)}
    ever = {(row.model, row.device): row.completed for row in UsageTotal.objects.all()}
    assert ever == {("tiny-x2", "cpu"): 4, ("chain of 2", "cpu"): 2, ("tiny-x2", ""): 0}


def test_the_ledger_outlives_the_jobs_and_the_key(make_key: MakeKey) -> None:
    key, _ = make_key()
    made.completed(api_key=key)
    UsageEntry.objects.fold()
    made.completed(api_key=key)
    ApiKey.objects.all().delete()
    Job.objects.all().delete()
    UsageEntry.objects.fold()
    (entry,) = UsageEntry.objects.all()
    assert (entry.key_prefix, entry.key_name, entry.api_key, entry.completed) == (key.prefix, "test", None, 2)


def test_a_key_that_is_deleted_while_its_job_runs_does_not_keep_it_from_ending(make_key: MakeKey) -> None:
    key, _ = make_key()
    job = made.processing(api_key=key)
    key.delete()
    assert Job.objects.fail(job, "broken", "broken")
    assert [row.key_prefix for row in rows("key")] == [""]


def test_a_renamed_key_is_one_line_and_its_name_can_be_forgotten(make_key: MakeKey) -> None:
    key, _ = make_key()
    made.completed(api_key=key)
    UsageEntry.objects.fold()
    ApiKey.objects.update(name="later")
    made.completed(api_key=key)
    UsageEntry.objects.fold()
    made.completed(api_key=key)
    assert UsageEntry.objects.get().key_name == "later"
    UsageEntry.objects.forget_name(key.prefix)
    (row,) = rows("key")
    assert (row.key_prefix, row.key_name, row.sums.completed) == (key.prefix, "", 3)


def test_old_days_are_forgotten_and_the_sums_of_all_time_stay() -> None:
    made.completed()
    UsageNote.objects.update(day=UsageEntry.objects.today() - timedelta(days=31))
    made.completed()
    assert UsageEntry.objects.forget(30) == 1
    assert [entry.completed for entry in UsageEntry.objects.all()] == [1]
    assert UsageTotal.objects.get().completed == 2


def test_jobs_of_one_key_that_end_at_one_time_wait_for_nobody(make_key: MakeKey) -> None:
    """One row per key and day would make 32 workers wait for each other's COMMIT."""
    key, _ = make_key()
    jobs = [made.processing(api_key=key) for _ in range(2)]
    with transaction.atomic():
        assert Job.objects.fail(jobs[0], "broken", "broken")
        (other,) = together(1, lambda _: _ends_within_its_lock_timeout(jobs[1]))
        assert other
        (folded,) = together(1, lambda _: UsageEntry.objects.fold())
        assert folded == 1, "the other's alone: this one is not committed"
    assert total() == Sums(failed=2, device_ms=total().device_ms)


def _ends_within_its_lock_timeout(job: Job) -> bool:
    with connection.cursor() as cursor:
        cursor.execute("SET lock_timeout = '5s'")
    return Job.objects.fail(job, "broken", "broken")


def test_many_processes_end_and_fold_at_once_and_every_sum_is_whole(make_key: MakeKey) -> None:
    key, _ = make_key()
    jobs = [made.processing(api_key=key, model=f"m{n % 3}") for n in range(90)]
    seen: list[int] = []

    def work(number: int) -> None:
        if number < 3:
            for job in jobs[number::3]:
                assert Job.objects.fail(job, "broken", "broken")
        elif number == 3:
            while not seen or seen[-1] < 90:
                seen.append(total().failed)
        else:
            while total().failed < 90:
                UsageEntry.objects.fold()

    together(7, work)
    UsageEntry.objects.fold()
    assert seen == sorted(seen), "a reader never misses what it has seen, and sees nothing twice"
    assert total().failed == sum(entry.failed for entry in UsageEntry.objects.all()) == 90
    assert UsageEntry.objects.count() <= 6  # three models, and perhaps midnight


@pytest.mark.processes
def test_a_fold_that_is_killed_loses_nothing_and_counts_nothing_twice(environment: dict[str, str]) -> None:
    code = (
        "import django; django.setup()\n"
        "from jobs.models import UsageEntry\n"
        "print('ready', flush=True)\n"
        "while True: UsageEntry.objects.fold()"
    )
    names = ", ".join(COUNTERS)
    insert = f"""
        INSERT INTO jobs_usagenote (day, key_prefix, key_name, model, device, {names})
        SELECT (statement_timestamp() AT TIME ZONE 'UTC')::date, n %% 7, 'x', 'm' || n %% 5, 'cpu',
            {", ".join("1" for _ in COUNTERS)} FROM generate_series(1, %s) AS n
    """
    written = 0
    for _ in range(4):
        folder = subprocess.Popen(
            [sys.executable, "-c", code], env=os.environ | environment | {"DATABASE_URL": database_url()},
            stdout=subprocess.PIPE,
        )  # fmt: skip
        assert folder.stdout
        assert folder.stdout.readline() == b"ready\n"
        for _unused in range(5):
            with connection.cursor() as cursor:
                cursor.execute(insert, [2000])
            written += 2000
            time.sleep(random.uniform(0, 0.02))
        folder.send_signal(signal.SIGKILL)
        folder.wait()
        folder.stdout.close()
    eventually(lambda: _folded_by_this_process(written))
    assert total() == Sums(*[written] * len(COUNTERS))
    assert sum(entry.completed for entry in UsageTotal.objects.all()) == written


def _folded_by_this_process(written: int) -> bool:
    UsageEntry.objects.fold()  # the backends of the killed ones may hold rows for a moment
    return not UsageNote.objects.exists() and sum(entry.completed for entry in UsageEntry.objects.all()) == written


def test_a_month_is_read_by_an_index() -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO jobs_usage (day, key_prefix, key_name, model, device, completed, failed, cancelled, reused, "
            "input_pixels, output_pixels, device_ms, input_bytes, result_bytes) "
            "SELECT DATE '2024-01-01' + n % 1000, n / 1000, 'x', 'm', 'cpu', 1, 1, 1, 1, 1, 1, 1, 1, 1 "
            "FROM generate_series(0, 49999) AS n"
        )
        cursor.execute("ANALYZE jobs_usage")
        for narrowed, index in (("", "usage_once"), ("AND key_prefix = '7'", "usage_of_key")):
            days = "day BETWEEN '2024-02-01' AND '2024-02-29'"  # as added_up asks
            cursor.execute(f"EXPLAIN SELECT sum(completed) FROM jobs_usage WHERE {days} {narrowed}")
            plan = "\n".join(row[0] for row in cursor.fetchall())
            assert index in plan or (narrowed and "usage_once" in plan), plan
            assert "Seq Scan" not in plan


def test_the_clean_up_leaves_the_ledger_but_for_days_that_the_operator_does_not_keep(
    data_dir: object, settings: Settings
) -> None:
    for ago in (0, 40):
        made.completed()
        UsageNote.objects.filter(pk=UsageNote.objects.latest("id").pk).update(
            day=UsageEntry.objects.today() - timedelta(days=ago)
        )
    for keep, left in ((0, 2), (41, 2), (39, 1)):
        settings.USAGE_KEEP_DAYS = keep
        retention.cleanup(0, orphan_seconds=0)
        UsageEntry.objects.fold()
        assert not Job.objects.exists()
        assert sum(entry.completed for entry in UsageEntry.objects.all()) == left
