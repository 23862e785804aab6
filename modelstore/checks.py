"""Relations between this room's settings that would only show when somebody downloads."""

from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error
from django.core.checks import Warning as CheckWarning

from modelstore.catalogs.known import known


def check_settings(**_: Any) -> list[CheckMessage]:
    """Check that base addresses are addresses, and that the times fit each other."""
    found: list[CheckMessage] = []
    for number, name in enumerate(("MODEL_GITHUB_URL", "MODEL_HUGGINGFACE_URL"), start=1):
        value = getattr(settings, name)
        if not value.startswith(("http://", "https://")):
            found.append(
                Error(f"{name} is {value!r}; it must begin with http:// or https://", id=f"modelstore.E00{number}")
            )
    found += _check_catalogs()
    if settings.MODEL_DOWNLOAD_STALL_SECONDS > settings.MODEL_DOWNLOAD_TIMEOUT_SECONDS:
        found.append(
            CheckWarning(
                "MODEL_DOWNLOAD_STALL_SECONDS is longer than MODEL_DOWNLOAD_TIMEOUT_SECONDS",
                hint="A silent server is then noticed only when the whole download has run out of time.",
                id="modelstore.W001",
            )
        )
    return found


def _check_catalogs() -> list[CheckMessage]:
    """Warn only: a running service's commands and workers must start although somebody edits the file right now."""
    url = settings.MODEL_CATALOG_URL
    if url and not url.startswith(("http://", "https://") if settings.MODEL_ALLOW_PRIVATE else "https://"):
        return [Error(f"MODEL_CATALOG_URL is {url!r}; it must begin with https://", id="modelstore.E003")]
    catalogs = known()
    own: list[CheckMessage] = [CheckWarning(each, id="modelstore.W002") for each in catalogs.own_problems]
    return own + [CheckWarning(each, id="modelstore.W003") for each in catalogs.remote_problems]
