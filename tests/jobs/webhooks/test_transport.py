"""Where webhooks may lead: checked at submission, and again where the connection is made."""

import socket
import ssl
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpcore
import pytest
from pytest_django.fixtures import Settings

from jobs.errors import WebhookRefused
from jobs.webhooks.subscription import accept
from modelstore import safe_http
from modelstore.errors import TargetRefused
from tests.jobs.webhooks.receiver import Receiver

PUBLIC = "93.184.215.14"


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1", "127.8.9.1", "10.1.2.3", "172.16.0.1", "172.31.255.255", "192.168.0.1", "169.254.169.254",
        "100.64.0.1", "192.0.0.8", "192.0.2.1", "198.18.0.1", "198.51.100.7", "203.0.113.9", "224.0.0.1", "240.0.0.1",
        "255.255.255.255", "0.0.0.0", "::", "::1", "fe80::1", "fe80::1%eth0", "fc00::1", "fd12:3456::1", "fec0::1",
        "2001:db8::1", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe", "2002:7f00:1::",
        "2002:c0a8:1::1", "ff02::1", "2001:0:4136:e378:8000:63bf:3fff:fdd2", "::127.0.0.1",
        "192.88.99.1", "3fff::1", "3fff:fff:ffff::1", "168.63.129.16", "::ffff:168.63.129.16", "64:ff9b::a83f:8110",
        "2002:a83f:8110::1", "5f00::1", "100::1", "100:0:0:1::1", "2001:2::1", "2001:20::1",
    ],
)  # fmt: skip
def test_an_address_that_is_not_public_is_refused(address: str) -> None:
    assert not safe_http.is_public(address)


@pytest.mark.parametrize(
    "address", [PUBLIC, "8.8.8.8", "172.32.0.1", "168.63.129.17", "2606:2800:21f:cb07:6820:80da:af6b:8b2c"]
)
def test_a_public_address_is_allowed(address: str) -> None:
    assert safe_http.is_public(address)


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1/", "http://localhost:8000/x", "https://[::1]/", "http://0x7f000001/", "http://2130706433/",
        "http://127.1/", "http://0/", "http://[::ffff:169.254.169.254]/latest/meta-data", "http://169.254.169.254/",
        "http://10.0.0.1:5432/", "http://LOCALHOST/", "http://localhost./",
    ],
)  # fmt: skip
def test_a_private_target_is_refused_at_submission(url: str) -> None:
    with pytest.raises(WebhookRefused, match=r"private or reserved|cannot be resolved"):
        accept(url, [])


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("ftp://example.org/", "must begin with http"),
        ("file:///etc/passwd", "must begin with http"),
        ("gopher://127.0.0.1/", "must begin with http"),
        ("//example.org/x", "must begin with http"),
        ("example.org/x", "must begin with http"),
        ("http://", "names no host|malformed"),
        ("http://user:secret@example.org/", "user name or password"),
        ("http://exa mple.org/", "spaces"),
        ("http://example.org/a\r\nHost: x", "spaces or control"),
        ("http://example.org/\x00", "spaces or control"),
        ("http://example.org:99999/", "malformed"),
        ("http://[::1/", "malformed"),
        ("http://example.org/" + "a" * 2000, "characters"),
        ("http://example.org/" + "é" * 1000, "characters when encoded"),
        ("http://this-name-does-not-exist.invalid/", "cannot be resolved"),
    ],
)
def test_a_bad_url_is_refused_with_the_reason(url: str, why: str) -> None:
    with pytest.raises(WebhookRefused, match=why):
        accept(url, [])


def test_private_targets_are_accepted_where_the_operator_allows_them(settings: Settings) -> None:
    settings.WEBHOOK_ALLOW_PRIVATE = True
    assert accept("http://127.0.0.1:8000/h?x=1#part", ["job.failed", "job.failed"]) == (
        "http://127.0.0.1:8000/h?x=1",
        ["job.failed"],
    )


def test_unknown_events_and_events_for_nobody_are_refused(settings: Settings) -> None:
    settings.WEBHOOK_ALLOW_PRIVATE = True
    with pytest.raises(WebhookRefused, match=r"unknown webhook event: job\.eaten"):
        accept("http://127.0.0.1/", ["job.eaten"])
    with pytest.raises(WebhookRefused, match="needs a webhook_url"):
        accept("", ["job.failed"])


