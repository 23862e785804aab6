"""ApiKey: who calls. The secret is shown once; only its hash is kept."""

import uuid

from django.contrib.postgres.fields import ArrayField
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import Q

#: The least and the greatest share: more apart, the lesser would hardly be served.
LEAST_SHARE, GREATEST_SHARE = 0.1, 100.0
_AS_SETTING = "Empty: as the setting says; 0: no limit"


class Scope(models.TextChoices):
    """The permissions of a key."""

    UPSCALE = "upscale", "Upscale: submit pictures, see own jobs"
    MANAGE = "manage", "Manage: download models, clean up"


class ApiKey(models.Model):
    """A key of the form ``ups_<prefix>_<secret>``; ``prefix`` finds the row, ``digest`` proves the secret."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    name = models.CharField(max_length=100, help_text="Who or what uses this key")
    prefix = models.CharField(max_length=16, unique=True, editable=False)
    # SHA-256 (hex) of the whole key: 256 random bits need neither salt nor a slow hash
    digest = models.CharField(max_length=64, editable=False)
    scopes = ArrayField(models.CharField(max_length=20, choices=Scope.choices))
    high_priority = models.BooleanField(
        default=False, db_default=False, help_text="May ask for priority=high, and so go before all others"
    )
    created_at = models.DateTimeField(auto_now_add=True)
    expires_at = models.DateTimeField(null=True, blank=True)
    retain_hours = models.PositiveIntegerField(
        null=True, blank=True, help_text="Hours that its ended jobs stay, where a call does not say; empty: as usual"
    )
    last_used_at = models.DateTimeField(null=True, blank=True, editable=False)
    revoked_at = models.DateTimeField(null=True, blank=True, editable=False)
    share = models.FloatField(
        default=1.0,
        db_default=1.0,
        validators=[MinValueValidator(LEAST_SHARE), MaxValueValidator(GREATEST_SHARE)],
        help_text="Beside other callers with waiting jobs this one gets so many times as much, 0.1 to 100",
    )
    max_queued_jobs = models.PositiveIntegerField(null=True, blank=True, help_text=_AS_SETTING)
    max_running_jobs = models.PositiveIntegerField(null=True, blank=True, help_text=_AS_SETTING)
    max_stored_bytes = models.PositiveBigIntegerField(null=True, blank=True, help_text=_AS_SETTING)
    max_megapixels_per_day = models.FloatField(
        null=True, blank=True, validators=[MinValueValidator(0.0)], help_text=_AS_SETTING
    )
    erase_until = models.DateTimeField(null=True, blank=True, editable=False)  # all that is older is being erased

    class Meta:
        verbose_name = "API key"
        ordering = ["-created_at"]
        indexes = [models.Index(fields=["erase_until"], condition=Q(erase_until__isnull=False), name="key_erasing")]
        permissions = [("erase_apikey", "Can erase everything of an API key")]

    def __str__(self) -> str:
        return f"{self.name} ({self.prefix}…)"
