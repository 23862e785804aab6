"""The logging configuration: one line per event on standard error, as text or as JSON."""

import json
import logging
from datetime import UTC, datetime
from typing import Any

LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")


def logging_from(log_format: str, level: str) -> dict[str, Any]:
    """Return Django's LOGGING dictionary. ``log_format`` is "text" or "json"; ``level`` is a name of logging's.

    The formatters are named, not imported: they know requests, and settings are read before anything of Django's is.
    """
    formatter = {"text": "upscaler_site.log_lines.TextLines", "json": "upscaler_site.log_lines.JsonLines"}[log_format]
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"line": {"()": formatter}},
        "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "line"}},
        "root": {"handlers": ["stderr"], "level": level},
        "loggers": {
            # It tells of every doorbell and every process that comes or goes; our own lines tell of jobs and workers.
            "django-q": {"handlers": ["stderr"], "level": max(level, "WARNING", key=LEVELS.index), "propagate": False},
            # One line per outgoing request, with its address: our own lines say what was downloaded or delivered.
            "httpx": {"handlers": ["stderr"], "level": max(level, "WARNING", key=LEVELS.index), "propagate": False},
        },
    }


class JsonFormatter(logging.Formatter):
    """One JSON object per line: time, level, logger, message, process, and what a traceback says, if there is one."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line, without its line break."""
        entry = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
            "process": record.process,
        }
        if record.exc_info:
            entry["traceback"] = self.formatException(record.exc_info)
        return json.dumps(entry, ensure_ascii=False)
