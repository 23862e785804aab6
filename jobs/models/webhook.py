"""The outbox of webhooks: a message is written with the event that it tells; every attempt to deliver it is logged."""

import uuid
from datetime import timedelta
from typing import TYPE_CHECKING, Any, ClassVar, Self

from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from jobs.models.api_key import ApiKey
from jobs.models.batch import Batch
from modelstore.claims import UNCLAIMED, ClaimQuerySet, unheld

if TYPE_CHECKING:
    from collections.abc import Iterable


class DeliveryState(models.TextChoices):
    """The state of a message.

    pending -> delivered | failed | gone
    delivered | failed | gone -> pending   replay
    """

    PENDING = "pending", "Pending"
    DELIVERED = "delivered", "Delivered"
    FAILED = "failed", "Failed: all tries used"
    GONE = "gone", "Gone: the receiver answered 410"


ENDED = frozenset({DeliveryState.DELIVERED, DeliveryState.FAILED, DeliveryState.GONE})


class WebhookMessageQuerySet(ClaimQuerySet["WebhookMessage"]):
    """The verbs of a message; each is one statement that names the state and the claim it leaves."""

    claimed: ClassVar[dict[str, Any]] = {"state": DeliveryState.PENDING}

    def due(self) -> Self:
        """Return messages that are due and that no run is delivering, by the database's clock."""
        return self.filter(unheld(), state=DeliveryState.PENDING, next_attempt_at__lte=Now())

    def claim(self, *, lease: timedelta, per_host: int) -> "WebhookMessage | None":
        """Take the message that is due longest, for ``lease``; None when nothing is due.

        Hosts with ``per_host`` deliveries under way are passed over, so that one slow receiver cannot take every slot.
        The try is counted now: a message that kills its worker each time still comes to its end.
        """
        rows = self.raw(
            """
            UPDATE jobs_webhookmessage SET token = %s, lease_until = statement_timestamp() + %s, tries = tries + 1
            WHERE id = (
                SELECT id FROM jobs_webhookmessage
                WHERE state = 'pending' AND next_attempt_at <= statement_timestamp()
                  AND (lease_until IS NULL OR lease_until < statement_timestamp())
                  AND host NOT IN (
                      SELECT host FROM jobs_webhookmessage
                      WHERE state = 'pending' AND lease_until >= statement_timestamp()
                      GROUP BY host HAVING count(*) >= %s)
                ORDER BY next_attempt_at, id LIMIT 1 FOR UPDATE SKIP LOCKED)
            RETURNING *
            """,
            [uuid.uuid4(), lease, per_host],
        )
        return next(iter(rows), None)

    def end(self, message: "WebhookMessage", state: DeliveryState) -> bool:
        """End the claimed ``message``; False: the claim was lost."""
        return bool(self.held(message).update(state=state, finished_at=Now(), **UNCLAIMED))

    def postpone(self, message: "WebhookMessage", delay: timedelta) -> bool:
        """Give the claimed ``message`` back for a further try after ``delay``; False: the claim was lost."""
        return bool(self.held(message).update(next_attempt_at=Now() + delay, **UNCLAIMED))

    def end_all_to(self, url: str) -> int:
        """End all waiting messages to ``url``, whose receiver answered 410. Return how many.

        Messages that another run is delivering are left to their own response; so two runs never wait for each other.
        Needs an open transaction.
        """
        waiting = self.filter(unheld(), url=url, state=DeliveryState.PENDING).select_for_update(skip_locked=True)
        return self.filter(pk__in=list(waiting.values_list("pk", flat=True))).update(
            state=DeliveryState.GONE, finished_at=Now(), **UNCLAIMED
        )

    def replay(self, ids: "Iterable[uuid.UUID]") -> int:
        """Send ended messages once more, with the whole ladder ahead and the same webhook-id. Returns how many."""
        ended = self.filter(pk__in=list(ids), state__in=ENDED)
        return ended.update(state=DeliveryState.PENDING, tries=0, next_attempt_at=Now(), finished_at=None)

    def forget(self, age: timedelta) -> int:
        """Delete ended messages older than ``age``, with their log. Returns how many."""
        return self.filter(state__in=ENDED, finished_at__lt=Now() - age).delete()[1].get("jobs.WebhookMessage", 0)


