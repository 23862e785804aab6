"""Webhooks as Standard Webhooks says: events, the outbox written with them, signatures, delivery with retries."""

from jobs.webhooks.outbox import enqueue, enqueue_progress

__all__ = ["enqueue", "enqueue_progress"]
