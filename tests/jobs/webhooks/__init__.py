"""Webhooks against a real local receiver."""
