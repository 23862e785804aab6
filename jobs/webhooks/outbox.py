"""Writes messages into the outbox, in the transaction of the change that they tell (jobs/models/job_changes.py)."""

from typing import TYPE_CHECKING
from uuid import UUID

from django.db import transaction
from django.db.models import Count
from django.db.models.functions import Now
from django.utils import timezone

from jobs.models.batch import Batch
from jobs.models.webhook import DeliveryState, WebhookMessage
from jobs.queue import dispatch
from jobs.states import LIVE, TERMINAL, Status
from jobs.webhooks.payloads import DEFAULT_EVENTS, WebhookEvent, batch_body, job_body
from modelstore.safe_http import host_of

if TYPE_CHECKING:
    from jobs.models.job import Job

_EVENT_OF = {
    Status.PROCESSING: WebhookEvent.STARTED,
    Status.COMPLETED: WebhookEvent.COMPLETED,
    Status.FAILED: WebhookEvent.FAILED,
    Status.CANCELLED: WebhookEvent.CANCELLED,
}


def enqueue(job: "Job", may_end_batch: bool = True) -> None:
    """Write what the job's present state means to its subscriber. Nothing when it has none.

    Called inside the transaction of the change, after its UPDATE, with the job as its row now is: so a message exists
    if and only if the state change does. A queued job is no event.

    :param may_end_batch: False for all but the last of jobs that end together, so that their batch ends once.
    """
    event = _EVENT_OF.get(Status(job.status))
    if not job.webhook_url or event is None:
        return
    with transaction.atomic():
        if _wants(job, event):
            at = job.finished_at if job.status in TERMINAL else job.started_at
            _write(job, event, job_body(event, job, at or timezone.now()))
        if (
            may_end_batch
            and job.batch_id is not None
            and job.status in TERMINAL
            and _wants(job, WebhookEvent.BATCH_COMPLETED)
        ):
            _batch_ended(job, job.batch_id)


def enqueue_progress(job: "Job", tiles_before: int) -> None:
    """Write job.progress when ``job.tiles_done`` passed a quarter that ``tiles_before`` had not; not at the end."""
    if not job.webhook_url or not job.tiles_total or not _wants(job, WebhookEvent.PROGRESS):
        return
    if 4 * tiles_before // job.tiles_total < 4 * job.tiles_done // job.tiles_total < 4:
        _write(job, WebhookEvent.PROGRESS, job_body(WebhookEvent.PROGRESS, job, timezone.now()))


def _wants(job: "Job", event: WebhookEvent) -> bool:
    return event in (job.webhook_events or DEFAULT_EVENTS)


def _batch_ended(job: "Job", batch_id: UUID) -> None:
    """Write batch.completed when ``job`` was the last live one.

    The lock on the batch's row puts jobs that end at the same moment in a line: without it each would still see the
    other as live, and nobody would tell the end.
    """
    batch = Batch.objects.select_for_update().get(pk=batch_id)
    counts = dict(batch.jobs.order_by().values_list("status").annotate(Count("pk")))
    if not any(counts.get(status) for status in LIVE):
        at = job.finished_at or timezone.now()
        _write(job, WebhookEvent.BATCH_COMPLETED, batch_body(batch, {str(s): n for s, n in counts.items()}, at))


def _write(job: "Job", event: WebhookEvent, body: str) -> None:
    """Write the message; already ended when the receiver said 410 after this job named it.

    A job submitted later names the address anew, so it is tried again.
    """
    gone = WebhookMessage.objects.filter(url=job.webhook_url, state=DeliveryState.GONE, finished_at__gt=job.created_at)
    is_gone = gone.exists()
    WebhookMessage.objects.create(
        job_id=job.pk,
        batch_id=job.batch_id,
        api_key_id=job.api_key_id,
        event=event,
        url=job.webhook_url,
        host=host_of(job.webhook_url),
        body=body,
        state=DeliveryState.GONE if is_gone else DeliveryState.PENDING,
        finished_at=Now() if is_gone else None,
    )
    dispatch.ring_webhooks()
