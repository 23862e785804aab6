"""IdempotencyKey: a call that may be repeated without being done twice.

After the IETF's draft-ietf-httpapi-idempotency-key-header.
"""

from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from jobs.models.batch import Batch
from jobs.models.job import Job


class IdempotencyKey(models.Model):
    """Written in the transaction of the job or batch that the key's first call created.

    The unique constraint decides races: the second call waits for the first one's transaction, then reads its row.
    """

    owner = models.CharField(max_length=36, blank=True)  # the API key's id: callers cannot meet each other's keys
    key = models.CharField(max_length=255)
    fingerprint = models.CharField(max_length=64)  # SHA-256 of pictures, model and options
    job = models.ForeignKey(Job, null=True, blank=True, on_delete=models.CASCADE, related_name="idempotency_keys")
    batch = models.ForeignKey(Batch, null=True, blank=True, on_delete=models.CASCADE, related_name="idempotency_keys")
    created_at = models.DateTimeField(db_default=Now(), db_index=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["owner", "key"], name="idempotency_once"),
            models.CheckConstraint(
                condition=Q(job__isnull=False, batch__isnull=True) | Q(job__isnull=True, batch__isnull=False),
                name="idempotency_names_one",
            ),
        ]

    def __str__(self) -> str:
        return self.key
