"""/metrics for Prometheus. Every number comes from the database (and NVML), so any web process tells the same truth.

Scrape one address of the service, not every web process: each would tell the whole service's counters again.
deploy/ holds a dashboard and alert rules for these names; a test compares them.
"""

import hmac
import ipaddress
import logging
import shutil
from collections.abc import Iterable, Iterator
from itertools import accumulate
from pathlib import Path

from django.conf import settings
from django.db import DatabaseError, InterfaceError
from django.db.models import Count, Sum
from django.http import HttpRequest, HttpResponse, HttpResponseForbidden
from django.views.decorators.http import require_safe
from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

from jobs import deadlines
from jobs.auth.client_ip import client_address
from jobs.errors import one_line
from jobs.models import Job, UsageEntry, UsageTotal, Worker
from jobs.queue import pauses
from jobs.states import Priority, Status
from modelstore.models import Model
from monitoring import health, ledger, requests
from monitoring.buckets import BUCKETS, empty
from monitoring.gpus import gpus
from monitoring.models import ALL_TIME, JobFigure, RequestFigure, SpanFigure
from monitoring.queue import depth_by_priority, oldest_wait_seconds
from monitoring.system import devices

log = logging.getLogger(__name__)

#: Seconds. A scraper gives up after some; the answer "the database does not answer" must come before that.
DATABASE_SECONDS = 3.0
#: Notes of the usage ledger that a scrape moves into the sums that it tells; the rest is next time's.
MOST_NOTES = 20_000
NO_DATABASE = b"database: it does not answer; only this host's own numbers follow"

#: The /64 around ::1; nothing in it can be reached from outside.
LOOPBACK_6 = ipaddress.ip_network("::/64")


@require_safe
def metrics_view(request: HttpRequest) -> HttpResponse:
    """Answer in the text format or OpenMetrics, as the scraper accepts."""
    if not allowed(request):
        return HttpResponseForbidden("metrics: access denied; see METRICS_ACCESS and METRICS_TOKEN\n", "text/plain")
    registry = CollectorRegistry(auto_describe=False)
    collector = ServiceCollector()
    registry.register(collector)
    encode, content_type = choose_encoder(request.headers.get("Accept", ""))
    headers = {"Cache-Control": "no-store"}
    content = encode(registry)
    if collector.database_up:
        return HttpResponse(content, content_type=content_type, headers=headers)
    # The reason first: a scraper keeps the status and the first line; a person also sees the host's own numbers.
    response = HttpResponse(b"# " + NO_DATABASE + b"\n" + content, "text/plain; charset=utf-8", 503, headers=headers)
    setattr(response, "_has_been_logged", True)  # noqa: B010 - Django's own name: it would log an error at every scrape
    return response


def allowed(request: HttpRequest) -> bool:
    """Apply METRICS_TOKEN, which decides alone where it is set, and else METRICS_ACCESS."""
    if settings.METRICS_TOKEN:
        given = request.headers.get("Authorization", "")
        return hmac.compare_digest(given.encode(), f"Bearer {settings.METRICS_TOKEN}".encode())
    if settings.METRICS_ACCESS != "private":
        return bool(settings.METRICS_ACCESS == "open")
    # Behind a proxy that is not configured every visitor has the proxy's private address, which proves nothing.
    if not settings.TRUSTED_PROXIES and ("X-Forwarded-For" in request.headers or "Forwarded" in request.headers):
        return False
    address = client_address(request)
    if not address:
        return False
    network = ipaddress.ip_network(address)  # an IPv6 caller's /64
    return network.is_private or network == LOOPBACK_6


class ServiceCollector(Collector):
    """Asks for everything at the moment of the scrape; then ``database_up`` tells whether the database answered."""

    def __init__(self) -> None:
        self.database_up = False

    def collect(self) -> Iterator[Metric]:
        """Yield the host's metrics, and the database's where it answers (``upscaler_database_up`` tells)."""
        info = GaugeMetricFamily("upscaler_info", "Always 1; the version is a label", labels=["version"])
        info.add_metric([settings.UPSCALER_VERSION], 1)
        yield info
        yield from _disk()
        yield from _stores()
        yield from _gpu_load()
        families = self._from_database()
        self.database_up = bool(families)
        yield GaugeMetricFamily("upscaler_database_up", "1 when the database answers", value=1 if families else 0)
        yield from families

    def _from_database(self) -> list[Metric]:
        """Yield the metrics that need the database, or none where it does not answer in time."""
        try:
            with deadlines.within(DATABASE_SECONDS):
                requests.counter.flush()
                ledger.fold()
                UsageEntry.objects.fold(at_most=MOST_NOTES)
                return [*_queue(), *_workers(), *_jobs(), *_spans(), *_usage(), *_http(), *_models()]
        except (DatabaseError, InterfaceError) as error:
            log.warning("metrics without the database: %s", one_line(error))
            return []


