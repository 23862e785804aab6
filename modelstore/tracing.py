"""Traces by OpenTelemetry, where OTEL_EXPORTER_OTLP_ENDPOINT is set: from a request over the queue to a job's end.

A job's row carries the W3C traceparent of the request that it came with; the worker goes on from there. Where no traces
are made nothing of OpenTelemetry is imported, and every call here does nothing. Spans are sent by a thread of each
process; what a collector does not take in time is dropped, and nobody waits for it.
"""

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Protocol

from django.conf import settings

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.trace import Span

_NAME = "upscaler"
#: Seconds that the end of a process waits for its last spans to be taken.
FLUSH_SECONDS = 2.0

_providers: dict[int, "TracerProvider"] = {}


class JobTrace(Protocol):
    """The trace of one attempt of a job."""

    def current(self) -> Any:
        """Return a context manager in which spans of this thread, and its log lines, belong to the attempt."""
        ...

    def end(self, outcome: str) -> None:
        """End it; ``outcome`` is the job's new state in a word."""
        ...


class _Untraced:
    @contextmanager
    def current(self) -> Iterator[None]:
        yield

    def end(self, outcome: str) -> None:
        pass


class _Traced:
    def __init__(self, traceparent: str, waiting_since: datetime, attributes: dict[str, Any]) -> None:
        from opentelemetry import trace  # noqa: PLC0415 - only where traces are made
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator  # noqa: PLC0415 - as above

        parent = TraceContextTextMapPropagator().extract({"traceparent": traceparent})
        tracer = provider().get_tracer(_NAME)
        since = int(waiting_since.timestamp() * 1e9)
        tracer.start_span("wait in the queue", context=parent, start_time=since, attributes=attributes).end()
        self._span = tracer.start_span("job", context=parent, kind=trace.SpanKind.CONSUMER, attributes=attributes)

    @contextmanager
    def current(self) -> Iterator[None]:
        from opentelemetry import trace  # noqa: PLC0415 - as above

        with trace.use_span(self._span, record_exception=False, set_status_on_exception=False):
            yield

    def end(self, outcome: str) -> None:
        from opentelemetry.trace import StatusCode  # noqa: PLC0415 - as above

        self._span.set_attribute("upscaler.outcome", outcome)
        if outcome in ("failed", "lost", "requeued"):
            self._span.set_status(StatusCode.ERROR, outcome)
        self._span.end()


def of_job(traceparent: str, waiting_since: datetime, **attributes: Any) -> JobTrace:
    """Begin the trace of an attempt, below the request that brought the job.

    :param traceparent: as `traceparent` gave it; "" begins a trace of its own.
    :param waiting_since: when the job was queued: its wait becomes a span, too.
    """
    named = {f"upscaler.{name}": value for name, value in attributes.items() if value is not None}
    return _Traced(traceparent, waiting_since, named) if settings.TRACES_ENDPOINT else _Untraced()


@contextmanager
def span(name: str, **attributes: Any) -> Iterator["Span | None"]:
    """Make a span of the block, below the current one; an error that leaves the block is noted in it."""
    if not settings.TRACES_ENDPOINT:
        yield None
        return
    named = {f"upscaler.{key}": value for key, value in attributes.items()}
    with provider().get_tracer(_NAME).start_as_current_span(name, attributes=named) as made:
        yield made


def note(made: "Span | None", **attributes: Any) -> None:
    """Add facts to a span that `span` gave."""
    if made is not None:
        made.set_attributes({f"upscaler.{name}": value for name, value in attributes.items()})


def traceparent() -> str:
    """Return the W3C traceparent of what this thread does, at most 55 characters; "" outside of traces."""
    if not settings.TRACES_ENDPOINT:
        return ""
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator  # noqa: PLC0415 - as above

    carrier: dict[str, str] = {}
    TraceContextTextMapPropagator().inject(carrier)
    return carrier.get("traceparent", "")


def provider() -> "TracerProvider":
    """Return this process's maker of traces: a forked child has neither its parent's thread nor its connection."""
    return _provider(os.getpid())


@lru_cache(maxsize=1)
def _provider(pid: int) -> "TracerProvider":
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter  # noqa: PLC0415 - as above
    from opentelemetry.sdk.resources import SERVICE_NAME, Resource  # noqa: PLC0415 - as above
    from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415 - as above
    from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: PLC0415 - as above

    resource = Resource.create()
    if str(resource.attributes.get(SERVICE_NAME, "")).startswith("unknown_service"):  # OTEL_SERVICE_NAME is not set
        resource = resource.merge(Resource({SERVICE_NAME: _NAME}))
    resource = resource.merge(Resource({"service.version": settings.UPSCALER_VERSION, "process.pid": pid}))
    made = TracerProvider(resource=resource, shutdown_on_exit=False)  # it might wait long for a collector that hangs
    made.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(endpoint=settings.TRACES_ENDPOINT)))
    _providers[pid] = made
    return made


def flush(seconds: float = FLUSH_SECONDS) -> None:
    """Send what this process still has, and wait so long for it: its end is near."""
    made = _providers.get(os.getpid())
    if made is not None:  # the library's own limit is not kept while a collector hangs
        sending = threading.Thread(target=made.force_flush, daemon=True)
        sending.start()
        sending.join(seconds)


def instrument_web() -> None:
    """Have Django's requests traced, before its handler is made: by the library's middleware, with routes as names."""
    if settings.TRACES_ENDPOINT:
        from opentelemetry.instrumentation.django import DjangoInstrumentor  # noqa: PLC0415 - as above

        DjangoInstrumentor().instrument(tracer_provider=provider(), excluded_urls="api/v1/health,metrics,static/")
