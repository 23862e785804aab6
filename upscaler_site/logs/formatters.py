"""How an event becomes a line: our messages are words and ``key=value`` pairs, which JSON gives keys of their own.

``job completed job=6f0c… worker=gpu@a seconds=1.204`` is one line of text for people, and for a log store
``{"event": "job completed", "job": "6f0c…", "worker": "gpu@a", "seconds": 1.204, …}``.
"""

import json
import logging
import re
from datetime import UTC, datetime
from typing import Any

from upscaler_site.logs.request_id import current_request_id

#: A value runs to the next key or the end: device names and reasons contain spaces.
_PAIR = re.compile(r"(?:^|\s)([a-z_]+)=(.*?)(?=\s+[a-z_]+=|$)", re.DOTALL)
_NUMBER = re.compile(r"-?\d{1,15}(\.\d+)?")

#: The access log hands its pieces over as a dictionary: a path may look like a pair.
_ACCESS = ("method", "path", "status", "bytes", "milliseconds", "address", "request")


class TextLines(logging.Formatter):
    """``2026-01-31 12:00:00,123 INFO jobs.submission.submit job accepted job=… request=…``, in UTC."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s %(message)s")

    def formatTime(self, record: logging.LogRecord, datefmt: str | None = None) -> str:  # noqa: ARG002, N802 - logging's
        """Return the time in UTC, whatever the host's zone is."""
        return f"{datetime.fromtimestamp(record.created, UTC):%Y-%m-%d %H:%M:%S},{int(record.msecs):03d}"

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - as above
        """Return the line, with the request that it was written in."""
        line = super().formatMessage(record)
        request_id = current_request_id.get()
        return line if not request_id or " request=" in line else f"{line} request={request_id}"


class JsonLines(logging.Formatter):
    """One JSON object per line: time, level, logger, event, the pairs of the message, request, exception."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the object. Its own keys win over equal ones in the message."""
        message = record.getMessage()
        fields = access_fields(record) or pairs_of(message)
        line: dict[str, Any] = {
            **fields,
            "time": f"{datetime.fromtimestamp(record.created, UTC).isoformat(timespec='milliseconds')[:-6]}Z",
            "level": record.levelname.lower(),
            "logger": record.name,
            "event": event_of(message),
            "process": record.process,
        }
        request_id = current_request_id.get()
        if request_id:
            line.setdefault("request", request_id)
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        if record.stack_info:
            line["stack"] = self.formatStack(record.stack_info)
        return json.dumps(line, ensure_ascii=False, default=str)


class OneLineRefusal(logging.Filter):
    """Makes a warning of one line of what Django logs as an error with a traceback: a request that it refused.

    The traceback shows our own call of Django for each of them alike, and an alert on errors must not ring for what any
    stranger can send.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        """Take the traceback and the severity; let every record through."""
        record.exc_info = record.exc_text = None
        record.levelno, record.levelname = logging.WARNING, "WARNING"
        return True


def pairs_of(message: str) -> dict[str, Any]:
    """Return the message's ``key=value`` pairs; numbers as numbers."""
    return {key: _value(text.strip()) for key, text in _PAIR.findall(message)}


def event_of(message: str) -> str:
    """Return the words before the first pair; the whole message where it begins with one."""
    first = _PAIR.search(message)
    return message if first is None else message[: first.start()].strip() or message


def access_fields(record: logging.LogRecord) -> dict[str, Any]:
    """Return the pieces of a line of the access log; nothing for any other record."""
    if record.name != "upscaler.access" or not isinstance(record.args, dict):
        return {}
    return {name: record.args[name] for name in _ACCESS if record.args[name] != "-"}


def _value(text: str) -> Any:
    if not _NUMBER.fullmatch(text):
        return text
    return float(text) if "." in text else int(text)
