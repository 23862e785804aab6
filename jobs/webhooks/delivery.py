"""Delivers what is due: many exchanges at once, each message by one process, none for ever.

One thread talks to the database: it claims messages, hands them to threads that only do HTTP, and records the outcomes.
So a run costs one connection however many receivers stall.
"""

import logging
import time
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from datetime import timedelta

from django.conf import settings
from django.db import connection, transaction

from jobs.models.webhook import DeliveryState, WebhookAttempt, WebhookMessage
from jobs.queue import dispatch
from jobs.webhooks.backoff import TRIES, wait_after
from jobs.webhooks.transport import DeliveryResult, send

AT_ONCE = 16  # concurrent exchanges of one run
PER_HOST = 4  # concurrent exchanges with one receiver, so that a stalling one leaves room for the others
RUNS = 2  # concurrent runs on all hosts together: webhooks must leave workers of the cluster for downloads
RUN_SECONDS = 30
LEASE_MARGIN = timedelta(seconds=30)  # beyond the time-out of the exchange: only a dead process outlives its lease
LOOK_AGAIN_SECONDS = 1.0  # while exchanges are under way: what became due meanwhile
_LOCK = 0x7570736B  # "upsk": the first half of this service's advisory locks for webhook runs

log = logging.getLogger(__name__)


def deliver_due() -> int:
    """Deliver what is due; returns how many tries were made. At once 0 when enough other runs are at it.

    A run that has claimed for RUN_SECONDS rings for a successor and ends: the worker can then stop, or do other work.
    """
    with _slot() as free:
        if not free:
            return 0
        tries = _run(time.monotonic() + RUN_SECONDS)
    # Also for a message whose doorbell found every slot taken just after our last query: no other run would take it.
    if WebhookMessage.objects.due().exists():
        dispatch.ring_webhooks()
    return tries


def _run(deadline: float) -> int:
    tries = 0
    lease = timedelta(seconds=settings.WEBHOOK_TIMEOUT_SECONDS) + LEASE_MARGIN
    under_way: dict[Future[DeliveryResult], WebhookMessage] = {}
    with ThreadPoolExecutor(AT_ONCE, thread_name_prefix="webhook") as threads:
        while True:
            while len(under_way) < AT_ONCE and time.monotonic() < deadline:
                message = WebhookMessage.objects.claim(lease=lease, per_host=PER_HOST)
                if message is None:
                    break
                if message.tries > TRIES:  # no earlier try was recorded: this message kills the process that sends it
                    WebhookMessage.objects.end(message, DeliveryState.FAILED)
                    log.error("webhook given up unsent message=%s tries=%d", message.id, message.tries)
                    continue
                under_way[threads.submit(send, message)] = message
            if not under_way:
                return tries
            done, _ = wait(under_way, timeout=LOOK_AGAIN_SECONDS, return_when=FIRST_COMPLETED)
            for future in done:
                tries += 1
                _record_guarded(under_way.pop(future), future.result())


def _record_guarded(message: WebhookMessage, outcome: DeliveryResult) -> None:
    """Record, or leave the message to its lease: the outcomes of the others are recorded whatever this one is like."""
    try:
        record(message, outcome)
    except Exception:  # one message that cannot be recorded would have 15 others sent twice
        log.exception(
            "webhook outcome not recorded message=%s event=%s try=%d", message.id, message.event, message.tries
        )


def record(message: WebhookMessage, outcome: DeliveryResult) -> None:
    """Log the try and move the message on: delivered, gone, tried again later, or given up."""
    with transaction.atomic():
        WebhookAttempt.objects.create(
            message=message,
            number=message.tries,
            status=outcome.status,
            seconds=outcome.seconds,
            error=outcome.error,
            answer=outcome.answer,
        )
        state = _move(message, outcome)
    log.info(
        "webhook message=%s event=%s job=%s try=%d status=%s seconds=%.3f state=%s",
        message.id, message.event, message.job_id, message.tries, outcome.status, outcome.seconds, state,
    )  # fmt: skip


def _move(message: WebhookMessage, outcome: DeliveryResult) -> str:
    """Record where the message goes; a claim that was lost to another run changes nothing."""
    messages = WebhookMessage.objects
    if outcome.delivered:
        messages.end(message, DeliveryState.DELIVERED)
        return "delivered"
    if outcome.gone:
        messages.end(message, DeliveryState.GONE)
        others = messages.end_all_to(message.url)
        return f"gone (and {others} waiting)" if others else "gone"
    pause = wait_after(message.tries, outcome.retry_after)
    if pause is None:
        messages.end(message, DeliveryState.FAILED)
        return "failed"
    messages.postpone(message, pause)
    return f"again in {pause.total_seconds():.0f} s"


@contextmanager
def _slot() -> Iterator[bool]:
    """Hold one of RUNS advisory locks, which a process that dies gives back by itself. False: all are taken."""
    with connection.cursor() as cursor:
        for number in range(RUNS):
            cursor.execute("SELECT pg_try_advisory_lock(%s, %s)", [_LOCK, number])
            if cursor.fetchone() == (True,):
                break
        else:
            yield False
            return
    try:
        yield True
    finally:
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_unlock(%s, %s)", [_LOCK, number])
