"""Examines the settings: what contradicts itself, and what lets strangers in."""

from collections.abc import Iterator

from django.core import checks

from jobs.checks import is_published
from monitoring.checks import NOT_HTTPS_ONLY, SAME_AS_NOT_HTTPS_ONLY
from monitoring.doctor.finding import Finding, fault, fine, warning

AREA = "settings"


def examine() -> Iterator[Finding]:
    """Ask the service's own checks; those for the Internet only where the settings say that others reach it."""
    found = checks.run_checks(include_deployment_checks=is_published())
    told_better = SAME_AS_NOT_HTTPS_ONLY if any(message.id == NOT_HTTPS_ONLY for message in found) else ()
    found = [message for message in found if not message.is_silenced() and message.id not in told_better]
    for message in found:
        make = fault if message.level >= checks.ERROR else warning
        told, _, rest = message.msg.partition("\n")
        yield make(AREA, f"{told} ({message.id})", message.hint or rest or "See docs/configuration.md")
    if not found:
        yield fine(AREA, "Nothing contradicts itself")
