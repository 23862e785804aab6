"""Both clients against a server that lies, stalls and hangs up."""

import asyncio
import email.utils
import hashlib
import json
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from tests.modelstore.liar import Behaviour, Handler, Liar, good, login_page, status, truncated
from tests.upscaler_client.conftest import Ask
from upscaler_client import AsyncClient, BadAnswer, Client, Refused, Unreachable, UpscalerError
from upscaler_client.retries import FIRST_SECONDS, backoff, pause_after
from upscaler_client.steps import Answer, Events

JOB = "4a3c6f0e-0000-4000-8000-000000000001"
CONTENT = bytes(range(256)) * 4096
HASTY = {"retries": 3, "timeout": 20.0, "stall": 0.5}


def job(state: str = "completed", **more: Any) -> dict[str, Any]:
    done = state == "completed"
    return {
        "job_id": JOB, "status": state, "model": "m", "eta_seconds": None, "error": None, "error_code": None,
        "result_format": "png", "result_width": 4, "result_height": 4, "result_bytes": len(CONTENT),
        "result_sha256": hashlib.sha256(CONTENT).hexdigest() if done else None, "processing_time_seconds": 1.0,
        "progress": {"tiles_done": 1, "tiles_total": 2, "fraction": 1.0 if done else 0.5}, **more,
    }  # fmt: skip


def answered(shape: Any, code: int = 200, kind: str = "application/json", **headers: str) -> Behaviour:
    body = shape if isinstance(shape, bytes) else json.dumps(shape).encode()

    def behave(handler: Handler, content: bytes) -> None:
        more = {name.replace("_", "-"): value for name, value in headers.items()}
        handler.head(code, {"Content-Length": str(len(body)), "Content-Type": kind, **more})
        handler.wfile.write(body)

    return behave


def streamed(*events: str, then: str = "end") -> Behaviour:
    """Sends events, and then ends the stream, or says nothing more."""

    def behave(handler: Handler, content: bytes) -> None:
        handler.head(200, {"Content-Type": "text/event-stream", "Connection": "close"})
        handler.wfile.write("".join(events).encode())
        handler.wfile.flush()
        if then == "silence":
            handler.server.book.closing.wait(240)
        handler.hang_up()

    return behave


def event(name: str, shape: dict[str, Any], number: int = 1) -> str:
    return f"id: {number}\nevent: {name}\ndata: {json.dumps(shape)}\n\n"


def tells_of_the_job(liar: Liar, *behaviours: Behaviour) -> None:
    liar.put(f"/api/v1/jobs/{JOB}", b"", *(behaviours or [answered(job())]))


def test_a_result_that_breaks_off_goes_on_where_it_was(liar: Liar, ask: Ask, tmp_path: Path) -> None:
    tells_of_the_job(liar)
    address = f"/api/v1/jobs/{JOB}/result"
    liar.put(address, CONTENT, truncated(300_000), truncated(300_000), good)
    made = ask(liar.url, "result", JOB, tmp_path / "out.png", client=HASTY)
    assert made.path.read_bytes() == CONTENT
    ranges = [seen.headers.get("range") for seen in liar.requests if seen.path == address]
    assert ranges[0] is None
    assert all(asked is not None for asked in ranges[1:])
    assert [path.name for path in tmp_path.iterdir()] == ["out.png"]


def test_a_result_that_never_comes_whole_is_an_error_and_no_file(liar: Liar, ask: Ask, tmp_path: Path) -> None:
    tells_of_the_job(liar)
    liar.put(f"/api/v1/jobs/{JOB}/result", CONTENT, truncated(10))
    with pytest.raises(Unreachable):
        ask(liar.url, "result", JOB, tmp_path / "out.png", client=HASTY | {"retries": 1})
    assert list(tmp_path.iterdir()) == []


def test_other_bytes_than_announced_are_no_result(liar: Liar, ask: Ask, tmp_path: Path) -> None:
    tells_of_the_job(liar, answered(job(result_sha256="0" * 64)))
    liar.put(f"/api/v1/jobs/{JOB}/result", CONTENT, good)
    (tmp_path / "out.png").write_bytes(b"precious")
    with pytest.raises(BadAnswer, match="other bytes"):
        ask(liar.url, "result", JOB, tmp_path / "out.png", client=HASTY)
    assert [(path.name, path.read_bytes()) for path in tmp_path.iterdir()] == [("out.png", b"precious")]


