"""Settings of access: a bad value stops the start and is named; open doors of a published service are warned of."""

from pathlib import Path

import pytest
from django.core.exceptions import ImproperlyConfigured
from pytest_django.fixtures import Settings

from jobs.checks import check_deployment, check_published
from upscaler_site.conf import env
from upscaler_site.conf.secret_key import webhook_secrets_for


@pytest.mark.parametrize(
    ("text", "rate"),
    [("60/minute", (60, 60)), ("5/s", (5, 1)), (" 10 / Hour", (10, 3600)), ("1/day", (1, 86_400)), ("", None)],
)
def test_a_rate_is_read(text: str, rate: tuple[int, int] | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOME_RATE", text.strip())
    assert env.rate("SOME_RATE", help="") == rate


@pytest.mark.parametrize("text", ["60", "0/minute", "-1/s", "x/minute", "60/fortnight", "60/minute/s", "1.5/s"])
def test_a_bad_rate_stops_the_start_and_is_named(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOME_RATE", text)
    with pytest.raises(ImproperlyConfigured, match="SOME_RATE"):
        env.rate("SOME_RATE", help="")


def test_a_webhook_secret_is_made_once_and_kept_for_its_owner_alone(tmp_path: Path) -> None:
    first = webhook_secrets_for(tmp_path, [])
    assert webhook_secrets_for(tmp_path, []) == first
    assert first[0].startswith("whsec_")
    assert (tmp_path / "webhook_secret").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("secret", ["x", "whsec_", "whsec_short", "whsec_" + "A" * 200, "whsec_!!!!" + "A" * 40])
def test_a_bad_webhook_secret_stops_the_start(secret: str, tmp_path: Path) -> None:
    with pytest.raises(ImproperlyConfigured, match="WEBHOOK_SECRET"):
        webhook_secrets_for(tmp_path, [secret])


@pytest.fixture
def published(settings: Settings) -> Settings:
    """A service that others reach, with nothing else set."""
    settings.PUBLIC_URL = "https://up.example.org"
    return settings


def ids(messages: object) -> set[str]:
    return {message.id for message in messages}  # type: ignore[attr-defined]


def test_a_laptop_is_not_warned(settings: Settings) -> None:
    settings.PUBLIC_URL = "http://localhost:8000"
    assert check_published() == []
    assert ids(check_deployment()) == {"jobs.W001", "jobs.W002"}


@pytest.mark.parametrize(
    ("name", "value"), [("HTTPS_ONLY", True), ("TRUSTED_PROXIES", 1), ("PUBLIC_URL", "https://up.example.org")]
)
def test_a_published_service_with_open_management_is_warned(name: str, value: object, settings: Settings) -> None:
    setattr(settings, name, value)
    assert "jobs.W001" in ids(check_published())


def test_required_keys_close_the_doors(published: Settings) -> None:
    published.REQUIRE_MANAGE_KEY = True
    assert ids(check_published()) == {"jobs.W002"}
    published.REQUIRE_API_KEY = True
    assert check_published() == []


def test_dangerous_pairs_are_warned_of(published: Settings) -> None:
    published.CORS_ALLOW_ALL_ORIGINS = True
    published.WEBHOOK_ALLOW_PRIVATE = True
    assert {"jobs.W003", "jobs.W004"} <= ids(check_published())
