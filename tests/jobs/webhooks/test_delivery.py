"""Delivery to a receiver that works, fails, stalls, drips, redirects and says 410; verified with standardwebhooks."""

import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from django.conf import settings as django_settings
from django.db import connection
from django.db.models import F
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from pytest_django.fixtures import Settings
from standardwebhooks import Webhook, WebhookVerificationError

from jobs.auth import api_keys
from jobs.models import Job, WebhookAttempt, WebhookMessage
from jobs.models.webhook import DeliveryState
from jobs.webhooks import backoff, delivery
from jobs.webhooks.delivery import deliver_due
from jobs.webhooks.signing import secrets_for
from tests.eventually import eventually
from tests.jobs.webhooks.receiver import Receiver
from tests.together import together

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def tell(make_job: Callable[..., Job]) -> Callable[..., WebhookMessage]:
    """Ends a job that has this webhook address; returns the message."""

    def end(url: str, **fields: object) -> WebhookMessage:
        job = make_job(webhook_url=url, **fields)
        Job.objects.cancel(job.pk)
        return WebhookMessage.objects.get(job=job)

    return end


def again_now(message: WebhookMessage) -> WebhookMessage:
    """Let the message's next try be due, as if its wait were over."""
    WebhookMessage.objects.filter(pk=message.pk, state="pending").update(next_attempt_at=timezone.now())
    message.refresh_from_db()
    return message


def test_the_receiver_verifies_the_signature(receiver: Receiver, tell: Callable[..., WebhookMessage]) -> None:
    message = tell(receiver.url())
    assert deliver_due() == 1
    (request,) = receiver.requests
    event = Webhook(secrets_for(None)[0]).verify(request.body, request.headers)
    assert event["type"] == "job.cancelled"
    assert request.headers["content-type"] == "application/json"
    assert request.headers["host"] == f"127.0.0.1:{receiver.port}"
    message.refresh_from_db()
    assert (message.state, message.tries, message.token) == (DeliveryState.DELIVERED, 1, None)
    attempt = message.attempts.get()
    assert (attempt.status, attempt.answer, attempt.error) == (200, "thank you", "")
    assert deliver_due() == 0


def test_a_forged_body_or_another_secret_does_not_verify(
    receiver: Receiver, tell: Callable[..., WebhookMessage]
) -> None:
    tell(receiver.url())
    deliver_due()
    (request,) = receiver.requests
    with pytest.raises(WebhookVerificationError):
        Webhook(secrets_for(None)[0]).verify(request.body.replace(b"cancelled", b"completed"), request.headers)
    with pytest.raises(WebhookVerificationError):
        Webhook("whsec_" + "A" * 44).verify(request.body, request.headers)


def test_jobs_of_a_key_are_signed_with_that_keys_own_secret(
    receiver: Receiver, tell: Callable[..., WebhookMessage]
) -> None:
    mine, _ = api_keys.issue("mine", ["upscale"])
    other, _ = api_keys.issue("other", ["upscale"])
    tell(receiver.url(), api_key=mine)
    deliver_due()
    (request,) = receiver.requests
    Webhook(secrets_for(mine.pk)[0]).verify(request.body, request.headers)
    for secret in (secrets_for(other.pk)[0], secrets_for(None)[0]):
        with pytest.raises(WebhookVerificationError):
            Webhook(secret).verify(request.body, request.headers)


def test_during_a_rotation_old_and_new_secret_verify(
    receiver: Receiver, tell: Callable[..., WebhookMessage], settings: Settings
) -> None:
    old = django_settings.WEBHOOK_SECRETS[0]
    new = "whsec_bmV3IHNlY3JldCBuZXcgc2VjcmV0IG5ldyBzZWNyZXQ="
    settings.WEBHOOK_SECRETS = [new, old]
    tell(receiver.url())
    deliver_due()
    (request,) = receiver.requests
    for secret in (old, new):
        Webhook(secret).verify(request.body, request.headers)


