"""Subscriptions to webhooks, checked at submission."""

from collections.abc import Sequence

from django.conf import settings

from jobs.errors import WebhookRefused
from jobs.webhooks.payloads import WebhookEvent
from modelstore import safe_http
from modelstore.errors import TargetRefused


def accept(url: str, events: Sequence[str]) -> tuple[str, list[str]]:
    """Return the address in its canonical form and the events without doubles; ("", []) without an address.

    Raises WebhookRefused when the address is malformed, cannot be resolved or leads to a private network (unless
    WEBHOOK_ALLOW_PRIVATE), and when an event is unknown. The address is checked again when it is connected to.
    """
    if not url:
        if events:
            raise WebhookRefused("webhook_events needs a webhook_url")
        return "", []
    known = {str(event) for event in WebhookEvent}
    unknown = [event for event in events if event not in known]
    if unknown:
        raise WebhookRefused(f"unknown webhook event: {unknown[0][:50]}; known are {', '.join(sorted(known))}")
    try:
        target = safe_http.check(url, allow_private=settings.WEBHOOK_ALLOW_PRIVATE)
    except TargetRefused as refusal:
        raise WebhookRefused(f"webhook_url: {refusal}") from None
    return target.url, list(dict.fromkeys(events))
