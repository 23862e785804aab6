"""Django system checks.

Relations between settings that no single reader in env.py can judge. `manage.py check` runs them.
"""

from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, register
from django.core.checks import Warning as CheckWarning

from modelstore import notify

#: That HTTPS_ONLY is missing, and what Django says of it in names that are none of our settings.
NOT_HTTPS_ONLY = "monitoring.W012"
SAME_AS_NOT_HTTPS_ONLY = frozenset({"security.W004", "security.W008", "security.W012", "security.W016"})
#: Seconds that the broker has for its answer.
_BROKER_SECONDS = 2.0


@register("monitoring")
def check_directories(**_: Any) -> list[CheckMessage]:
    """Check for a file in place of a directory: it would fail at the first upload, long after the start."""
    problems: list[CheckMessage] = []
    for name in ("DATA_DIR", "MODELS_DIR", "MODEL_CACHE_DIR", "MEDIA_ROOT"):
        directory = Path(getattr(settings, name))
        if directory.exists() and not directory.is_dir():
            problems.append(Error(f"{name} is {directory}, which is no directory", id="monitoring.E001"))
    return problems


@register("monitoring")
def check_limits(**_: Any) -> list[CheckMessage]:
    """Check for limits that contradict each other: every request would fail, or the limit would never hold."""
    problems: list[CheckMessage] = []
    if settings.MAX_OUTPUT_PIXELS < settings.MAX_INPUT_PIXELS:
        problems.append(
            CheckWarning(
                f"MAX_OUTPUT_PIXELS ({settings.MAX_OUTPUT_PIXELS}) is less than MAX_INPUT_PIXELS "
                f"({settings.MAX_INPUT_PIXELS}): the largest inputs can never be upscaled",
                hint="Raise MAX_OUTPUT_PIXELS; a scale of 4 needs 16 times the input's pixels.",
                id="monitoring.W001",
            )
        )
    if settings.MAX_STORAGE_GB and settings.MAX_STORAGE_GB * 1000 < settings.MAX_UPLOAD_MB:
        problems.append(
            CheckWarning(
                f"MAX_STORAGE_GB ({settings.MAX_STORAGE_GB:g}) holds not even one upload of MAX_UPLOAD_MB "
                f"({settings.MAX_UPLOAD_MB})",
                id="monitoring.W002",
            )
        )
    if settings.SWEEP_SECONDS > settings.JOB_LEASE_SECONDS:
        problems.append(
            CheckWarning(
                f"SWEEP_SECONDS ({settings.SWEEP_SECONDS:g}) is longer than JOB_LEASE_SECONDS "
                f"({settings.JOB_LEASE_SECONDS}): a lost job waits for the sweep, not for its lease",
                id="monitoring.W003",
            )
        )
    return problems


@register("monitoring")
def check_address(**_: Any) -> list[CheckMessage]:
    """Check for settings of the way to callers that make each other void."""
    problems: list[CheckMessage] = []
    if settings.HTTPS_ONLY and settings.PUBLIC_URL.startswith("http:"):
        problems.append(
            CheckWarning(
                f"HTTPS_ONLY is on, and PUBLIC_URL is {settings.PUBLIC_URL}: its links are redirected",
                hint="Give PUBLIC_URL with https.",
                id="monitoring.W005",
            )
        )
    if settings.STORAGE_REDIRECT_SECONDS and settings.STORAGE_ADDRESS is None:
        problems.append(
            CheckWarning(
                "STORAGE_REDIRECT_SECONDS does nothing: pictures are in no object storage",
                hint="Set STORAGE, or leave STORAGE_REDIRECT_SECONDS out.",
                id="monitoring.W006",
            )
        )
    return problems


@register("monitoring")
def check_broker(**_: Any) -> list[CheckMessage]:
    """Check that the Redis of BROKER_URL answers: without it all works, but later."""
    trouble = notify.trouble(_BROKER_SECONDS)
    if not trouble:
        return []
    return [
        CheckWarning(
            f"BROKER_URL: {notify.carrier()} does not answer: {trouble}",
            hint="Until it does, work starts and callers hear of its end up to some seconds late.",
            id="monitoring.W004",
        )
    ]


@register("monitoring", deploy=True)
def check_production(**_: Any) -> list[CheckMessage]:
    """Warn of settings that are fine on a desk and not on the Internet (`manage.py check --deploy`)."""
    problems: list[CheckMessage] = []
    if settings.PUBLIC_URL.startswith("https:") and not settings.HTTPS_ONLY:
        problems.append(
            CheckWarning(
                "PUBLIC_URL is https, and HTTPS_ONLY is not set: plain HTTP is answered, and cookies may go over it",
                hint="Set HTTPS_ONLY=1, and let the proxy set X-Forwarded-Proto.",
                id=NOT_HTTPS_ONLY,
            )
        )
    if "*" in settings.ALLOWED_HOSTS:
        problems.append(
            CheckWarning("ALLOWED_HOSTS is *", hint="Name the hosts that the service answers to.", id="monitoring.W010")
        )
    if settings.METRICS_ACCESS == "open" and not settings.METRICS_TOKEN:
        problems.append(
            CheckWarning(
                "METRICS_ACCESS is open: anybody may read /metrics",
                hint="Use METRICS_ACCESS=private, or set METRICS_TOKEN.",
                id="monitoring.W011",
            )
        )
    return problems
