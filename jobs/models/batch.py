"""Batch: pictures that were submitted together."""

import uuid

from django.db import models

from jobs.models.api_key import ApiKey


class Batch(models.Model):
    """One call of upscale-batch. Its jobs point at it; what was refused is kept by name and reason."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    api_key = models.ForeignKey(ApiKey, null=True, blank=True, on_delete=models.SET_NULL, related_name="batches")
    created_at = models.DateTimeField(auto_now_add=True)
    #: [{"index": 3, "filename": "x.txt", "detail": "…", "code": "…"}]
    rejected = models.JSONField(default=list, blank=True)

    class Meta:
        verbose_name_plural = "batches"
        ordering = ["-created_at"]
        indexes = [models.Index(fields=["-created_at"], name="batch_newest")]

    def __str__(self) -> str:
        return str(self.id)
