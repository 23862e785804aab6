"""Django system checks: settings that leave open to anybody what belongs to the operator.

A laptop with nothing set is fine. What counts as published: HTTPS_ONLY, a PUBLIC_URL that is not this machine, or
reverse proxies in front. `manage.py check --deploy` asks as if published.
"""

from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.core.checks import CheckMessage, Tags, register
from django.core.checks import Warning as CheckWarning

_LOCAL = ("localhost", "127.0.0.1", "::1")


@register(Tags.security)
def check_published(**_: Any) -> list[CheckMessage]:
    """Warn at every start where the settings say that others can reach the service."""
    return open_doors() if is_published() else []


@register(Tags.security, deploy=True)
def check_deployment(**_: Any) -> list[CheckMessage]:
    """Warn `check --deploy` in any case."""
    return [] if is_published() else open_doors()


def is_published() -> bool:
    """Return whether the settings describe a service that others reach."""
    host = urlsplit(settings.PUBLIC_URL).hostname
    return settings.HTTPS_ONLY or settings.TRUSTED_PROXIES > 0 or (host is not None and host not in _LOCAL)


def open_doors() -> list[CheckMessage]:
    """Return what anybody could do."""
    found: list[CheckMessage] = []
    if not settings.REQUIRE_API_KEY and not settings.REQUIRE_MANAGE_KEY:
        found.append(
            CheckWarning(
                "Anybody who reaches the service can download models, delete them and clean up all jobs.",
                hint="Set REQUIRE_MANAGE_KEY=1 (or REQUIRE_API_KEY=1) and make a key: "
                "manage.py create_api_key NAME --scope manage.",
                id="jobs.W001",
            )
        )
    if not settings.REQUIRE_API_KEY:
        found.append(
            CheckWarning(
                "Anybody who reaches the service can submit pictures and see everybody's jobs.",
                hint="Set REQUIRE_API_KEY=1, or let the reverse proxy decide who comes in and silence this check "
                "(SILENCED_SYSTEM_CHECKS=jobs.W002).",
                id="jobs.W002",
            )
        )
    if settings.CORS_ALLOW_ALL_ORIGINS and not settings.REQUIRE_API_KEY:
        found.append(
            CheckWarning(
                "CORS_ALLOWED_ORIGINS is * and no key is needed: every page in a user's browser can use the service.",
                hint="Name the origins, or set REQUIRE_API_KEY=1.",
                id="jobs.W003",
            )
        )
    if settings.WEBHOOK_ALLOW_PRIVATE and not settings.REQUIRE_API_KEY:
        found.append(
            CheckWarning(
                "WEBHOOK_ALLOW_PRIVATE is on and no key is needed: anybody can make the service call your network.",
                hint="Set WEBHOOK_ALLOW_PRIVATE=0 or REQUIRE_API_KEY=1.",
                id="jobs.W004",
            )
        )
    return found
