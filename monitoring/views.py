"""The monitoring endpoints. Health asks for no key and knows no rate limit: a probe must never be refused."""

from typing import Any

from django.conf import settings
from drf_spectacular.utils import OpenApiExample, OpenApiResponse, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from jobs.models import Worker
from monitoring import health, stats, system
from monitoring.serializers import (
    HealthSerializer,
    LiveSerializer,
    ReadySerializer,
    StatsSerializer,
    SystemSerializer,
)

TAGS = ["Health & Monitoring"]
NO_STORE = {"Cache-Control": "no-store"}

_GOOD_CHECKS = [
    {"name": "database", "ok": True, "detail": "answers"},
    {"name": "storage", "ok": True, "detail": "writable, 81234 MB free"},
    {"name": "worker", "ok": True, "detail": "1 inference worker alive"},
]
READY_EXAMPLE = {
    "ready": True,
    "checks": [*_GOOD_CHECKS, {"name": "model", "ok": True, "detail": "2 usable models"}],
}
NOT_READY_EXAMPLE = {
    "ready": False,
    "checks": [*_GOOD_CHECKS, {"name": "model", "ok": False, "detail": health.NO_MODEL}],
    "detail": f"Not ready: model: {health.NO_MODEL}",
    "code": "not_ready",
}
SYSTEM_EXAMPLE = {
    "status": "ok",
    "version": "1.0.0",
    "uptime_seconds": 3600.5,
    "cpu_usage_percent": 25.3,
    "memory_usage_percent": 42.1,
    "disk_usage_percent": 15.2,
    "gpu_available": True,
    "gpu_memory_mb": 8192,
    "gpu_memory_used_mb": 2048,
    "execution_providers": ["cuda"],
    "models_dir_size_mb": 268.4,
    "jobs_queue_length": 3,
    "workers": [
        {
            "id": "d4c6e7f0-3f0e-4c43-9d3c-6a0f5b1f7a11",
            "cluster": "gpu",
            "host": "gpu-1",
            "device": "cuda:0",
            "device_name": "NVIDIA L4",
            "device_uuid": "GPU-1c3a0f9e-8f0b-4a57-9d2e-0f5a3c7b6d41",
            "device_note": "",
            "precisions": ["fp32", "bf16", "fp16"],
            "busy": True,
            "loaded_models": ["RealESRGAN_x4plus"],
            "choices": {},
            "started_at": "2025-02-16T09:30:00Z",
            "seen_at": "2025-02-16T10:30:04Z",
            "version": "1.0.0",
        }
    ],
    "devices": [
        {
            "host": "gpu-1",
            "device": "cuda:0",
            "name": "NVIDIA L4",
            "uuid": "GPU-1c3a0f9e-8f0b-4a57-9d2e-0f5a3c7b6d41",
            "memory_mb": 8192,
            "memory_used_mb": 2048,
        }
    ],
}
STATS_EXAMPLE = {
    "total_requests": 1543,
    "successful_requests": 1535,
    "failed_requests": 8,
    "average_processing_time_seconds": 42.5,
    "total_images_processed": 4200,
    "failed_jobs": 3,
    "cancelled_jobs": 1,
    "reused_results": 0,
}


class ProbeView(APIView):
    """The base of all health views: open to everyone, without throttling."""

    authentication_classes = ()
    permission_classes = ()
    throttle_classes = ()
    required_scope: str | None = None
    throttle_scope: str | None = None


class HealthView(ProbeView):
    """GET /api/v1/health."""

    @extend_schema(
        operation_id="health",
        tags=TAGS,
        summary="Health check",
        description="Does the web process answer? Touches neither the database nor the disk.",
        auth=[],
        responses=HealthSerializer,
        examples=[
            OpenApiExample(
                "Healthy",
                {
                    "status": "ok",
                    "version": "1.0.0",
                    "uptime_seconds": 3600.5,
                    "message": "Real-ESRGAN API is running",
                },
                response_only=True,
            )
        ],
    )
    def get(self, _request: Request) -> Response:
        """Answer from this process alone."""
        body = {
            "status": "ok",
            "version": settings.UPSCALER_VERSION,
            "uptime_seconds": health.uptime_seconds(),
            "message": "Real-ESRGAN API is running",
        }
        return Response(body, headers=NO_STORE)


class LiveView(ProbeView):
    """GET /api/v1/health/live."""

    @extend_schema(
        operation_id="health_live",
        tags=TAGS,
        summary="Liveness probe",
        description="Is the web process responsive? Restart it when this fails.",
        auth=[],
        responses=LiveSerializer,
        examples=[OpenApiExample("Alive", {"alive": True}, response_only=True)],
    )
    def get(self, _request: Request) -> Response:
        """Answer from this process alone."""
        return Response({"alive": True}, headers=NO_STORE)


