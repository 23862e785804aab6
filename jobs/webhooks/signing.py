"""Signatures: the secret that signs a message, and its Standard Webhooks headers."""

import base64
import hashlib
import hmac
from datetime import UTC, datetime
from typing import TYPE_CHECKING
from uuid import UUID

from django.conf import settings
from standardwebhooks import Webhook

if TYPE_CHECKING:
    from jobs.models.webhook import WebhookMessage


def secrets_for(api_key_id: UUID | None) -> list[str]:
    """Return the secrets (``whsec_…``) that sign for this key's jobs, the current one first. None: jobs without a key.

    Each key has its own, derived from WEBHOOK_SECRET: two callers who shared one secret could forge each other's
    webhooks. Derived, not stored: a stolen database signs nothing, and a new WEBHOOK_SECRET renews them all.
    """
    if api_key_id is None:
        return list(settings.WEBHOOK_SECRETS)
    return [_derived(secret, api_key_id) for secret in settings.WEBHOOK_SECRETS]


def headers_for(message: "WebhookMessage", at: datetime) -> dict[str, str]:
    """Return the three headers that the receiver verifies. Tries share one id, so receivers can drop duplicates."""
    message_id = f"msg_{message.id.hex}"
    now = at.astimezone(UTC)  # the package signs the wall clock of the datetime it gets
    signatures = [Webhook(secret).sign(message_id, now, message.body) for secret in secrets_for(message.api_key_id)]
    return {
        "webhook-id": message_id,
        "webhook-timestamp": str(int(now.timestamp())),
        "webhook-signature": " ".join(signatures),
    }


def _derived(secret: str, api_key_id: UUID) -> str:
    master = base64.b64decode(secret.removeprefix("whsec_"))
    digest = hmac.new(master, b"upscaler webhook secret of api key " + api_key_id.bytes, hashlib.sha256).digest()
    return "whsec_" + base64.b64encode(digest).decode()