class WebhookMessage(models.Model):
    """One event for one receiver. It holds all that delivery needs, so it outlives the job whose end it tells."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    job = models.ForeignKey("jobs.Job", null=True, blank=True, on_delete=models.SET_NULL, related_name="webhooks")
    batch = models.ForeignKey(Batch, null=True, blank=True, on_delete=models.SET_NULL, related_name="webhooks")
    api_key = models.ForeignKey(ApiKey, null=True, blank=True, on_delete=models.SET_NULL, related_name="webhooks")
    event = models.CharField(max_length=30)
    url = models.CharField(max_length=2000)
    host = models.CharField(max_length=260)  # host:port of the url: messages to one host share a limit of deliveries
    body = models.TextField()  # the very text that is signed and sent

    state = models.CharField(max_length=12, choices=DeliveryState.choices, default=DeliveryState.PENDING)
    tries = models.PositiveSmallIntegerField(default=0)  # since the event or the last replay
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    next_attempt_at = models.DateTimeField(db_default=Now(), editable=False)
    token = models.UUIDField(null=True, blank=True, editable=False)  # the claim
    lease_until = models.DateTimeField(null=True, blank=True, editable=False)
    finished_at = models.DateTimeField(null=True, blank=True, editable=False)

    objects = WebhookMessageQuerySet.as_manager()

    class Meta:
        verbose_name = "webhook"
        ordering = ["-created_at", "-id"]
        indexes = [
            models.Index(
                fields=["next_attempt_at", "id"], condition=Q(state=DeliveryState.PENDING), name="webhook_due"
            ),
            models.Index(fields=["lease_until"], condition=Q(lease_until__isnull=False), name="webhook_lease"),
            models.Index(fields=["finished_at"], condition=Q(finished_at__isnull=False), name="webhook_ended"),
            models.Index(fields=["url", "finished_at"], condition=Q(state=DeliveryState.GONE), name="webhook_gone"),
            models.Index(fields=["-created_at", "-id"], name="webhook_newest"),
        ]
        constraints = [
            models.CheckConstraint(condition=Q(state__in=sorted(DeliveryState)), name="webhook_state_known"),
            models.CheckConstraint(
                condition=Q(state=DeliveryState.PENDING, finished_at__isnull=True)
                | (~Q(state=DeliveryState.PENDING) & Q(finished_at__isnull=False, token__isnull=True)),
                name="webhook_ended_has_time",
            ),
            models.CheckConstraint(
                condition=Q(token__isnull=True, lease_until__isnull=True)
                | Q(token__isnull=False, lease_until__isnull=False),
                name="webhook_claim_has_lease",
            ),
        ]
        permissions = [("replay_webhook", "Can send webhooks again")]

    def __str__(self) -> str:
        return f"{self.event} {self.id}"


class WebhookAttempt(models.Model):
    """One try to deliver a message, as it went."""

    message = models.ForeignKey(WebhookMessage, on_delete=models.CASCADE, related_name="attempts")
    at = models.DateTimeField(db_default=Now(), editable=False)
    number = models.PositiveSmallIntegerField()
    status = models.PositiveSmallIntegerField(null=True, blank=True)  # HTTP status; None: no answer came
    seconds = models.FloatField()
    error = models.CharField(max_length=300, blank=True)  # why no answer came
    answer = models.CharField(max_length=1000, blank=True)  # the beginning of the receiver's answer

    class Meta:
        verbose_name = "webhook attempt"
        ordering = ["at", "id"]

    def __str__(self) -> str:
        return f"try {self.number}: {self.status or self.error}"