def _disk() -> Iterator[Metric]:
    directory = Path(settings.MEDIA_ROOT)
    if not directory.exists():
        return
    usage = shutil.disk_usage(directory)
    yield GaugeMetricFamily("upscaler_disk_size_bytes", "Size of the disk that holds the pictures", value=usage.total)
    yield GaugeMetricFamily("upscaler_disk_free_bytes", "Free bytes of that disk", value=usage.free)


def _stores() -> Iterator[Metric]:
    """Yield what readiness finds of the servers beside the database; the broker's only where there is one."""
    yield GaugeMetricFamily(
        "upscaler_storage_up",
        "1 when pictures can be stored: their directory or bucket answers, and uploads have room",
        value=int(health.storage().ok),
    )
    for finding in health.broker():
        yield GaugeMetricFamily("upscaler_broker_up", "1 when BROKER_URL answers", value=int(not finding.warning))


def _gpu_load() -> Iterator[Metric]:
    load = GaugeMetricFamily(
        "upscaler_gpu_utilization_ratio", "Load of this host's GPUs, 0 to 1", labels=["gpu", "name"]
    )
    for gpu in gpus():
        if gpu.utilization_percent is not None:
            load.add_metric([str(gpu.index), gpu.name], gpu.utilization_percent / 100)
    yield load


def _queue() -> Iterator[Metric]:
    waiting = GaugeMetricFamily("upscaler_queue_jobs", "Jobs that wait for a worker", labels=["priority"])
    counts = depth_by_priority()
    for priority in Priority:
        waiting.add_metric([priority.name.lower()], counts.get(priority.value, 0))
    yield waiting
    paused = GaugeMetricFamily(
        "upscaler_queue_paused", "1 while the workers of that kind take nothing up", labels=["cluster"]
    )
    on = pauses.on()
    for cluster in pauses.KINDS:
        paused.add_metric([cluster], int(cluster in on))
    yield paused
    yield GaugeMetricFamily(
        "upscaler_queue_oldest_seconds", "How long the job that waits longest has waited", value=oldest_wait_seconds()
    )
    yield GaugeMetricFamily(
        "upscaler_jobs_processing",
        "Jobs that workers hold",
        value=Job.objects.filter(status=Status.PROCESSING).count(),
    )


def _workers() -> Iterator[Metric]:
    workers = list(Worker.objects.alive())
    alive = GaugeMetricFamily("upscaler_workers", "Workers with a fresh heartbeat", labels=["cluster", "host"])
    busy = GaugeMetricFamily("upscaler_workers_busy", "Of these, those that hold a job", labels=["cluster", "host"])
    for cluster, host in sorted({(w.cluster, w.host) for w in workers} | {("gpu", ""), ("io", "")}):
        here = [w for w in workers if (w.cluster, w.host) == (cluster, host)]
        if here or not any(w.cluster == cluster for w in workers):  # a cluster without workers is a 0, not a gap
            alive.add_metric([cluster, host], len(here))
            busy.add_metric([cluster, host], sum(1 for w in here if w.current_job))
    yield alive
    yield busy
    labels = ["host", "device", "name", "uuid"]
    size = GaugeMetricFamily("upscaler_device_memory_size_bytes", "Memory of devices that workers use", labels=labels)
    used = GaugeMetricFamily("upscaler_device_memory_used_bytes", "Used memory of these devices", labels=labels)
    for device in devices(workers):
        size.add_metric([device.host, device.device, device.name, device.uuid], device.memory_total)
        used.add_metric([device.host, device.device, device.name, device.uuid], device.memory_used)
    yield size
    yield used