def test_a_failing_receiver_is_tried_again_with_the_same_id_until_it_accepts(
    receiver: Receiver, tell: Callable[..., WebhookMessage]
) -> None:
    message = tell(receiver.url("/flaky/2"))
    for _ in range(3):
        assert deliver_due() == 1
        assert deliver_due() == 0, "the next try must wait"
        again_now(message)
    message.refresh_from_db()
    assert (message.state, message.tries) == (DeliveryState.DELIVERED, 3)
    assert [attempt.status for attempt in message.attempts.all()] == [500, 500, 200]
    assert [attempt.number for attempt in message.attempts.all()] == [1, 2, 3]
    assert len({request.headers["webhook-id"] for request in receiver.requests}) == 1
    assert message.attempts.first().answer == "flaky\ufffd\ufffd"  # type: ignore[union-attr]


def test_the_waits_follow_the_ladder_with_jitter(receiver: Receiver, tell: Callable[..., WebhookMessage]) -> None:
    message = tell(receiver.url("/status/500"))
    for wait in backoff.WAITS:
        deliver_due()
        message.refresh_from_db()
        # From the database's own log row, so that the machine's speed does not matter.
        last = WebhookAttempt.objects.filter(message=message).latest("id")
        pause = message.next_attempt_at - last.at
        assert wait <= pause <= wait * (1 + backoff.JITTER) + timedelta(seconds=30)
        again_now(message)
    deliver_due()
    message.refresh_from_db()
    assert (message.state, message.tries) == (DeliveryState.FAILED, len(backoff.WAITS) + 1)
    assert deliver_due() == 0


def test_a_receivers_retry_after_is_respected(receiver: Receiver, tell: Callable[..., WebhookMessage]) -> None:
    message = tell(receiver.url("/busy"))
    before = datetime.now(UTC)
    deliver_due()
    message.refresh_from_db()
    assert message.next_attempt_at >= before + timedelta(seconds=3590)


def test_a_retry_after_that_is_no_time_is_passed_over(receiver: Receiver, tell: Callable[..., WebhookMessage]) -> None:
    """Python's parser of dates raises OverflowError for it; that ended the run, with all outcomes unrecorded."""
    odd, good = tell(receiver.url("/odd-date")), tell(receiver.url())
    assert deliver_due() == 2
    odd.refresh_from_db()
    good.refresh_from_db()
    assert (odd.state, odd.attempts.get().status) == (DeliveryState.PENDING, 503)
    assert odd.next_attempt_at > timezone.now()
    assert good.state == DeliveryState.DELIVERED


def test_an_outcome_that_cannot_be_recorded_does_not_take_the_others_along(
    receiver: Receiver, tell: Callable[..., WebhookMessage]
) -> None:
    poison = tell(receiver.url("/status/500"))
    others = [tell(receiver.url(f"/ok/{number}")) for number in range(5)]
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE jobs_webhookattempt ADD CONSTRAINT poison CHECK (answer <> 'as asked') NOT VALID")
    try:
        assert deliver_due() == 6
    finally:
        with connection.cursor() as cursor:
            cursor.execute("ALTER TABLE jobs_webhookattempt DROP CONSTRAINT poison")
    for message in others:
        message.refresh_from_db()
        assert message.state == DeliveryState.DELIVERED
    poison.refresh_from_db()
    assert poison.state == DeliveryState.PENDING
    assert poison.token is not None, "its lease decides when it is sent again"


def test_a_message_that_cannot_even_be_signed_is_logged_and_comes_to_its_end(
    receiver: Receiver, tell: Callable[..., WebhookMessage], settings: Settings
) -> None:
    message = tell(receiver.url())
    settings.WEBHOOK_SECRETS = ["whsec_x"]  # one letter is no base64
    for _ in range(backoff.TRIES):
        assert deliver_due() == 1
        again_now(message)
    message.refresh_from_db()
    assert message.state == DeliveryState.FAILED
    assert "Error: " in message.attempts.latest("id").error


def test_a_message_that_killed_its_process_each_time_is_given_up(
    receiver: Receiver, tell: Callable[..., WebhookMessage]
) -> None:
    message = tell(receiver.url())
    for _ in range(backoff.TRIES):
        claimed = WebhookMessage.objects.claim(lease=timedelta(seconds=-1), per_host=4)
        assert claimed is not None
    assert deliver_due() == 0
    message.refresh_from_db()
    assert (message.state, receiver.requests) == (DeliveryState.FAILED, [])