def test_who_is_asked_to_come_later_comes_later_with_the_same_key(liar: Liar, ask: Ask) -> None:
    accepted = answered({"job_id": JOB, "status": "queued"}, 202)
    soon = email.utils.formatdate(time.time() + 1, usegmt=True)
    liar.put(
        "/api/v1/jobs", b"", answered({"detail": "Too many", "code": "throttled"}, 429, Retry_After="1"),
        answered({"detail": "Full", "code": "queue_full"}, 503, Retry_After=soon),
        answered(b"<html>Bad gateway</html>", 502, "text/html"), accepted,
    )  # fmt: skip
    began = time.monotonic()
    assert ask(liar.url, "submit", b"picture", client=HASTY).job_id == JOB
    assert time.monotonic() - began >= 1
    assert liar.asked("/api/v1/jobs") == 4
    assert len({seen.headers["idempotency-key"] for seen in liar.requests}) == 1


@pytest.mark.parametrize(
    ("behaviour", "code", "times"),
    [
        (answered({"detail": "Busy", "code": "queue_full"}, 503, Retry_After="3600"), "queue_full", 1),
        (answered({"detail": "Not here", "code": "model_not_ready"}, 503), "model_not_ready", 1),
        (answered({"detail": "Full", "code": "queue_full"}, 503, Retry_After="0"), "queue_full", 3),
        (answered({"detail": "No", "code": "validation_error"}, 422), "validation_error", 1),
        (answered(b"<html>who?</html>", 404, "text/html"), "http", 1),
        (status(302, Location="/login"), "http", 1),
    ],
    ids=["an hour", "no use", "tried twice more", "no", "another server", "a redirect"],
)
def test_what_cannot_help_is_not_repeated(liar: Liar, ask: Ask, behaviour: Behaviour, code: str, times: int) -> None:
    liar.put("/api/v1/jobs", b"", behaviour)
    with pytest.raises(Refused) as refused:
        ask(liar.url, "submit", b"picture", client=HASTY | {"retries": 2})
    assert (refused.value.code, liar.asked("/api/v1/jobs")) == (code, times)


@pytest.mark.parametrize(
    "behaviour",
    [login_page, answered(b'{"job_id": ', 200), answered([1]), answered({"job_id": JOB}), answered(b"\xff\xfe", 200)],
    ids=["a login page", "half a JSON", "a list", "a key is missing", "no text"],
)
def test_what_is_no_answer_of_the_service_is_said(liar: Liar, ask: Ask, behaviour: Behaviour) -> None:
    tells_of_the_job(liar, behaviour)
    with pytest.raises(BadAnswer) as bad:
        ask(liar.url, "job", JOB, client=HASTY)
    assert bad.value.code == "bad_answer"


def test_a_stream_that_falls_silent_is_left_for_looking(liar: Liar, ask: Ask) -> None:
    told: list[str] = []
    events = f"/api/v1/jobs/{JOB}/events"
    liar.put(events, b"", streamed("retry: 2000\n\n", event("queued", job("queued")), then="silence"))
    tells_of_the_job(liar, answered(job("processing")), answered(job("processing")), answered(job()))
    done = ask(liar.url, "wait", JOB, on_progress=lambda news: told.append(news.status), client=HASTY)
    assert (done.status, told) == ("completed", ["queued", "processing", "processing", "completed"])
    assert liar.asked(events) == 1


def test_a_stream_that_ends_early_goes_on_from_its_last_event(liar: Liar, ask: Ask) -> None:
    events = f"/api/v1/jobs/{JOB}/events"
    tells_of_the_job(liar, answered(job("processing")))
    liar.put(
        events, b"", streamed(event("processing", job("processing"), 7)),
        streamed(": still here\n\n", event("completed", job(), 8)),
    )  # fmt: skip
    assert ask(liar.url, "wait", JOB, client=HASTY).status == "completed"
    assert [seen.headers.get("last-event-id") for seen in liar.requests if seen.path == events] == [None, "7"]


def test_where_there_are_no_streams_the_job_is_looked_at(liar: Liar, ask: Ask) -> None:
    liar.put(f"/api/v1/jobs/{JOB}/events", b"", login_page)
    tells_of_the_job(liar, answered(job("queued")), answered(job()))
    assert ask(liar.url, "wait", JOB, client=HASTY).status == "completed"


