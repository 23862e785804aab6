"""Messages over a real Redis, which is killed, frozen, emptied and started again; nobody ever waits for it."""

import datetime as dt
import ipaddress
import logging
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from modelstore.bells import redis_pubsub
from modelstore.bells.redis_pubsub import RedisBells, RedisListener
from tests.eventually import eventually
from tests.redis_server import RedisServer, StartRedis
from upscaler_site.conf.broker import broker_from

pytestmark = pytest.mark.processes

Carry = Callable[..., RedisBells]


@pytest.fixture
def carry() -> Iterator[Carry]:
    """``carry(server.url)``: the carrier of a process; its thread ends with the test."""
    made: list[RedisBells] = []

    def make(url: str, prefix: str = "upscaler") -> RedisBells:
        broker = broker_from(url, prefix)
        assert broker is not None
        made.append(RedisBells(broker))
        return made[-1]

    yield make
    for bells in made:
        bells._finish()


@pytest.fixture
def listening() -> Iterator[Callable[..., RedisListener]]:
    """``listening(bells)``: a listener whose connection is there; it ends with the test."""
    made: list[RedisListener] = []

    def make(bells: RedisBells, channel: str = "channel") -> RedisListener:
        made.append(bells.listener(channel))
        assert made[-1].listen()
        eventually(lambda: made[-1].wait(0.1) is not None and made[-1].listen(), say="the subscription")
        return made[-1]

    yield make
    for listener in made:
        listener.rest()


Listening = Callable[..., RedisListener]


def heard_in(listener: RedisListener, wanted: list[str]) -> None:
    """Wait until exactly these payloads were heard, in their order."""
    heard: list[str] = []

    def look() -> bool:
        listener.listen()
        heard.extend(listener.wait(0.2))
        return len(heard) >= len(wanted)

    eventually(look, say=f"hearing {wanted}")
    assert heard == wanted


def test_what_is_told_is_heard_in_its_order(redis_server: RedisServer, carry: Carry, listening: Listening) -> None:
    bells = carry(redis_server.url)
    ear = listening(bells)
    for number in range(100):
        bells.send("channel", str(number))
    heard_in(ear, [str(number) for number in range(100)])


def test_a_descriptor_of_the_listener_wakes_it(redis_server: RedisServer, carry: Carry, listening: Listening) -> None:
    ear = listening(carry(redis_server.url))
    read, write = os.pipe()
    try:
        os.write(write, b"x")
        assert ear.wait(3600, also=[read]) == []
    finally:
        os.close(read)
        os.close(write)


def test_two_services_share_a_redis_by_their_prefixes(
    redis_server: RedisServer, carry: Carry, listening: Listening
) -> None:
    ours, theirs = carry(redis_server.url, "ours"), carry(redis_server.url.replace("/0", "/1"), "theirs")
    ear = listening(ours)
    theirs.send("channel", "not for you")
    assert theirs.trouble(60) == ""
    ours.send("channel", "for you")
    heard_in(ear, ["for you"])


def test_a_listener_at_rest_costs_redis_nothing(redis_server: RedisServer, carry: Carry, listening: Listening) -> None:
    bells = carry(redis_server.url)
    ear = listening(bells)
    assert redis_server.listeners("upscaler:channel") == 1
    ear.rest()
    eventually(lambda: redis_server.listeners("upscaler:channel") == 0, say="the end of the subscription")
    assert ear.listen()  # what was told meanwhile is to be looked for
    eventually(lambda: redis_server.listeners("upscaler:channel") == 1, say="a new subscription")
    bells.send("channel", "again")
    heard_in(ear, ["again"])


@pytest.mark.parametrize(
    ("url", "options"),
    [
        ("redis://:s%2Fcr%40t@127.0.0.1:{port}/3", ["--requirepass", "s/cr@t"]),
        ("redis://ada:s%2Fcr%40t@127.0.0.1:{port}",
            ["--user", "ada", "on", ">s/cr@t", "&upscaler:*", "+@pubsub", "+ping", "+select"]),
        ("unix://{directory}/redis.sock?db=2", ["--unixsocket", "{directory}/redis.sock", "--port", "0"]),
        ("unix://:s%2Fcr%40t@{directory}/redis.sock",
            ["--unixsocket", "{directory}/redis.sock", "--requirepass", "s/cr@t"]),
    ],
)  # fmt: skip
def test_passwords_users_databases_and_sockets(
    url: str, options: list[str], start_redis: StartRedis, carry: Carry, listening: Listening
) -> None:
    bells = carry(start_redis(url, *options).url)
    ear = listening(bells)
    bells.send("channel", "word")
    heard_in(ear, ["word"])