@pytest.fixture
def resolver(monkeypatch: pytest.MonkeyPatch) -> Callable[[dict[str, list[list[str]]]], list[str]]:
    """Makes names answer as told, a new answer at each look-up, as a hostile name server does; returns the look-ups.

    The one thing that is not real here: a test cannot own a public domain.
    """
    real = socket.getaddrinfo

    def install(answers: dict[str, list[list[str]]]) -> list[str]:
        asked: list[str] = []

        def look_up(host: Any, port: Any, *args: Any, **kwargs: Any) -> Any:
            if host not in answers:
                return real(host, port, *args, **kwargs)
            asked.append(host)
            rows = answers[host]
            addresses = rows.pop(0) if len(rows) > 1 else rows[0]
            return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in addresses]

        monkeypatch.setattr(socket, "getaddrinfo", look_up)
        return asked

    return install


def test_a_name_that_turns_private_after_the_check_is_not_connected_to(
    receiver: Receiver, settings: Settings, resolver: Callable[[dict[str, list[list[str]]]], list[str]]
) -> None:
    """DNS rebinding: public at submission, loopback at delivery."""
    settings.WEBHOOK_ALLOW_PRIVATE = False
    asked = resolver({"rebind.example.org": [[PUBLIC], ["127.0.0.1"]]})
    target = safe_http.check(f"http://rebind.example.org:{receiver.port}/ok", allow_private=False)
    with pytest.raises(TargetRefused, match="private or reserved"), _post(target, allow_private=False):
        pass
    assert len(asked) == 2
    assert receiver.requests == []


def test_the_connection_goes_to_the_address_that_was_checked(
    receiver: Receiver, resolver: Callable[[dict[str, list[list[str]]]], list[str]]
) -> None:
    """One look-up per connection: there is no second answer that could differ. Host stays the name."""
    asked = resolver({"hooks.example.org": [["127.0.0.1"], ["192.0.2.1"]]})
    with _post(safe_http.target_of(f"http://hooks.example.org:{receiver.port}/ok"), allow_private=True) as answer:
        assert answer.status == 200
    assert asked == ["hooks.example.org"]
    assert receiver.requests[0].headers["host"] == f"hooks.example.org:{receiver.port}"


def test_one_private_address_among_public_ones_refuses_the_name(
    resolver: Callable[[dict[str, list[list[str]]]], list[str]],
) -> None:
    resolver({"mixed.example.org": [[PUBLIC, "10.0.0.1"]]})
    with pytest.raises(WebhookRefused, match="private or reserved"):
        accept("https://mixed.example.org/", [])


def test_a_name_server_that_does_not_answer_is_not_waited_for(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    hung = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: [hung.wait(240)][:0])
    try:
        with pytest.raises(TargetRefused, match="cannot be resolved"):
            safe_http.addresses_of("slow.example.org", 80, seconds=0.1, allow_private=True)
    finally:
        hung.set()


def test_proxies_from_the_environment_are_not_used(receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    with _post(safe_http.target_of(receiver.url()), allow_private=True) as answer:
        assert answer.status == 200


@pytest.fixture
def tls_receiver(receiver: Receiver, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Receiver]:
    """The receiver behind TLS, with a certificate for hooks.example.org by an authority that we trust."""
    certificate, key = tmp_path / "certificate.pem", tmp_path / "key.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
         "-keyout", str(key), "-out", str(certificate), "-subj", "/CN=hooks.example.org",
         "-addext", "subjectAltName=DNS:hooks.example.org"],
        check=True, capture_output=True,
    )  # fmt: skip
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    receiver.server.socket = context.wrap_socket(receiver.server.socket, server_side=True)
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    safe_http._tls.cache_clear()
    yield receiver
    safe_http._tls.cache_clear()


def test_tls_verifies_the_name_of_the_url_at_the_checked_address(
    tls_receiver: Receiver, resolver: Callable[[dict[str, list[list[str]]]], list[str]]
) -> None:
    resolver({"hooks.example.org": [["127.0.0.1"]], "other.example.org": [["127.0.0.1"]]})
    with _post(safe_http.target_of(f"https://hooks.example.org:{tls_receiver.port}/ok"), allow_private=True) as answer:
        assert answer.status == 200
    with (
        pytest.raises(httpcore.ConnectError, match="ostname mismatch"),
        _post(safe_http.target_of(f"https://other.example.org:{tls_receiver.port}/ok"), allow_private=True),
    ):
        pass


def _post(target: safe_http.Target, *, allow_private: bool) -> Any:
    return safe_http.request("POST", target, headers={}, body=b"{}", seconds=30, allow_private=allow_private)