def test_the_key_goes_with_every_call(liar: Liar, ask: Ask) -> None:
    liar.put("/api/v1/models", b"", answered({"available_models": []}))
    assert ask(liar.url + "/", "models", client=HASTY | {"api_key": "ups_secret"}) == []
    assert [seen.headers.get("x-api-key") for seen in liar.requests] == ["ups_secret"]


def test_nobody_there_is_said_after_the_tries(ask: Ask) -> None:
    with pytest.raises(Unreachable) as gone:
        ask("http://127.0.0.1:9", "models", client={"retries": 1})
    assert (gone.value.code, gone.value.status) == ("unreachable", None)


def test_events_are_read_however_they_are_cut() -> None:
    heard: list[tuple[str, str]] = []

    def hear(name: str, data: str) -> bool:
        heard.append((name, data))
        return True

    reader = Events(hear)
    assert not reader.begin(Answer(200))
    for byte in "id:9\r\nevent: a\r\ndata: {é}\r\n\r\n: comment\n\ndata:b\n\n".encode():
        reader.take(bytes([byte]))
    assert (heard, reader.last_id) == ([("a", "{é}"), ("", "b")], "9")


def test_pauses_grow_to_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    assert all(FIRST_SECONDS / 2 <= backoff(0) <= FIRST_SECONDS for _ in range(100))
    assert all(4 <= backoff(20) <= 8 for _ in range(100))
    assert pause_after(Answer(404), 0) is None


def test_a_task_that_is_cancelled_while_it_submits_takes_its_job_back(liar: Liar) -> None:
    """The job may be made, and its id is still on the way: the same key tells it."""
    held = threading.Event()
    accepted = {
        "success": True,
        "job_id": JOB,
        "status": "queued",
        "status_url": "",
        "result_url": "",
        "events_url": "",
    }

    def hold(handler: Handler, content: bytes) -> None:
        held.set()
        handler.server.book.closing.wait(240)
        handler.hang_up()

    liar.put("/api/v1/jobs", b"", hold, answered(accepted, 202))
    liar.put(f"/api/v1/jobs/{JOB}/cancel", b"", answered(job("cancelled")))

    async def run() -> None:
        async with AsyncClient(liar.url, **HASTY) as client:  # type: ignore[arg-type]  # patience, by name
            task = asyncio.create_task(client.upscale(b"picture"))
            await asyncio.to_thread(held.wait)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

    asyncio.run(run())
    sent = [(seen.method, seen.path) for seen in liar.requests]
    assert sent == [("POST", "/api/v1/jobs"), ("POST", "/api/v1/jobs"), ("POST", f"/api/v1/jobs/{JOB}/cancel")]
    first, second = (seen.headers["idempotency-key"] for seen in liar.requests[:2])
    assert first == second


@pytest.mark.parametrize("word", ["", "..", "../health?x=", "a/b", "a b", "%2e%2e", "a\nb"])
def test_a_word_that_is_no_id_or_name_goes_nowhere(liar: Liar, ask: Ask, word: str) -> None:
    for call in ("job", "cancel", "delete", "model", "result"):
        with pytest.raises(Refused) as refused:
            ask(liar.url, call, word)
        assert refused.value.status == 404
    assert liar.requests == []


@pytest.mark.parametrize(
    ("server", "key", "words"),
    [
        ("http://127.0.0.1:abc", None, "is no address"),
        ("http://[::1", None, "is no address"),
        ("http://127.0.0.1:1", "ups_…", "API key holds characters"),
        ("http://127.0.0.1:1", "ups_secret\n# my key", "API key holds characters"),
    ],
)
def test_addresses_and_keys_that_cannot_be_are_errors_of_the_client(server: str, key: str | None, words: str) -> None:
    with pytest.raises(UpscalerError, match=words) as error:
        Client(server, api_key=key)
    assert "secret" not in str(error.value)


def test_a_result_of_a_job_that_runs_is_not_fetched(liar: Liar, ask: Ask) -> None:
    tells_of_the_job(liar, answered(job("processing")))
    with pytest.raises(Refused, match="has not ended yet: it is processing"):
        ask(liar.url, "result", JOB)


def test_an_address_that_moved_is_named(liar: Liar, ask: Ask) -> None:
    liar.put("/api/v1/models", b"", answered(b"", 301, "text/html", Location="https://up.example.org/api/v1/models"))
    with pytest.raises(Refused, match=r"elsewhere: HTTP 301 to https://up\.example\.org"):
        ask(liar.url, "models")
