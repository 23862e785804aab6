"""Traces over the whole service, to a collector of these tests: one that takes them, one that hangs, and none."""

import gzip
import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)

from tests.api.conftest import picture
from tests.eventually import eventually
from tests.service import REPOSITORY, StartService
from tests.tiny_models import TINY_MODEL, write_tiny_weights

pytestmark = pytest.mark.processes

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
CALLER = f"00-{TRACE}-00f067aa0ba902b7-01"


class Collector(ThreadingHTTPServer):
    """Takes spans by OTLP over HTTP; or takes the connection, and never answers."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.spans: list[tuple[str, Any]] = []  # (service's name, span)
        self.silent = False
        self.asked, self.closing = threading.Event(), threading.Event()

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def of_trace(self, trace: str) -> dict[str, Any]:
        return {span.name: span for _, span in self.spans if span.trace_id.hex() == trace}


class _Handler(BaseHTTPRequestHandler):
    server: Collector

    def do_POST(self) -> None:
        self.server.asked.set()
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.server.silent:
            self.server.closing.wait(240)
            return
        if self.headers.get("Content-Encoding") == "gzip":
            body = gzip.decompress(body)
        for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
            names = {pair.key: pair.value.string_value for pair in resource.resource.attributes}
            for scope in resource.scope_spans:
                self.server.spans += [(names["service.name"], span) for span in scope.spans]
        self.send_response(200)
        self.send_header("Content-Type", "application/x-protobuf")
        self.end_headers()
        self.wfile.write(ExportTraceServiceResponse().SerializeToString())

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def collector() -> Iterator[Collector]:
    with Collector() as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.closing.set()
        server.shutdown()
        thread.join(240)


def facts(span: Any) -> dict[str, Any]:
    return {pair.key: getattr(pair.value, pair.value.WhichOneof("value")) for pair in span.attributes}


def test_a_picture_is_one_trace_from_the_request_to_its_store(
    start_service: StartService, collector: Collector, tmp_path: Path
) -> None:
    service = start_service(
        OTEL_EXPORTER_OTLP_ENDPOINT=collector.address, OTEL_BSP_SCHEDULE_DELAY="200", LOG_FORMAT="json"
    )
    service.import_model(write_tiny_weights(tmp_path / "tiny.safetensors"), TINY_MODEL)
    with service.client() as client:
        headers = {"traceparent": CALLER, "X-Request-ID": "ours-1"}
        sent = client.post(
            "/api/v1/jobs", files={"image": picture()}, data={"model": TINY_MODEL}, headers=headers
        ).raise_for_status()
        job_id = sent.json()["job_id"]
        eventually(lambda: "preview" in collector.of_trace(TRACE), say="the spans of the job")
        eventually(lambda: "job" in collector.of_trace(TRACE))
        health = client.get("/api/v1/health/live", headers={"traceparent": CALLER.replace(TRACE, "b" * 32)})
        assert health.status_code == 200
    spans = collector.of_trace(TRACE)
    request = spans.pop("POST api/v1/jobs")
    assert request.parent_span_id.hex() == "00f067aa0ba902b7"
    job, wait = spans.pop("job"), spans.pop("wait in the queue")
    assert {job.parent_span_id, wait.parent_span_id} == {request.span_id}
    assert set(spans) == {"weights", "decode", "infer", "encode", "store", "preview"}
    assert {span.parent_span_id for span in spans.values()} == {job.span_id}
    assert facts(job)["upscaler.job"] == job_id
    assert facts(job)["upscaler.outcome"] == "completed"
    assert facts(job)["upscaler.request"] == "ours-1"
    assert (facts(spans["infer"])["upscaler.device"], facts(spans["infer"])["upscaler.tiles"]) == ("cpu", 1)
    assert wait.end_time_unix_nano >= wait.start_time_unix_nano
    assert {name for name, _ in collector.spans} == {"upscaler"}
    assert not collector.of_trace("b" * 32), "probes are no traces"
    lines = [json.loads(line) for line in service.output().splitlines() if line.startswith("{")]
    ours = {line["event"] for line in lines if line.get("trace") == TRACE}
    assert {"job accepted", "job claimed", "job completed"} <= ours


def test_a_collector_that_hangs_costs_nobody_anything(
    start_service: StartService, collector: Collector, tmp_path: Path
) -> None:
    collector.silent = True
    service = start_service(OTEL_EXPORTER_OTLP_ENDPOINT=collector.address, OTEL_BSP_SCHEDULE_DELAY="200")
    service.import_model(write_tiny_weights(tmp_path / "tiny.safetensors"), TINY_MODEL)
    with service.client() as client:
        for _ in range(3):
            answer = client.post("/api/v1/upscale", files={"image": picture()}, data={"model": TINY_MODEL})
            assert answer.status_code == 200, answer.text
    assert collector.asked.wait(240)
    assert service.stop() == 0


def test_without_a_collector_nothing_of_it_is_loaded(start_service: StartService, tmp_path: Path) -> None:
    service = start_service()
    program = "import sys, upscaler_site.wsgi; print([m for m in sys.modules if m.startswith('opentelemetry')])"
    environment = service.environment | {"DATABASE_URL": "postgresql:///nowhere"}
    done = subprocess.run([sys.executable, "-c", program], env=environment, cwd=REPOSITORY, capture_output=True,
                          text=True, check=True)  # fmt: skip
    assert done.stdout.strip() == "[]"
    with service.client() as client:
        sent = client.post("/api/v1/jobs", files={"image": picture()}, data={"model": "bundled-compact-x4"},
                           headers={"traceparent": CALLER})  # fmt: skip
        assert sent.status_code == 202
    assert "trace=" not in service.output()