def write_certificate(directory: Path) -> None:
    """A certificate for 127.0.0.1 that only those trust who are told to, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "a test's Redis")])
    now = dt.datetime.now(dt.UTC)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )  # fmt: skip
    (directory / "cert.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    (directory / "key.pem").write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )


def test_tls(tmp_path: Path, start_redis: StartRedis, carry: Carry, listening: Listening) -> None:
    write_certificate(tmp_path)
    options = ["--port", "0", "--tls-port", "{port}", "--tls-auth-clients", "no", "--tls-ca-cert-file", "cert.pem"]
    server = start_redis(
        "rediss://127.0.0.1:{port}/0?ssl_ca_certs={directory}/cert.pem",
        *options, "--tls-cert-file", "cert.pem", "--tls-key-file", "key.pem",
    )  # fmt: skip
    bells = carry(server.url)
    ear = listening(bells)
    bells.send("channel", "word")
    heard_in(ear, ["word"])
    bare = server.url.partition("?")[0]
    assert "certificate verify failed" in eventually(lambda: carry(bare).trouble(5), say="the refusal")
    assert carry(f"{bare}?ssl_cert_reqs=none").trouble(60) == ""


def lines_of_each(caplog: pytest.LogCaptureFixture) -> dict[str, list[str]]:
    """The levels of the lines that each thread logged, in their order."""
    found: dict[str, list[str]] = {"telling": [], "listening": []}
    for record in caplog.records:
        if record.name == redis_pubsub.__name__ and isinstance(record.args, tuple):
            found[str(record.args[0])].append(record.levelname)
    return found


def test_nobody_waits_for_a_frozen_redis_and_one_line_says_so(
    redis_server: RedisServer, carry: Carry, listening: Listening, caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    for name in ("_ANSWER_SECONDS", "_AGAIN_SECONDS", "_QUIET_SECONDS"):
        monkeypatch.setattr(redis_pubsub, name, 0.2)
    bells = carry(redis_server.url)
    ear = listening(bells)
    redis_server.freeze()
    caplog.set_level(logging.INFO)
    before = time.thread_time()
    for number in range(1000):
        bells.send("channel", str(number))
    assert time.thread_time() - before < 5
    eventually(lambda: bells.trouble(0.1), say="the trouble")
    for _ in range(3):  # who listens is told each time to look by itself
        eventually(lambda: ear.wait(0.1) is not None and ear.listen(), say="the call to look")
        bells.send("channel", "another")
    eventually(lambda: all(said[-1:] == ["WARNING"] for said in lines_of_each(caplog).values()), say="both lines")
    redis_server.thaw()
    eventually(lambda: bells.trouble(1) == "", say="Redis answers again")
    eventually(lambda: all(said[-1:] == ["INFO"] for said in lines_of_each(caplog).values()), say="both are back")
    # A busy machine does not answer within 0.2 s either: then both lines come again, but never one of them twice.
    for said in lines_of_each(caplog).values():
        assert said == ["WARNING", "INFO"] * (len(said) // 2)


def test_a_redis_that_was_killed_and_started_again_is_found(
    redis_server: RedisServer, carry: Carry, listening: Listening
) -> None:
    bells = carry(redis_server.url)
    ear = listening(bells)
    redis_server.kill()
    eventually(lambda: bells.trouble(1), say="the trouble")
    redis_server.start()
    eventually(lambda: redis_server.listeners("upscaler:channel") == 1, say="a new subscription")
    eventually(lambda: bells.trouble(1) == "", say="the sender is back")
    eventually(lambda: ear.wait(0.1) is not None and ear.listen(), say="the call to look")
    bells.send("channel", "word")
    heard_in(ear, ["word"])


def test_a_redis_that_was_not_there_at_first_is_found(
    redis_server: RedisServer, carry: Carry, caplog: pytest.LogCaptureFixture
) -> None:
    redis_server.kill()
    bells = carry(redis_server.url)
    ear = bells.listener("channel")
    assert ear.listen()
    bells.send("channel", "lost")
    assert "Connection refused" in eventually(lambda: bells.trouble(1), say="the trouble")
    redis_server.start()
    eventually(lambda: redis_server.listeners("upscaler:channel") == 1, say="the subscription")
    eventually(lambda: bells.trouble(1) == "", say="the sender is back")
    bells.send("channel", "word")
    heard_in(ear, ["word"])
    ear.rest()


def test_there_is_nothing_in_it_to_be_flushed(redis_server: RedisServer, carry: Carry, listening: Listening) -> None:
    bells = carry(redis_server.url)
    ear = listening(bells)
    bells.send("channel", "before")
    assert redis_server.client().dbsize() == 0
    redis_server.flush()
    bells.send("channel", "after")
    heard_in(ear, ["before", "after"])


def test_a_wrong_password_is_named_and_not_told(
    start_redis: StartRedis, carry: Carry, caplog: pytest.LogCaptureFixture
) -> None:
    server = start_redis("redis://:right@127.0.0.1:{port}/0", "--requirepass", "right")
    bells = carry(server.url.replace("right", "wr0ng-s3cret"))
    reason = eventually(lambda: bells.trouble(1), say="the refusal")
    assert "invalid username-password pair" in reason
    assert "wr0ng-s3cret" not in reason + caplog.text + repr(broker_from(server.url, "x"))


def test_a_forked_child_tells_and_hears_by_itself(redis_server: RedisServer, listening: Listening) -> None:
    script = """
import multiprocessing, django
django.setup()
from modelstore import notify
def child():
    notify._notify("channel", "child")
    assert notify.trouble(60) == ""
notify._notify("channel", "parent")
assert notify.trouble(60) == ""
forked = multiprocessing.get_context("fork").Process(target=child)
forked.start()
forked.join()
assert forked.exitcode == 0
notify._notify("channel", "parent again, as its last word")
"""
    bells = RedisBells(broker_from(redis_server.url, "upscaler"))  # type: ignore[arg-type]  # there is an address
    ear = listening(bells)
    environment = os.environ | {"BROKER_URL": redis_server.url, "DJANGO_SETTINGS_MODULE": "upscaler_site.settings"}
    subprocess.run([sys.executable, "-c", script], env=environment, check=True)
    heard_in(ear, ["parent", "child", "parent again, as its last word"])
