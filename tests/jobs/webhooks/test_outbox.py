"""A message exists if and only if the event that it tells does."""

import json
import threading
from collections.abc import Callable

import pytest
from django.db import connection, transaction
from pytest_django.fixtures import Settings

from jobs.models import ApiKey, Batch, Job, WebhookMessage
from jobs.models.results import Finished
from jobs.states import Status
from jobs.webhooks.payloads import WebhookEvent
from tests.eventually import eventually

RESULT = Finished(
    result_file="results/x.png",
    result_bytes=10,
    result_format="png",
    result_width=16,
    result_height=16,
    result_sha256="1" * 64,
)
URL = "http://127.0.0.1:9/hook"


def messages() -> list[tuple[str, str]]:
    return list(WebhookMessage.objects.order_by("created_at", "event").values_list("event", "state"))


def run(job: Job, *, succeed: bool = True) -> None:
    """Claim and end the job by its verbs."""
    claimed = Job.objects.claim("test")
    assert claimed is not None
    assert claimed.pk == job.pk
    if succeed:
        assert Job.objects.succeed(claimed, RESULT)
    else:
        assert Job.objects.fail(claimed, "no luck", "test")


@pytest.mark.django_db
def test_a_completed_job_writes_one_message_with_links_and_figures(
    make_job: Callable[..., Job], settings: Settings
) -> None:
    settings.PUBLIC_URL = "https://up.example.org"
    job = make_job(webhook_url=URL)
    run(job)
    message = WebhookMessage.objects.get()
    body = json.loads(message.body)
    assert (message.event, message.url, message.host, message.job_id) == ("job.completed", URL, "127.0.0.1:9", job.pk)
    assert body["type"] == "job.completed"
    assert body["timestamp"].endswith("Z")
    assert body["data"]["job_id"] == str(job.pk)
    assert body["data"]["status"] == "completed"
    assert (body["data"]["width"], body["data"]["height"], body["data"]["bytes"]) == (16, 16, 10)
    assert body["data"]["result_url"] == f"https://up.example.org/api/v1/jobs/{job.pk}/result"


@pytest.mark.django_db
def test_a_failed_job_tells_its_error_and_no_result(make_job: Callable[..., Job]) -> None:
    run(make_job(webhook_url=URL), succeed=False)
    data = json.loads(WebhookMessage.objects.get().body)["data"]
    assert (data["error"], data["error_code"], data["result_url"]) == ("no luck", "test", None)


@pytest.mark.django_db
def test_a_cancelled_job_tells_so(make_job: Callable[..., Job]) -> None:
    Job.objects.cancel(make_job(webhook_url=URL).pk)
    assert messages() == [("job.cancelled", "pending")]


@pytest.mark.django_db
def test_a_job_without_webhook_writes_nothing(make_job: Callable[..., Job]) -> None:
    run(make_job())
    assert messages() == []


@pytest.mark.django_db
def test_only_the_events_asked_for_are_written(make_job: Callable[..., Job]) -> None:
    run(make_job(webhook_url=URL, webhook_events=["job.failed"]))
    assert messages() == []
    run(make_job(webhook_url=URL, webhook_events=["job.started", "job.failed"]), succeed=False)
    assert [event for event, _ in messages()] == ["job.started", "job.failed"]


@pytest.mark.django_db
def test_progress_is_told_once_per_quarter_and_only_when_asked_for(make_job: Callable[..., Job]) -> None:
    make_job(webhook_url=URL, webhook_events=[str(WebhookEvent.PROGRESS)])
    job = Job.objects.claim("test")
    assert job is not None
    told = []
    for tiles in range(1, 11):
        assert Job.objects.heartbeat(job, tiles_done=tiles, tiles_total=10).held
        job.tiles_done, job.tiles_total = tiles, 10
        told.append(WebhookMessage.objects.count())
    assert told == [0, 0, 1, 1, 2, 2, 2, 3, 3, 3]
    last = WebhookMessage.objects.order_by("-created_at").first()
    assert last is not None
    assert json.loads(last.body)["data"]["progress"] == {"tiles_done": 8, "tiles_total": 10}


