"""Entry: one thing that was done; Actor: who did it. Entries are written once: a trigger refuses any change.

Names stand in the actors alone, so that an erasure can replace one by a pseudonym and no entry changes.
"""

from django.db import models
from django.db.models import Q
from django.db.models.functions import Now


class Action(models.TextChoices):
    """The acts that are recorded."""

    CANCELLED = "cancelled", "Cancelled"
    DELETED = "deleted", "Deleted"
    CLEANED_UP = "cleaned_up", "Cleaned up"
    DOWNLOADED = "downloaded", "Downloaded"
    EXPORTED = "exported", "Exported"
    ERASED = "erased", "Erased"
    KEY_MADE = "key_made", "Key made"
    KEY_REVOKED = "key_revoked", "Key revoked"
    MODEL_IMPORTED = "model_imported", "Model imported"
    MODEL_DELETED = "model_deleted", "Model deleted"
    LOGGED_IN = "logged_in", "Logged in"
    LOGIN_FAILED = "login_failed", "Log-in failed"


class Kind(models.TextChoices):
    """The kinds of actors."""

    STAFF = "staff", "Staff"
    KEY = "key", "API key"
    CALLER = "caller", "Caller without a key"
    SYSTEM = "system", "The service itself"


class Actor(models.Model):
    """Somebody under one name; a renamed key is another actor, as the entries of before should say."""

    kind = models.CharField(max_length=10, choices=Kind.choices)
    reference = models.CharField(max_length=40, blank=True)  # id of the key or the account; "": erased
    name = models.CharField(max_length=200)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["kind", "reference", "name"], condition=~Q(reference=""), name="actor_once")
        ]

    def __str__(self) -> str:
        return self.name


class Entry(models.Model):
    """One act on one object."""

    at = models.DateTimeField(db_default=Now(), editable=False)
    actor = models.ForeignKey(Actor, on_delete=models.PROTECT, related_name="entries")
    action = models.CharField(max_length=20, choices=Action.choices)
    object_kind = models.CharField(max_length=20)  # job, key, model, account, data
    object_id = models.CharField(max_length=200, blank=True)
    detail = models.JSONField(default=dict, blank=True)
    request_id = models.CharField(max_length=64, blank=True)
    address_hash = models.CharField(max_length=16, blank=True)  # keyed: the same for the same address, and no address

    class Meta:
        verbose_name = "audit entry"
        verbose_name_plural = "audit entries"
        ordering = ["-id"]
        indexes = [
            models.Index(fields=["at"], name="entry_at"),
            models.Index(fields=["object_id", "-id"], name="entry_object"),
            models.Index(fields=["actor", "-id"], name="entry_actor"),
            models.Index(fields=["action", "-id"], name="entry_action"),
        ]
        default_permissions = ("view",)

    def __str__(self) -> str:
        return f"{self.action} {self.object_kind} {self.object_id}".strip()
