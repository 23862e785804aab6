"""The address of the collector of traces, checked at the start."""

from importlib.util import find_spec
from urllib.parse import urlsplit

from django.core.exceptions import ImproperlyConfigured

_PACKAGES = ("opentelemetry.sdk", "opentelemetry.exporter.otlp.proto.http", "opentelemetry.instrumentation.django")


def endpoint_from(address: str) -> str:
    """Return the address to which spans are sent (OTLP over HTTP); "" where no collector is named.

    :raises ImproperlyConfigured: the collector's address is none, or the packages are missing.
    """
    if not address:
        return ""
    parts = urlsplit(address)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ImproperlyConfigured(
            f"OTEL_EXPORTER_OTLP_ENDPOINT is {address!r}; it must be like http://127.0.0.1:4318 (OTLP over HTTP)"
        )
    if not all(_is_there(package) for package in _PACKAGES):
        raise ImproperlyConfigured(
            "OTEL_EXPORTER_OTLP_ENDPOINT needs packages: pip install -r requirements-otel.txt, or upscaler[otel]"
        )
    return f"{address.rstrip('/')}/v1/traces"


def _is_there(package: str) -> bool:
    try:
        return find_spec(package) is not None
    except ModuleNotFoundError:  # of a package above it
        return False
