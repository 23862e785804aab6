"""An address of a broker that cannot be one stops the start, and is not repeated: it may hold a password."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from django.core.exceptions import ImproperlyConfigured

from upscaler_site.conf import broker
from upscaler_site.conf.broker import broker_from

SECRET = "s3cret"


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        (f"redis://:{SECRET}@cache:6380/2", "redis://cache:6380/2"),
        (f"rediss://ada:{SECRET}@cache?ssl_cert_reqs=none", "rediss://cache:6379/0"),
        ("redis://[::1]:6379?db=4", "redis://[::1]:6379/4"),
        (f"unix://:{SECRET}@/run/redis/redis.sock?db=1", "unix:///run/redis/redis.sock?db=1"),
    ],
)
def test_what_is_shown_holds_no_secret(url: str, shown: str) -> None:
    found = broker_from(url, "upscaler")
    assert found is not None
    assert (found.shown, found.url) == (shown, url)
    assert SECRET not in repr(found)


def test_no_address_is_no_broker() -> None:
    assert broker_from("", "upscaler") is None


@pytest.mark.parametrize(
    ("url", "message"),
    [
        (f"amqp://ada:{SECRET}@cache/", "begins with 'amqp'; it must be redis://user:password@host:6379/0, rediss://"),
        ("cache:6379", "it must be redis://"),
        (f"redis+sentinel://ada:{SECRET}@cache/", "begins with 'redis\\+sentinel'"),
        (f"redis://ada:{SECRET}/x@cache:6379/0", "no readable host and port; .*% codes"),
        (f"redis://ada:{SECRET}@cache:port/0", "no readable host and port"),
        (f"redis://ada:{SECRET}@cache:66379/0", "no readable host and port"),
        (f"redis://ada:{SECRET}@[cache/0", "no readable host and port"),
        (f"redis://:{SECRET}@/0", "names no host"),
        (f"redis://:{SECRET}@{'c' * 64}/0", "a host that cannot be one"),
        (f"redis://:{SECRET}@cache/jobs", "a database that is no number"),
        (f"redis://:{SECRET}@cache?db=-1", "a database that is no number"),
        (f"redis://:{SECRET}@cache?socket_timeout=600", "an option that it cannot have; possible are db, ssl_ca_certs"),
        (f"redis://:{SECRET}@cache?ssl_cert_reqs=none", "options of TLS, and is not rediss://"),
        (f"rediss://:{SECRET}@cache?ssl_cert_reqs=never", "ssl_cert_reqs must be one of required, optional, none"),
        (f"rediss://:{SECRET}@cache?ssl_ca_certs=/nowhere.pem", "ssl_ca_certs is no file"),
        (f"unix://:{SECRET}@cache/redis.sock", "names no socket"),
        ("unix://", "names no socket"),
    ],
)
def test_what_is_wrong_is_said_without_the_password(url: str, message: str) -> None:
    with pytest.raises(ImproperlyConfigured, match=f"^BROKER_URL.*{message}") as refused:
        broker_from(url, "upscaler")
    assert SECRET not in str(refused.value)


def test_the_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(broker, "find_spec", lambda _name: None)
    with pytest.raises(ImproperlyConfigured, match=r"pip install -r requirements-redis.txt, or upscaler\[redis\]"):
        broker_from("redis://cache", "upscaler")


@pytest.mark.processes
def test_the_address_may_lie_in_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    secret = tmp_path / "broker"
    secret.write_text(f"http://:{SECRET}@cache\n")
    monkeypatch.setenv("BROKER_URL_FILE", str(secret))
    done = subprocess.run([sys.executable, "manage.py", "check"], capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert "BROKER_URL begins with 'http'" in done.stderr + done.stdout
    assert SECRET not in done.stderr + done.stdout


def test_without_a_broker_the_package_is_not_imported() -> None:
    script = """
import sys, django
django.setup()
from modelstore import notify
notify.listener("channel")
sys.exit("redis" in sys.modules)
"""
    environment = os.environ | {"DJANGO_SETTINGS_MODULE": "upscaler_site.settings"}
    assert subprocess.run([sys.executable, "-c", script], env=environment, check=False).returncode == 0
