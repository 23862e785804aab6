"""CORS by setting, in processes of their own: the middleware reads the settings as the service starts with them."""

import json
import os
import subprocess
import sys

import pytest

from tests.service import REPOSITORY

pytestmark = pytest.mark.processes

ASK = """
import json, sys, django
django.setup()
from django.test import Client
method, origin = sys.argv[1:]
extra = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "x-api-key"}
headers = {"Origin": origin} | (extra if method == "OPTIONS" else {})
response = Client().generic(method, "/api/v1/health/live", headers=headers)
print(json.dumps({k.lower(): v for k, v in response.headers.items()}))
"""


def ask(method: str, origin: str, allowed: str) -> dict[str, str]:
    """The headers with which a service of this setting answers a page of this origin."""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", ASK, method, origin],
        cwd=REPOSITORY,
        env=os.environ | {"CORS_ALLOWED_ORIGINS": allowed, "DJANGO_SETTINGS_MODULE": "upscaler_site.settings"},
        capture_output=True,
        text=True,
        check=True,
        timeout=240,
    )
    headers: dict[str, str] = json.loads(done.stdout.splitlines()[-1])
    return headers


@pytest.mark.parametrize(
    ("allowed", "origin", "answer"),
    [
        ("", "https://shop.example.org", None),
        ("https://shop.example.org", "https://shop.example.org", "https://shop.example.org"),
        ("https://shop.example.org", "https://evil.example.org", None),
        ("*", "https://evil.example.org", "*"),
    ],
)
def test_an_origin_may_read_answers_only_when_it_is_listed(allowed: str, origin: str, answer: str | None) -> None:
    headers = ask("GET", origin, allowed)
    assert headers.get("access-control-allow-origin") == answer
    assert "access-control-allow-credentials" not in headers


def test_a_listed_origin_may_send_our_headers_and_read_them() -> None:
    preflight = ask("OPTIONS", "https://shop.example.org", "https://shop.example.org")
    for header in ("x-api-key", "authorization", "idempotency-key", "prefer", "last-event-id", "range"):
        assert header in preflight["access-control-allow-headers"]
    exposed = ask("GET", "https://shop.example.org", "https://shop.example.org")[
        "access-control-expose-headers"
    ].lower()
    for header in (
        "x-processing-time",
        "location",
        "retry-after",
        "ratelimit",
        "etag",
        "content-disposition",
        "x-job-id",
        "link",
    ):
        assert header in exposed
    assert "idempotency-replayed" not in exposed, "nothing sends it"
