"""The banner tells what fits the settings, and "ready" only when it is true."""

import json
import socket
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace

import psutil
import pytest
from pytest_django.fixtures import Settings

from tests.eventually import eventually
from upscaler_site.process import banner


class Answers:
    """What the pretended service answers to /health/ready: a status, and a body."""

    def __init__(self) -> None:
        self.now: tuple[int, dict[str, str]] = (503, {"detail": "Not ready: worker: none is running"})


@pytest.fixture
def answers(settings: Settings) -> Iterator[Answers]:
    """A web server in the service's place."""
    told = Answers()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            assert self.path == "/api/v1/health/ready"
            status, body = told.now
            self.send_response(status)
            self.end_headers()
            self.wfile.write(json.dumps(body).encode())

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    settings.LISTEN_ADDRESS, settings.PORT, settings.PUBLIC_URL = "127.0.0.1", server.server_port, ""
    yield told
    server.shutdown()


@pytest.fixture
def printed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """All that was printed."""
    texts: list[str] = []
    monkeypatch.setattr(banner, "_say", texts.append)
    return texts


def run(wanted: Callable[[], bool] = lambda: True) -> threading.Thread:
    """Announce beside the test."""
    thread = threading.Thread(target=banner.announce, args=(wanted,), daemon=True)
    thread.start()
    return thread


def test_it_waits_for_a_worker_and_says_so_once(answers: Answers, printed: list[str]) -> None:
    thread = run()
    eventually(lambda: printed)
    assert "a worker is still starting" in printed[0]
    answers.now = (200, {})
    thread.join(240)
    assert len(printed) == 2
    assert "is ready:  http://localhost:" in printed[1]


def test_what_stays_missing_is_said_instead_of_ready(
    answers: Answers, printed: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(banner, "PATIENCE_SECONDS", 0.0)
    run().join(240)
    assert "is running, but not ready: worker: none is running:  http://" in printed[-1]


def test_nothing_is_printed_once_the_service_stops(answers: Answers, printed: list[str]) -> None:
    run(lambda: False).join(240)
    assert printed == []


def test_where_keys_are_asked_for_it_shows_how_to_get_and_use_one(settings: Settings) -> None:
    settings.LISTEN_ADDRESS, settings.PORT, settings.PUBLIC_URL = "127.0.0.1", 8000, ""
    settings.REQUIRE_API_KEY = False
    assert "create_api_key" not in banner._text("ready")
    settings.REQUIRE_API_KEY = True
    text = banner._text("ready")
    assert "manage.py create_api_key NAME" in text
    assert 'curl -H "Authorization: Bearer KEY" -F image=@' in text


def test_it_tells_how_phones_reach_it(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.PORT, settings.PUBLIC_URL = 8000, ""
    settings.LISTEN_ADDRESS = "127.0.0.1"
    assert "with LISTEN_ADDRESS=0.0.0.0" in banner._text("ready")
    settings.LISTEN_ADDRESS = "0.0.0.0"
    entry, loopback = (
        SimpleNamespace(family=socket.AF_INET, address=address) for address in ("192.168.7.9", "127.0.0.1")
    )
    monkeypatch.setattr(psutil, "net_if_addrs", lambda: {"lo": [loopback], "eth0": [entry]})
    assert "Phones, other devices  http://192.168.7.9:8000/\n" in banner._text("ready")
    settings.PUBLIC_URL = "https://up.example.org"
    assert "Phones" not in banner._text("ready")