class ReadyView(ProbeView):
    """GET /api/v1/health/ready."""

    @extend_schema(
        operation_id="health_ready",
        tags=TAGS,
        summary="Readiness probe",
        description=(
            "Can a picture be upscaled now? Asks whether the database answers, the storage is writable and has room, "
            "an inference worker has sent its heartbeat, and a model is usable. Asking loads nothing. Each check "
            "says why it is ok or not. The check `broker` is there where a Redis carries messages: without it "
            "work starts late, so its silence is told, and is no reason to be not ready."
        ),
        auth=[],
        responses={
            200: OpenApiResponse(
                ReadySerializer, "Ready", examples=[OpenApiExample("Ready", READY_EXAMPLE, status_codes=["200"])]
            ),
            503: OpenApiResponse(
                ReadySerializer,
                "Not ready",
                examples=[OpenApiExample("Not ready", NOT_READY_EXAMPLE, status_codes=["503"])],
            ),
        },
    )
    def get(self, _request: Request) -> Response:
        """Ask every question; 503 names those that failed."""
        findings = health.readiness()
        missing = [finding for finding in findings if not finding.ok]
        body: dict[str, Any] = {
            "ready": not missing,
            "checks": [{"name": f.name, "ok": f.ok, "detail": f.detail} for f in findings],
        }
        if missing:
            body["detail"] = "Not ready: " + "; ".join(f"{f.name}: {f.detail}" for f in missing)
            body["code"] = "not_ready"
        response = Response(body, status=503 if missing else 200, headers=NO_STORE)
        # Else Django would log an error for every probe while a service starts.
        setattr(response, "_has_been_logged", True)  # noqa: B010 - the name is Django's own
        return response


class SystemView(APIView):
    """GET /api/v1/system."""

    required_scope: str | None = "upscale"
    staff_permission = "monitoring.view_operations"  # the same facts as on that page
    throttle_scope: str | None = "read"

    @extend_schema(
        operation_id="system",
        tags=TAGS,
        summary="System information",
        description=(
            "Resources of the web server's host (CPU, memory, disk), and workers and devices of every host, from their "
            "heartbeats. A megabyte is 1,000,000 bytes."
        ),
        responses=SystemSerializer,
        examples=[OpenApiExample("One GPU", SYSTEM_EXAMPLE, response_only=True)],
    )
    def get(self, _request: Request) -> Response:
        """Report the system."""
        report = system.report()
        workers: list[Worker] = report.pop("workers")
        devices: list[system.Device] = report.pop("devices")
        body = {
            "status": "ok" if any(worker.cluster == "gpu" and worker.device for worker in workers) else "degraded",
            "version": settings.UPSCALER_VERSION,
            "uptime_seconds": health.uptime_seconds(),
            **report,
            "workers": [_worker(worker) for worker in workers],
            "devices": [
                {
                    "host": device.host,
                    "device": device.device,
                    "name": device.name,
                    "uuid": device.uuid,
                    "memory_mb": device.memory_total // system.MEBIBYTE,
                    "memory_used_mb": device.memory_used // system.MEBIBYTE,
                }
                for device in devices
            ],
        }
        return Response(body, headers=NO_STORE)


class StatsView(APIView):
    """GET /api/v1/stats."""

    required_scope: str | None = "upscale"
    staff_permission = "monitoring.view_operations"  # the same facts as on that page
    throttle_scope: str | None = "read"

    @extend_schema(
        operation_id="stats",
        tags=TAGS,
        summary="Statistics",
        description=stats.__doc__,
        responses=StatsSerializer,
        examples=[OpenApiExample("After some weeks", STATS_EXAMPLE, response_only=True)],
    )
    def get(self, _request: Request) -> Response:
        """Report the figures since the service was installed."""
        totals = stats.totals()
        body = {
            "total_requests": totals.requests,
            "successful_requests": totals.successful_requests,
            "failed_requests": totals.failed_requests,
            "average_processing_time_seconds": totals.average_processing_seconds,
            "total_images_processed": totals.completed,
            "failed_jobs": totals.failed,
            "cancelled_jobs": totals.cancelled,
            "reused_results": totals.reused,
        }
        return Response(body, headers=NO_STORE)


def _worker(worker: Worker) -> dict[str, Any]:
    """Return what helps a reader of a worker's row: no process id, no path, and no id of somebody else's job."""
    return {
        "id": str(worker.pk),
        "cluster": worker.cluster,
        "host": worker.host,
        "device": worker.device,
        "device_name": worker.device_name,
        "device_uuid": worker.device_uuid,
        "device_note": worker.device_note,
        "precisions": worker.precisions,
        "busy": worker.current_job is not None,
        "loaded_models": list(worker.loaded_models),
        "choices": worker.choices or {},
        "started_at": worker.started_at,
        "seen_at": worker.seen_at,
        "version": worker.version,
    }