@pytest.mark.django_db(transaction=True)
def test_a_rolled_back_end_leaves_no_message(make_job: Callable[..., Job]) -> None:
    job = make_job(webhook_url=URL)
    with transaction.atomic():
        run(job)
        assert WebhookMessage.objects.count() == 1
        transaction.set_rollback(True)
    assert WebhookMessage.objects.count() == 0


@pytest.mark.django_db
def test_the_last_job_of_a_batch_tells_the_batchs_end_with_counts(make_job: Callable[..., Job]) -> None:
    batch = Batch.objects.create(rejected=[{"index": 2, "filename": "x.txt"}])
    first = make_job(batch=batch, batch_index=0, webhook_url=URL)
    second = make_job(batch=batch, batch_index=1, webhook_url=URL)
    run(first)
    assert [event for event, _ in messages()] == ["job.completed"]
    run(second, succeed=False)
    assert sorted(event for event, _ in messages()) == ["batch.completed", "job.completed", "job.failed"]
    data = json.loads(WebhookMessage.objects.get(event="batch.completed").body)["data"]
    assert (data["total"], data["rejected"], data["counts"]) == (2, 1, {"completed": 1, "failed": 1})
    assert data["status_url"].endswith(f"/api/v1/batches/{batch.pk}")


@pytest.mark.django_db
def test_a_batch_may_ask_for_its_end_alone(make_job: Callable[..., Job]) -> None:
    batch = Batch.objects.create()
    run(make_job(batch=batch, webhook_url=URL, webhook_events=["batch.completed"]))
    assert messages() == [("batch.completed", "pending")]


@pytest.mark.django_db(transaction=True)
def test_two_jobs_that_end_at_the_same_moment_tell_the_batchs_end_once(make_job: Callable[..., Job]) -> None:
    batch = Batch.objects.create()
    jobs = [make_job(batch=batch, webhook_url=URL, webhook_events=["batch.completed"]) for _ in range(2)]
    first_is_in = threading.Event()
    may_commit = threading.Event()

    def end_first() -> None:
        try:
            with transaction.atomic():
                Job.objects.cancel(jobs[0].pk)
                first_is_in.set()
                may_commit.wait(240)
        finally:
            connection.close()

    def end_second() -> None:
        try:
            Job.objects.cancel(jobs[1].pk)
        finally:
            connection.close()

    one, two = threading.Thread(target=end_first), threading.Thread(target=end_second)
    one.start()
    assert first_is_in.wait(240)
    two.start()
    eventually(_somebody_waits_for_a_lock, say="the second job's wait for the batch's row")
    may_commit.set()
    one.join(240)
    two.join(240)
    assert messages() == [("batch.completed", "pending")]


def _somebody_waits_for_a_lock() -> bool:
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'")
        return bool(cursor.fetchone()[0])


@pytest.mark.django_db
def test_bodies_stay_below_the_standards_20_kb(make_job: Callable[..., Job]) -> None:
    make_job(webhook_url=URL, input_name="é" * 255)
    job = Job.objects.claim("test")
    assert job is not None
    Job.objects.fail(job, "ü" * 50_000, "test")
    assert len(WebhookMessage.objects.get().body.encode()) < 20_000


@pytest.mark.django_db
def test_a_message_outlives_its_job(make_job: Callable[..., Job]) -> None:
    key = ApiKey.objects.create(name="k", prefix="abcdefgh", digest="0" * 64, scopes=["upscale"])
    job = make_job(webhook_url=URL, api_key=key)
    run(job)
    Job.objects.filter(pk=job.pk).delete()
    message = WebhookMessage.objects.get()
    assert (message.job_id, message.api_key_id) == (None, key.pk)
    assert Status.COMPLETED in message.body