def test_a_redirect_is_a_failure_and_is_not_followed(receiver: Receiver, tell: Callable[..., WebhookMessage]) -> None:
    message = tell(receiver.url("/redirect"))
    deliver_due()
    assert [request.path for request in receiver.requests] == ["/redirect"]
    message.refresh_from_db()
    assert (message.state, message.attempts.get().status) == (DeliveryState.PENDING, 302)


@pytest.mark.parametrize("path", ["/stall", "/drip"])
def test_a_receiver_that_stalls_or_drips_is_cut_off(
    path: str, receiver: Receiver, tell: Callable[..., WebhookMessage], settings: Settings
) -> None:
    settings.WEBHOOK_TIMEOUT_SECONDS = 0.5
    message = tell(receiver.url(path))
    deliver_due()
    message.refresh_from_db()
    attempt = message.attempts.get()
    assert (message.state, attempt.status) == (DeliveryState.PENDING, None)
    assert attempt.error == "no complete answer within 0.5 s"


def test_an_endless_answer_is_read_no_further_than_the_log_needs(
    receiver: Receiver, tell: Callable[..., WebhookMessage]
) -> None:
    message = tell(receiver.url("/endless"))
    deliver_due()
    message.refresh_from_db()
    assert (message.state, message.attempts.get().answer) == (DeliveryState.DELIVERED, "z" * 1000)


@pytest.mark.parametrize("path", ["/garbage", "/hangup"])
def test_a_broken_answer_is_logged_and_tried_again(
    path: str, receiver: Receiver, tell: Callable[..., WebhookMessage]
) -> None:
    message = tell(receiver.url(path))
    deliver_due()
    message.refresh_from_db()
    assert message.state == DeliveryState.PENDING
    assert message.attempts.get().error.startswith("RemoteProtocolError")


def test_a_receiver_that_is_down_is_tried_again(receiver: Receiver, tell: Callable[..., WebhookMessage]) -> None:
    message = tell("http://127.0.0.1:9/nobody")
    deliver_due()
    message.refresh_from_db()
    assert message.state == DeliveryState.PENDING
    assert message.attempts.get().error.startswith("ConnectError")


def test_410_ends_everything_to_that_address_but_not_to_others(
    receiver: Receiver, tell: Callable[..., WebhookMessage], make_job: Callable[..., Job]
) -> None:
    waiting = tell(receiver.url("/status/410"))
    WebhookMessage.objects.filter(pk=waiting.pk).update(next_attempt_at=timezone.now() + timedelta(hours=1))
    still_running = make_job(webhook_url=receiver.url("/status/410"))
    gone = tell(receiver.url("/status/410"))
    other = tell(receiver.url("/ok"))
    deliver_due()
    for message, state in ((waiting, "gone"), (gone, "gone"), (other, "delivered")):
        message.refresh_from_db()
        assert message.state == state
    Job.objects.cancel(still_running.pk)
    assert WebhookMessage.objects.get(job=still_running).state == DeliveryState.GONE
    later = tell(receiver.url("/status/410"))
    assert later.state == DeliveryState.PENDING, "a later job names the address anew"


def test_one_stalling_receiver_does_not_hold_up_the_others(
    receiver: Receiver, tell: Callable[..., WebhookMessage]
) -> None:
    """Twenty messages for a receiver that never answers are due first; another receiver gets its five at once."""
    from tests.jobs.webhooks.receiver import start_receiver, stop_receiver

    good = start_receiver()
    for _ in range(20):
        tell(receiver.url("/stall"))
    for _ in range(5):
        tell(good.url("/ok"))

    def run() -> None:
        try:
            deliver_due()
        finally:
            connection.close()

    thread = threading.Thread(target=run)
    thread.start()
    try:
        eventually(lambda: len(good.requests) == 5, say="delivery to the good receiver")
        assert len(receiver.requests) <= delivery.PER_HOST
        assert thread.is_alive(), "the stalling receiver is still holding its own deliveries"
    finally:
        receiver.released.set()
        thread.join(240)
        stop_receiver(good)


