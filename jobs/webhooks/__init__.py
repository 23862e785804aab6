"""Webhooks as Standard Webhooks says: events, the outbox written with them, signatures, delivery with retries."""
