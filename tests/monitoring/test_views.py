"""GET /stats and /system: the guide's fields with their types, and figures that are true."""

from pathlib import Path
from typing import Any

import pytest
from django.test import Client
from pytest_django.fixtures import Settings

from monitoring.requests import counter
from tests.jobs import made
from tests.jobs.conftest import write_model

pytestmark = pytest.mark.django_db(transaction=True)

STATS = {
    "total_requests": int,
    "successful_requests": int,
    "failed_requests": int,
    "average_processing_time_seconds": float,
    "total_images_processed": int,
}
SYSTEM = {
    "status": str,
    "version": str,
    "uptime_seconds": float,
    "cpu_usage_percent": float,
    "memory_usage_percent": float,
    "disk_usage_percent": float,
    "gpu_available": bool,
    "gpu_memory_mb": int,
    "gpu_memory_used_mb": int,
    "execution_providers": list,
    "models_dir_size_mb": float,
    "jobs_queue_length": int,
}


def stats_of(client: Client) -> dict[str, Any]:
    answer = client.get("/api/v1/stats")
    assert answer.status_code == 200
    body: dict[str, Any] = answer.json()
    return body


def test_a_new_service_answers_with_zeros(client: Client) -> None:
    body = stats_of(client)
    assert {name: type(body[name]) for name in STATS} == STATS
    assert set(body.values()) == {0}


def test_requests_are_counted_by_success_and_probes_are_not(client: Client) -> None:
    client.get("/api/v1/jobs")
    client.get("/api/v1/models")
    client.get("/api/v1/jobs/unknown")
    client.post("/api/v1/upscale")
    for path in ("health", "health/live", "health/ready", "system", "stats"):
        client.get(f"/api/v1/{path}")
    client.get("/metrics")
    body = stats_of(client)
    assert (body["total_requests"], body["successful_requests"], body["failed_requests"]) == (4, 2, 2)


def test_the_counts_of_this_process_are_never_behind(client: Client) -> None:
    for expected in range(1, 4):
        client.get("/api/v1/jobs")
        assert stats_of(client)["total_requests"] == expected


def test_the_average_is_over_completed_jobs_only(client: Client) -> None:
    from jobs.models import Job

    made.completed()
    made.failed()
    made.cancelled()
    done = Job.objects.get(status="completed")
    body = stats_of(client)
    assert body["total_images_processed"] == 1
    assert (body["failed_jobs"], body["cancelled_jobs"]) == (1, 1)
    assert done.processing_seconds is not None
    assert body["average_processing_time_seconds"] == pytest.approx(done.processing_seconds, abs=0.001)


def test_stats_ask_the_database_a_constant_number_of_questions(
    client: Client, django_assert_max_num_queries: Any
) -> None:
    for _ in range(20):
        made.completed()
    stats_of(client)
    counter.flush()
    with django_assert_max_num_queries(10):
        stats_of(client)


def test_system_has_every_field_of_the_guide(client: Client, data_dir: Path) -> None:
    body = client.get("/api/v1/system").json()
    assert {name: type(body[name]) for name in SYSTEM} == SYSTEM
    for name in ("cpu_usage_percent", "memory_usage_percent", "disk_usage_percent"):
        assert 0 <= body[name] <= 100
    assert body["status"] == "degraded"


def test_system_tells_of_live_workers_of_every_host_and_forgets_silent_ones(
    client: Client, data_dir: Path, tiny_weights: Path
) -> None:
    gpu: dict[str, Any] = {
        "device": "cuda:0",
        "device_name": "L4",
        "memory_total": 8192 * 2**20,
        "memory_used": 2048 * 2**20,
    }
    made.worker(host="a", **gpu)
    made.worker(host="a", pid=2, **gpu)
    made.worker(host="b", choices={"tiny-x2": "winograd fp32"}, **gpu)
    made.worker("io", host="a")
    made.worker(host="gone", silent_seconds=3600, device="cuda:7")
    for _ in range(3):
        made.queued()
    row = write_model(data_dir, tiny_weights)
    (data_dir / "models" / "unknown.pth").write_bytes(b"x" * 2**20)
    with (data_dir / "models" / row.file_name).open("ab") as file:
        file.truncate(3 * 2**19)
    body = client.get("/api/v1/system").json()
    assert body["status"] == "ok"
    assert body["execution_providers"] == ["cuda"]
    assert (body["gpu_available"], body["gpu_memory_mb"], body["gpu_memory_used_mb"]) == (True, 16384, 4096)
    assert len(body["workers"]) == 4
    assert [worker["choices"] for worker in body["workers"] if worker["host"] == "b"] == [{"tiny-x2": "winograd fp32"}]
    assert [worker["choices"] for worker in body["workers"] if worker["host"] == "a"] == [{}, {}, {}]
    assert [(device["host"], device["device"]) for device in body["devices"]] == [("a", "cuda:0"), ("b", "cuda:0")]
    assert body["jobs_queue_length"] == 3
    assert body["models_dir_size_mb"] == 1.5
    assert body["models_dir_size_mb"] == client.get("/api/v1/models-info").json()["total_size_mb"]


def test_cards_of_workers_that_were_given_one_each_are_as_many_devices(client: Client, data_dir: Path) -> None:
    """Each process sees its own card alone, and calls it cuda:0; two processes may share one."""
    for number in (0, 1, 2, 3, 3):
        uuid = f"GPU-{number}"
        made.worker(host="a", device="cuda:0", device_name="L4", device_uuid=uuid, memory_total=8192 * 2**20)
    made.worker(host="b", device="cpu", device_note="computes on the CPU, though there is a graphics card: too old")
    body = client.get("/api/v1/system").json()
    found = [(device["host"], device["device"], device["uuid"]) for device in body["devices"]]
    assert found == [*(("a", "cuda:0", f"GPU-{number}") for number in range(4)), ("b", "cpu", "")]
    assert body["gpu_memory_mb"] == 4 * 8192
    assert "too old" in body["workers"][-1]["device_note"]
    metrics = client.get("/metrics").content.decode()
    assert metrics.count("upscaler_device_memory_size_bytes{") == 5


def test_system_names_no_job(client: Client, data_dir: Path) -> None:
    job = made.queued()
    made.worker(current_job=job.pk)
    answer = client.get("/api/v1/system")
    assert answer.json()["workers"][0]["busy"] is True
    assert str(job.pk) not in answer.content.decode()


def test_the_first_cpu_figure_is_a_real_one() -> None:
    from monitoring.system import CpuMeter

    meter = CpuMeter()
    first = meter.percent()
    assert 0 <= first <= 100
    assert meter.percent() == first  # too soon for another: the last one is told again


def test_figures_need_a_key_where_keys_are_required_and_health_never_does(client: Client, settings: Settings) -> None:
    settings.REQUIRE_API_KEY = True
    assert client.get("/api/v1/stats").status_code == 401
    assert client.get("/api/v1/system").status_code == 401
    assert client.get("/api/v1/health").status_code == 200
    assert client.get("/api/v1/health/live").status_code == 200
    assert client.get("/api/v1/health/ready").status_code == 503
    assert client.get("/api/v1/health", headers={"Authorization": "Bearer ups_bad_key"}).status_code == 200