def test_two_runs_never_send_the_same_message(receiver: Receiver, tell: Callable[..., WebhookMessage]) -> None:
    for number in range(30):
        tell(receiver.url(f"/ok/{number}"))
    together(3, lambda _: deliver_due())
    deliver_due()
    assert sorted(receiver.tries.values()) == [1] * 30
    assert WebhookMessage.objects.filter(state="delivered").count() == 30


def test_a_message_whose_process_died_is_delivered_when_its_lease_is_over(
    receiver: Receiver, tell: Callable[..., WebhookMessage]
) -> None:
    message = tell(receiver.url())
    claimed = WebhookMessage.objects.claim(lease=timedelta(seconds=60), per_host=4)
    assert claimed is not None
    assert deliver_due() == 0
    WebhookMessage.objects.filter(pk=message.pk).update(lease_until=F("lease_until") - timedelta(seconds=61))
    assert deliver_due() == 1
    message.refresh_from_db()
    assert (message.state, message.tries) == (DeliveryState.DELIVERED, 2)


def test_a_run_that_lost_its_lease_changes_nothing_but_the_log(
    receiver: Receiver, tell: Callable[..., WebhookMessage]
) -> None:
    from jobs.webhooks.transport import DeliveryResult

    message = tell(receiver.url())
    stale = WebhookMessage.objects.claim(lease=timedelta(seconds=-1), per_host=4)
    deliver_due()
    assert stale is not None
    delivery.record(stale, DeliveryResult(seconds=1, status=500))
    message.refresh_from_db()
    assert message.state == DeliveryState.DELIVERED
    assert message.attempts.count() == 2


def test_replay_sends_an_ended_message_again_and_leaves_others_alone(
    receiver: Receiver, tell: Callable[..., WebhookMessage]
) -> None:
    done, pending = tell(receiver.url()), tell(receiver.url("/busy"))
    deliver_due()
    assert WebhookMessage.objects.replay([done.pk, pending.pk]) == 1
    assert deliver_due() == 1
    first, second = receiver.to("/ok")
    assert first.headers["webhook-id"] == second.headers["webhook-id"]
    done.refresh_from_db()
    assert (done.state, done.attempts.count()) == (DeliveryState.DELIVERED, 2)


def test_old_messages_are_forgotten_with_their_log_and_waiting_ones_kept(
    receiver: Receiver, tell: Callable[..., WebhookMessage]
) -> None:
    tell(receiver.url())
    kept = tell(receiver.url("/busy"))
    deliver_due()
    assert WebhookMessage.objects.forget(timedelta(hours=1)) == 0
    assert WebhookMessage.objects.forget(timedelta(0)) == 1
    assert list(WebhookMessage.objects.all()) == [kept]
    assert WebhookAttempt.objects.count() == 1


def test_a_private_target_is_refused_at_delivery_even_when_it_was_accepted(
    receiver: Receiver, tell: Callable[..., WebhookMessage], settings: Settings
) -> None:
    message = tell(receiver.url())
    settings.WEBHOOK_ALLOW_PRIVATE = False
    deliver_due()
    assert receiver.requests == []
    assert "private or reserved" in message.attempts.get().error


def test_a_claim_reads_an_index_beside_a_hundred_thousand_ended_messages(receiver: Receiver) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            """
            INSERT INTO jobs_webhookmessage (id, event, url, host, body, state, tries, finished_at)
            SELECT gen_random_uuid(), 'job.completed', 'http://x/', 'x:80', '{}', 'delivered', 1, now()
            FROM generate_series(1, 100000)
            """
        )
        cursor.execute("ANALYZE jobs_webhookmessage")
    with CaptureQueriesContext(connection) as caught:
        assert WebhookMessage.objects.claim(lease=timedelta(seconds=1), per_host=4) is None
    with connection.cursor() as cursor:
        cursor.execute("EXPLAIN " + caught.captured_queries[0]["sql"])
        plan = "\n".join(row[0] for row in cursor.fetchall())
    assert "webhook_due" in plan, plan
    assert "Seq Scan" not in plan, plan
