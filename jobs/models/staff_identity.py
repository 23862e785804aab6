"""StaffIdentity: which account belongs to whom at a provider of identities."""

from django.conf import settings
from django.db import models


class StaffIdentity(models.Model):
    """A person as the provider names it. Not by e-mail or user name: these may be another person's tomorrow."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="identities")
    issuer = models.CharField(max_length=200)
    subject = models.CharField(max_length=255)

    class Meta:
        verbose_name_plural = "staff identities"
        constraints = [models.UniqueConstraint(fields=["issuer", "subject"], name="staff_identity_once")]
        default_permissions = ()

    def __str__(self) -> str:
        return f"{self.subject} at {self.issuer}"
