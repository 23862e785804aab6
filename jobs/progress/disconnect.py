"""Callers that left before their answer. WSGI does not tell; our web server does (wsgi_bridge.py)."""

from collections.abc import Mapping
from typing import Any

#: The environ's name for a function without arguments: whether the caller has closed the connection.
HAS_LEFT = "upscaler.has_left"


def has_left(environ: Mapping[str, Any]) -> bool:
    """Return True when the caller has closed the connection; False when it has not, or when that cannot be known."""
    ask = environ.get(HAS_LEFT)
    return callable(ask) and bool(ask())
