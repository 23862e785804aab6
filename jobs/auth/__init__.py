"""Callers: authentication, API keys, throttling, signed URLs, client addresses."""
