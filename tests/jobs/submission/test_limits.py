"""Limits of one caller: what goes beyond is refused by name, and nothing of it stays; what runs at once waits."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from django.db import connection
from django.db.models.functions import Now
from django.test import Client
from pytest_django.fixtures import Settings

from jobs import actions, errors
from jobs.auth import api_keys, callers
from jobs.models import Allowance, ApiKey, Batch, Job
from jobs.models.results import Finished
from jobs.states import Status
from jobs.submission import submit
from jobs.submission.request import Submission
from tests.job_rows import waiting_job
from tests.jobs.conftest import picture, stored_files
from tests.jobs.submission.helpers import Make, complete
from tests.together import together

MakeKey = Callable[..., tuple[ApiKey, dict[str, str]]]


def of(key: ApiKey, submission: Submission) -> Submission:
    return replace(submission, api_key=key, caller=callers.of_key(key))


def post(client: Client, headers: dict[str, str], **fields: Any) -> Any:
    return client.post("/api/v1/jobs", {"image": picture(**fields), "model": "tiny-x2"}, headers=headers)


def test_beyond_the_waiting_jobs_is_429_with_name_value_and_time(
    client: Client, model: object, make_key: MakeKey, data_dir: Path
) -> None:
    _, mine = make_key(max_queued_jobs=2)
    _, other = make_key()
    for seed in range(2):
        assert post(client, mine, seed=seed).status_code == 202
    refused = post(client, mine, seed=3)
    assert (refused.status_code, refused.json()["code"]) == (429, "queued_jobs_limit")
    assert refused.json()["detail"] == "Your limit of waiting jobs is 2: 2 wait already, this call has 1"
    assert int(refused.headers["Retry-After"]) >= 1
    assert Job.objects.count() == 2
    assert len(stored_files(data_dir)) == 2
    assert post(client, other).status_code == 202, "others have room"


def test_a_batch_beyond_the_limit_leaves_nothing_and_is_not_told_to_come_back(
    client: Client, model: object, make_key: MakeKey, data_dir: Path
) -> None:
    _, headers = make_key(max_queued_jobs=2)
    images = [picture(seed=seed) for seed in range(3)]
    refused = client.post("/api/v1/upscale-batch", {"images": images, "model": "tiny-x2"}, headers=headers)
    assert (refused.status_code, refused.json()["code"]) == (429, "queued_jobs_limit")
    assert "Retry-After" not in refused.headers, "three never fit into two"
    assert not Job.objects.exists()
    assert not Batch.objects.exists()
    assert stored_files(data_dir) == []


def test_two_submissions_at_once_never_share_the_last_place(
    make_submission: Make, make_key: MakeKey, data_dir: Path
) -> None:
    key, _ = make_key(max_queued_jobs=3)

    def send(number: int) -> bool:
        try:
            submit.submit(picture(seed=number), of(key, make_submission()))
        except errors.QueuedLimitReached:
            return False
        return True

    assert sum(together(8, send)) == 3
    assert Job.objects.count() == 3
    assert len(stored_files(data_dir)) == 3


def test_stored_bytes_count_inputs_and_results(make_submission: Make, make_key: MakeKey, data_dir: Path) -> None:
    key, _ = make_key()
    submission = of(key, make_submission())
    first = submit.submit(picture(), submission)
    complete(first)
    api_keys.change(key, max_stored_bytes=first.input_bytes + 5 + 10)
    with pytest.raises(errors.StorageLimitReached, match=r"stored pictures is .*B: .*B are stored") as caught:
        submit.submit(picture(seed=2), submission)
    assert caught.value.retry_seconds is not None
    assert caught.value.retry_seconds > 3600, "the clean-up makes room in a day"
    assert len(stored_files(data_dir)) == 3
    Job.objects.all().delete()
    submit.submit(picture(seed=2), submission)


def test_megapixels_of_a_day_stay_counted_when_jobs_are_deleted(
    make_submission: Make, make_key: MakeKey, data_dir: Path
) -> None:
    key, _ = make_key(max_megapixels_per_day=2.5 * 24 * 16 / 1e6)
    submission = of(key, make_submission())
    for seed in range(2):
        submit.submit(picture(seed=seed), submission)
        Job.objects.all().delete()
    with pytest.raises(errors.DailyLimitReached, match=r"megapixels a day is 0\.00096: 0\.000768 are used") as caught:
        submit.submit(picture(seed=3), submission)
    assert 1 <= (caught.value.retry_seconds or 0) <= 86_400
    with connection.cursor() as cursor:
        cursor.execute("UPDATE jobs_allowance SET day = day - 1")
    submit.submit(picture(seed=3), submission)
    Allowance.objects.forget()
    assert Allowance.objects.count() == 1


def test_a_refused_call_counts_for_nothing(make_submission: Make, make_key: MakeKey, settings: Settings) -> None:
    key, _ = make_key(max_megapixels_per_day=1, max_queued_jobs=1)
    submission = of(key, make_submission())
    submit.submit(picture(), submission)
    used = Allowance.objects.used(callers.of_key(key))[0]
    with pytest.raises(errors.QueuedLimitReached):
        submit.submit(picture(seed=2), submission)
    assert Allowance.objects.used(callers.of_key(key))[0] == used


def test_a_retry_counts_as_a_submission(make_key: MakeKey) -> None:
    key, _ = make_key(max_queued_jobs=1)
    old = waiting_job(api_key=key, caller=callers.of_key(key))
    Job.objects.cancel(old.pk)
    waiting_job(api_key=key, caller=callers.of_key(key))
    with pytest.raises(errors.QueuedLimitReached):
        actions.retry(Job.objects.all(), old.pk)
    assert Job.objects.get(pk=old.pk).status == Status.CANCELLED


def test_callers_without_a_key_have_the_settings_limits_by_address(
    client: Client, model: object, settings: Settings
) -> None:
    settings.CALLER_MAX_QUEUED_JOBS = 1
    assert post(client, {}).status_code == 202
    assert post(client, {}, seed=2).status_code == 429
    body = {"image": picture(seed=3), "model": "tiny-x2"}
    assert client.post("/api/v1/jobs", body, REMOTE_ADDR="198.51.100.9").status_code == 202
    assert not any("127.0.0.1" in name or "198.51" in name for name in Job.objects.values_list("caller", flat=True))


def test_a_key_without_own_values_has_the_settings_and_zero_is_no_limit(
    make_submission: Make, make_key: MakeKey, settings: Settings
) -> None:
    settings.CALLER_MAX_QUEUED_JOBS = 1
    usual, free = make_key()[0], make_key(max_queued_jobs=0)[0]
    for seed in range(2):
        submit.submit(picture(seed=seed), of(free, make_submission()))
    submit.submit(picture(), of(usual, make_submission()))
    with pytest.raises(errors.QueuedLimitReached):
        submit.submit(picture(seed=2), of(usual, make_submission()))


def test_a_limit_below_what_waits_refuses_more_and_takes_nothing_away(make_submission: Make, make_key: MakeKey) -> None:
    key, _ = make_key()
    for seed in range(3):
        submit.submit(picture(seed=seed), of(key, make_submission()))
    api_keys.change(key, max_queued_jobs=1)
    with pytest.raises(errors.QueuedLimitReached, match="3 wait already"):
        submit.submit(picture(seed=9), of(key, make_submission()))
    assert [Job.objects.claim("w") is not None for _ in range(4)] == [True, True, True, False]


# --- Running jobs: the claim


def jobs_of(key: ApiKey, count: int) -> list[Job]:
    return [waiting_job(api_key=key, caller=callers.of_key(key)) for _ in range(count)]


def finish(job: Job | None) -> None:
    assert job is not None
    assert Job.objects.succeed(job, Finished(f"results/{job.pk.hex}.png", 10, "png", 48, 32, "0" * 64))


def test_jobs_of_a_caller_at_its_limit_are_passed_over(make_key: MakeKey) -> None:
    key, _ = make_key(max_running_jobs=1)
    first, second = jobs_of(key, 2)
    other = waiting_job(caller="address:x")
    running = Job.objects.claim("w")
    assert running is not None
    assert running.pk == first.pk
    passed = Job.objects.claim("w")
    assert passed is not None
    assert passed.pk == other.pk
    assert Job.objects.claim("w") is None
    assert not Job.objects.claimable().exists(), "the pusher hands out no tickets for what nobody may take"
    finish(running)
    assert Job.objects.claimable().get().pk == second.pk
    again = Job.objects.claim("w")
    assert again is not None
    assert again.pk == second.pk


@pytest.mark.django_db(transaction=True)
def test_workers_that_claim_at_once_never_take_more_than_the_limit(make_key: MakeKey) -> None:
    limited, other = make_key(max_running_jobs=3)[0], make_key()[0]
    jobs_of(limited, 20)
    jobs_of(other, 4)
    found = [job for job in together(12, lambda number: Job.objects.claim(f"w{number}")) if job is not None]
    counts = [sum(job.api_key_id == key.pk for job in found) for key in (limited, other)]
    assert counts == [3, 4]


@pytest.mark.django_db(transaction=True)
def test_the_settings_limit_holds_for_each_caller_apart(settings: Settings) -> None:
    settings.CALLER_MAX_RUNNING_JOBS = 2
    for name in "abc":
        for _ in range(5):
            waiting_job(caller=f"address:{name}")
    found = [job for job in together(12, lambda number: Job.objects.claim(f"w{number}")) if job is not None]
    assert sorted(job.caller for job in found) == [f"address:{name}" for name in "aabbcc"]


def test_a_limit_below_what_runs_lets_them_end_first(make_key: MakeKey) -> None:
    key, _ = make_key()
    jobs_of(key, 4)
    running = [Job.objects.claim("w") for _ in range(3)]
    api_keys.change(key, max_running_jobs=1)
    for job in running[:2]:
        finish(job)
        assert Job.objects.claim("w") is None
    finish(running[2])
    assert Job.objects.claim("w") is not None


def test_jobs_go_on_when_their_key_is_deleted(make_key: MakeKey) -> None:
    key, _ = make_key(max_running_jobs=1)
    jobs_of(key, 3)
    running = Job.objects.claim("w")
    assert Job.objects.claim("w") is None
    key.delete()
    assert Job.objects.claim("w") is not None, "nobody limits them any more"
    assert running is not None
    assert Job.objects.heartbeat(running, tiles_done=1, tiles_total=2).held
    finish(Job.objects.get(pk=running.pk))
    Job.objects.filter(status=Status.PROCESSING).update(lease_until=Now())
    assert Job.objects.claim("w") is not None
