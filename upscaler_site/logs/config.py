"""The logging configuration: one line per event on standard error, as text or as JSON."""

from typing import Any

LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")


def logging_from(log_format: str, level: str) -> dict[str, Any]:
    """Return Django's LOGGING dictionary. ``log_format`` is "text" or "json"; ``level`` is a name of logging's.

    The formatter is named, not imported: settings are read before anything else of ours is needed.
    """
    formatter = {"text": "upscaler_site.logs.formatters.TextLines", "json": "upscaler_site.logs.formatters.JsonLines"}[
        log_format
    ]
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"line": {"()": formatter}},
        "filters": {
            "one_line": {"()": "upscaler_site.logs.formatters.OneLineRefusal"},
            "no_traceback": {"()": "upscaler_site.logs.formatters.NoTracebackOfRefusal"},
        },
        "handlers": {
            "stderr": {"class": "logging.StreamHandler", "formatter": "line"},
            "refusals": {"class": "logging.StreamHandler", "formatter": "line", "filters": ["one_line"]},
        },
        "root": {"handlers": ["stderr"], "level": level},
        "loggers": {
            # It logs every ticket and every process that starts or ends; our own lines report jobs and workers.
            "django-q": {"handlers": ["stderr"], "level": max(level, "WARNING", key=LEVELS.index), "propagate": False},
            # A page that somebody may not see is no fault of ours: its line needs no traceback.
            "django.request": {"filters": ["no_traceback"]},
            # Foreign Host headers and Django's other suspicious operations: any scanner causes thousands of them.
            "django.security": {"handlers": ["refusals"], "level": level, "propagate": False},
            # One line per outgoing request, with its address: our own lines say what was downloaded or delivered.
            "httpx": {"handlers": ["stderr"], "level": max(level, "WARNING", key=LEVELS.index), "propagate": False},
        },
    }
