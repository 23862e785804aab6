"""Log lines: one per event, with the ids that join a request to its job."""

import io
import json
import logging
import logging.config
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from django.test import Client
from pytest_django.fixtures import Settings

from upscaler_site.logs.config import logging_from
from upscaler_site.logs.formatters import JsonLines, NoTracebackOfRefusal, TextLines
from upscaler_site.logs.request_id import current_request_id


@pytest.fixture
def in_request() -> Iterator[str]:
    token = current_request_id.set("req-1")
    yield "req-1"
    current_request_id.reset(token)


def record(message: str, *args: object, name: str = "jobs.worker.execution", **more: Any) -> logging.LogRecord:
    made = logging.LogRecord(name, logging.INFO, "x.py", 1, message, args, None)
    made.__dict__.update(more)
    return made


def as_json(*args: Any, **more: Any) -> dict[str, Any]:
    line = JsonLines().format(record(*args, **more))
    assert "\n" not in line
    parsed: dict[str, Any] = json.loads(line)
    return parsed


def test_pairs_become_keys_and_numbers_numbers() -> None:
    line = as_json("job completed job=%s worker=%s seconds=%.3f tiles=%d", "6f0c", "gpu@a:1", 1.2042, 12)
    assert line["event"] == "job completed"
    assert (line["job"], line["worker"], line["seconds"], line["tiles"]) == ("6f0c", "gpu@a:1", 1.204, 12)
    assert (line["level"], line["logger"]) == ("info", "jobs.worker.execution")
    assert line["time"].endswith("Z")


def test_a_value_may_have_blanks() -> None:
    line = as_json("worker computes name=%s backend=%s", "Intel(R) Xeon(R) Processor", "torch")
    assert (line["name"], line["backend"]) == ("Intel(R) Xeon(R) Processor", "torch")


def test_a_value_that_looks_like_pairs_stays_one_value() -> None:
    line = as_json("job failed job=%s error=%s seconds=%.1f", "1f", "device x=3 broke; level=none seconds=9", 2.0)
    assert (line["event"], line["job"], line["seconds"]) == ("job failed", "1f", 2.0)
    assert line["error"] == "device x=3 broke; level=none seconds=9"
    assert "x" not in line


def test_the_words_may_have_values_and_a_value_several_parts() -> None:
    line = as_json("job %s 100%% job=%s at=%s/%d left=%d%%", "ended", "1f", "a", 2, 5)
    assert (line["event"], line["job"], line["at"], line["left"]) == ("job ended 100%", "1f", "a/2", "5%")


def test_a_message_without_arguments_is_taken_as_it_is() -> None:
    assert as_json("100 % of them waits=3")["waits"] == 3
    assert as_json("100 % of them")["event"] == "100 % of them"


def test_an_id_of_digits_stays_an_exact_number_or_a_text() -> None:
    assert as_json("x id=%s", "12345678901234567890")["id"] == "12345678901234567890"


def test_the_lines_own_keys_cannot_be_forged() -> None:
    line = as_json("odd level=%s logger=%s event=%s", "forged", "forged", "forged")
    assert (line["level"], line["logger"], line["event"]) == ("info", "jobs.worker.execution", "odd")


def test_the_request_is_named_inside_of_one_only(in_request: str) -> None:
    assert as_json("hello")["request"] == in_request
    assert as_json("job accepted request=%s", "other")["request"] == "other"
    assert TextLines().format(record("hello")).endswith("hello request=req-1")
    assert TextLines().format(record("a request=b")).endswith("a request=b")


def test_outside_of_a_request_none_is_named() -> None:
    assert "request" not in as_json("hello")
    assert TextLines().format(record("hello")).endswith("INFO jobs.worker.execution hello")


def test_an_exception_stays_on_its_line() -> None:
    try:
        raise ValueError("two\nlines")
    except ValueError:
        line = as_json("job broke job=%s", "1f", exc_info=sys.exc_info())
    assert "ValueError: two\nlines" in line["exception"]
    assert line["job"] == "1f"


def test_an_access_line_has_its_pieces() -> None:
    pieces = {"method": "GET", "path": "/x=1 level=2", "status": 200, "bytes": 12, "milliseconds": 3, "address": "::1"}
    entry = record("access", name="upscaler.access")
    entry.msg, entry.args = '"%(method)s %(path)s" %(status)s', pieces | {"forwarded": "-", "request": "r-7"}
    line = json.loads(JsonLines().format(entry))
    assert (line["method"], line["path"], line["status"], line["request"]) == ("GET", "/x=1 level=2", 200, "r-7")
    assert line["level"] == "info"


@pytest.mark.parametrize("log_format", ["text", "json"])
def test_the_configuration_is_accepted_by_logging(log_format: str) -> None:
    config = logging_from(log_format, "INFO")
    formatter = logging.config.DictConfigurator(config).configure_formatter(config["formatters"]["line"])
    assert formatter.format(record("hello"))


@pytest.mark.django_db
@pytest.mark.parametrize("path", ["/", "/api/v1/health/live", "/api/v1/jobs", "/admin/"])
def test_a_host_that_is_not_ours_is_one_line_without_a_traceback(path: str, settings: Settings) -> None:
    """Scanners send them all day: no error that wakes somebody, and no thirty lines each."""
    settings.ALLOWED_HOSTS = ["upscaler.example.org"]
    written = io.StringIO()
    config = logging_from("text", "INFO")
    for handler in config["handlers"].values():
        handler["stream"] = written
    before = logging.root.handlers[:]
    logging.config.dictConfig(config | {"disable_existing_loggers": False})
    try:
        answer = Client().get(path, headers={"host": "evil.example.com"})
    finally:
        logging.config.dictConfig(settings.LOGGING)
        logging.root.handlers[:] = before
    assert answer.status_code == 400
    lines = written.getvalue().splitlines()
    assert len(lines) == 1, lines
    assert "WARNING django.security.DisallowedHost" in lines[0]
    assert "evil.example.com" in lines[0]


@pytest.mark.parametrize(("status", "shown"), [(403, False), (404, False), (500, True)])
def test_a_refusal_has_a_line_without_a_traceback(status: int, shown: bool) -> None:
    try:
        raise PermissionError("not for you")
    except PermissionError:
        record = logging.LogRecord("django.request", logging.WARNING, "", 0, "Forbidden: /admin/", (), sys.exc_info())
    record.status_code = status
    assert NoTracebackOfRefusal().filter(record)
    assert ("Traceback" in TextLines().format(record)) == shown
