"""The logging configuration: one line per event on standard error, as text or as JSON."""

from typing import Any


def logging_from(log_format: str, level: str) -> dict[str, Any]:
    """Return Django's LOGGING dictionary. ``log_format`` is "text" or "json"; ``level`` is a name of logging's."""
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"text": {"format": "%(asctime)s %(levelname)s %(name)s %(message)s"}},
        "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "text"}},
        "root": {"handlers": ["stderr"], "level": level},
        "loggers": {"django-q": {"handlers": ["stderr"], "level": level, "propagate": False}},
    }
