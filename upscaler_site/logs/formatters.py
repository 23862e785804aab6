"""Log formatters: our messages are words and ``key=value`` pairs, which JSON turns into keys of their own.

``job completed job=6f0c… worker=gpu@a seconds=1.204`` is one line of text for people, and for a log store
``{"event": "job completed", "job": "6f0c…", "worker": "gpu@a", "seconds": 1.204, …}``.
"""

import json
import logging
import re
import sys
from datetime import UTC, datetime
from typing import Any

from upscaler_site.logs.request_id import current_request_id

#: A pair of a message's template; its value runs to the next key or the end.
_PAIR = re.compile(r"(?:^|\s)([a-z_]+)=(.*?)(?=\s+[a-z_]+=|$)", re.DOTALL)
#: One %-conversion of a template; ``%%`` takes no argument.
_CONVERSION = re.compile(r"%(?:[-#0 +]*\d*(?:\.\d+)?[diouxXeEfFgGcrsa]|%)")
_NUMBER = re.compile(r"-?\d{1,15}(\.\d+)?")

#: The access log passes its fields as a dictionary, because a path may look like a ``key=value`` pair.
_ACCESS = ("method", "path", "status", "bytes", "milliseconds", "address", "request")


class TextLines(logging.Formatter):
    """``2026-01-31 12:00:00,123 INFO jobs.submission.submit job accepted job=… request=…``, in UTC."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s %(message)s")

    def formatTime(self, record: logging.LogRecord, datefmt: str | None = None) -> str:  # noqa: ARG002, N802 - logging's
        """Return the time in UTC, whatever the host's zone is."""
        return f"{datetime.fromtimestamp(record.created, UTC):%Y-%m-%d %H:%M:%S},{int(record.msecs):03d}"

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - as above
        """Return the line, with the request and the trace that it was written in."""
        line = super().formatMessage(record)
        request_id = current_request_id.get()
        line = line if not request_id or " request=" in line else f"{line} request={request_id}"
        trace = trace_id()
        return f"{line} trace={trace}" if trace else line


class JsonLines(logging.Formatter):
    """One JSON object per line: time, level, logger, event, the pairs of the message, request, trace, exception."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the object. Its own keys win over equal ones in the message."""
        event, pairs = split(record)
        fields = access_fields(record) or pairs
        line: dict[str, Any] = {
            **fields,
            "time": f"{datetime.fromtimestamp(record.created, UTC).isoformat(timespec='milliseconds')[:-6]}Z",
            "level": record.levelname.lower(),
            "logger": record.name,
            "event": event,
            "process": record.process,
        }
        request_id = current_request_id.get()
        if request_id:
            line.setdefault("request", request_id)
        if trace := trace_id():
            line["trace"] = trace
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


def trace_id() -> str:
    """Return the trace that this thread is in, 32 hexadecimal digits; "" where there is none, or none are made."""
    trace = sys.modules.get("opentelemetry.trace")
    if trace is None:
        return ""
    context = trace.get_current_span().get_span_context()
    return format(context.trace_id, "032x") if context.is_valid else ""


class NoTracebackOfRefusal(logging.Filter):
    """Takes the traceback from lines about answers below 500."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Let every record through."""
        if getattr(record, "status_code", 500) < 500:
            record.exc_info = record.exc_text = None
        return True


def split(record: logging.LogRecord) -> tuple[str, dict[str, Any]]:
    """Return the message's words and its pairs, numbers as numbers; the whole message as words where it has none.

    The pairs are those of the template, ``job=%s seconds=%.3f``: whatever a value holds, ``key=`` or blanks, stays the
    value.
    """
    template = str(record.msg)
    arguments = record.args if isinstance(record.args, tuple) else ()
    pairs = list(_PAIR.finditer(template))
    if not pairs or (record.args and not arguments) or "*" in template:
        return record.getMessage(), {}

    def formatted(start: int, end: int) -> str:
        if not arguments:
            return template[start:end]
        before, inside = (_arguments_in(part) for part in (template[:start], template[start:end]))
        return template[start:end] % arguments[before : before + inside]

    words = formatted(0, pairs[0].start()).strip() or record.getMessage()
    return words, {pair[1]: _value(formatted(*pair.span(2)).strip()) for pair in pairs}


def _arguments_in(template: str) -> int:
    return sum(conversion != "%%" for conversion in _CONVERSION.findall(template))


def access_fields(record: logging.LogRecord) -> dict[str, Any]:
    """Return the pieces of a line of the access log; nothing for any other record."""
    if record.name != "upscaler.access" or not isinstance(record.args, dict):
        return {}
    return {name: record.args[name] for name in _ACCESS if record.args[name] != "-"}


def _value(text: str) -> Any:
    if not _NUMBER.fullmatch(text):
        return text
    return float(text) if "." in text else int(text)