def _jobs() -> Iterator[Metric]:
    figures = JobFigure.objects.filter(hour=ALL_TIME)
    ended = CounterMetricFamily("upscaler_jobs", "Jobs that ended", labels=["model", "status"])
    for row in figures.values("model", "status").annotate(n=Sum("jobs")).order_by("model", "status"):
        ended.add_metric([row["model"], row["status"]], row["n"])
    yield ended
    failures = CounterMetricFamily("upscaler_job_failures", "Failed jobs by reason", labels=["reason"])
    failed = figures.filter(status=Status.FAILED)
    for reason in failed.values("error_code").annotate(n=Sum("jobs")).order_by("error_code"):
        failures.add_metric([reason["error_code"] or "unknown"], reason["n"])
    yield failures
    tiles = CounterMetricFamily("upscaler_tiles", "Tiles that were computed", labels=["model"])
    pixels = CounterMetricFamily("upscaler_input_pixels", "Input pixels of jobs that ran", labels=["model"])
    for work in figures.values("model").annotate(t=Sum("tiles"), p=Sum("input_pixels")).order_by("model"):
        tiles.add_metric([work["model"]], work["t"])
        pixels.add_metric([work["model"]], work["p"])
    yield tiles
    yield pixels
    reused = figures.aggregate(n=Sum("reused", default=0))["n"]
    yield CounterMetricFamily("upscaler_reused_results", "Jobs answered from an equal earlier job", value=reused)


def _spans() -> Iterator[Metric]:
    spans = HistogramMetricFamily(
        "upscaler_job_span_seconds", "Where completed jobs spent their time", labels=["model", "span"]
    )
    for figure in SpanFigure.objects.filter(hour=ALL_TIME).order_by("model", "span"):
        spans.add_metric([figure.model, figure.span], _cumulative(figure.buckets), figure.seconds)
    yield spans


#: Counter of UsageTotal → name and meaning; those in milliseconds are told in seconds.
_USAGE = {
    "device_ms": ("upscaler_usage_device_seconds", "Seconds for which devices worked on jobs"),
    "input_pixels": ("upscaler_usage_input_pixels", "Input pixels of completed jobs"),
    "output_pixels": ("upscaler_usage_output_pixels", "Output pixels of completed jobs"),
    "input_bytes": ("upscaler_usage_input_bytes", "Bytes of completed jobs' inputs"),
    "result_bytes": ("upscaler_usage_result_bytes", "Bytes of completed jobs' results"),
}


def _usage() -> Iterator[Metric]:
    """Yield the usage ledger's sums of all time. Keys are no label: there may be thousands."""
    totals = list(UsageTotal.objects.order_by("model", "device"))
    ended = CounterMetricFamily("upscaler_usage_jobs", "Jobs that ended", labels=["model", "device", "status"])
    for total in totals:
        for status in ("completed", "failed", "cancelled"):
            ended.add_metric([total.model, total.device, status], getattr(total, status))
    yield ended
    for name, (metric, meaning) in _USAGE.items():
        counter = CounterMetricFamily(metric, meaning, labels=["model", "device"])
        for total in totals:
            value = getattr(total, name)
            counter.add_metric([total.model, total.device], value / 1000 if name == "device_ms" else value)
        yield counter


def _http() -> Iterator[Metric]:
    total = CounterMetricFamily("upscaler_http_requests", "HTTP requests", labels=["method", "route", "status"])
    sums: dict[tuple[str, str], tuple[float, list[int]]] = {}
    for figure in RequestFigure.objects.filter(hour=ALL_TIME).order_by("method", "route", "status"):
        total.add_metric([figure.method, figure.route, str(figure.status)], figure.count)
        seconds, buckets = sums.get((figure.method, figure.route), (0.0, empty()))
        summed = [a + b for a, b in zip(buckets, figure.buckets, strict=True)]
        sums[figure.method, figure.route] = (seconds + figure.seconds, summed)
    yield total
    duration = HistogramMetricFamily(
        "upscaler_http_request_seconds", "Time until the answer's first byte was ready", labels=["method", "route"]
    )
    for key, (seconds, buckets) in sums.items():
        duration.add_metric(list(key), _cumulative(buckets), seconds)
    yield duration


def _models() -> Iterator[Metric]:
    models = GaugeMetricFamily("upscaler_models", "Known models by the state of their weights", labels=["state"])
    for row in Model.objects.order_by().values("state").annotate(n=Count("pk")).order_by("state"):
        models.add_metric([row["state"]], row["n"])
    yield models


def _cumulative(buckets: Iterable[int]) -> list[tuple[str, float]]:
    """Turn counts per bucket into Prometheus's form: how many were at most as long as each bound."""
    bounds = [*(str(bound) for bound in BUCKETS), "+Inf"]
    return [(bound, float(n)) for bound, n in zip(bounds, accumulate(buckets), strict=True)]
