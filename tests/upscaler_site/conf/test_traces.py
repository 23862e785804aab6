"""A collector's address that is none, and packages that are missing, stop the start."""

import pytest
from django.core.exceptions import ImproperlyConfigured

from upscaler_site.conf import traces
from upscaler_site.conf.traces import endpoint_from


def test_spans_go_below_the_collectors_address() -> None:
    assert endpoint_from("") == ""
    assert endpoint_from("http://collector:4318/") == "http://collector:4318/v1/traces"
    assert endpoint_from("https://example.org/otlp") == "https://example.org/otlp/v1/traces"


@pytest.mark.parametrize("address", ["collector:4318", "grpc://collector:4317", "http://", "4318"])
def test_what_is_no_address_is_refused(address: str) -> None:
    with pytest.raises(ImproperlyConfigured, match=r"it must be like http://127\.0\.0\.1:4318"):
        endpoint_from(address)


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(traces, "_PACKAGES", ("opentelemetry.sdk", "not_there.at_all"))
    with pytest.raises(ImproperlyConfigured, match=r"requirements-otel\.txt"):
        endpoint_from("http://collector:4318")
