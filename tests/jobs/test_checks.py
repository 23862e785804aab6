"""Open doors of a published service are warned of."""

import pytest
from pytest_django.fixtures import Settings

from jobs.checks import check_deployment, check_published


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
