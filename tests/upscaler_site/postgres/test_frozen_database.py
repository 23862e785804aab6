"""A frozen Postgres (a suspended container, a disk that hangs) stops nobody for longer than his bound."""

import io
from pathlib import Path

import httpx
import pytest
from PIL import Image

from tests.eventually import eventually
from tests.frozen import frozen
from tests.service import SLOW_SIDE, Service, StartService
from tests.tiny_models import TINY_MODEL, write_tiny_weights

pytestmark = pytest.mark.processes

#: Whoever waits for longer hangs. The bounds themselves are 2.5 to 5 s; the machine that runs the tests may be busy.
PATIENCE = 240


@pytest.fixture
def impatient_service(start_service: StartService, tiny_weights: Path, tmp_path: Path) -> Service:
    service = start_service(DATABASE_TIMEOUT_SECONDS="3", JOB_LEASE_SECONDS="5", SWEEP_SECONDS="1", LOG_LEVEL="INFO")
    service.import_model(tiny_weights, TINY_MODEL)
    service.import_model(write_tiny_weights(tmp_path / "slow.safetensors", features=64, convolutions=32), "slow-x2")
    return service


def png(width: int, height: int) -> bytes:
    file = io.BytesIO()
    Image.effect_noise((width, height), 50).save(file, "PNG")
    return file.getvalue()


def submit(client: httpx.Client, width: int = 24, height: int = 16, **options: str) -> httpx.Response:
    return client.post(
        "/api/v1/jobs",
        files={"image": ("cat.png", png(width, height), "image/png")},
        data={"model": TINY_MODEL, **options},
    )


def is_ready(client: httpx.Client) -> bool:
    return client.get("/api/v1/health/ready").status_code == 200


def test_everybody_is_answered_while_it_is_frozen_and_all_goes_on_afterwards(impatient_service: Service) -> None:
    service = impatient_service
    with httpx.Client(base_url=service.base_url, timeout=PATIENCE) as client:
        eventually(lambda: is_ready(client), seconds=120)
        # No processor is done with it before the freeze; afterwards it is cancelled.
        large = (
            submit(client, SLOW_SIDE, SLOW_SIDE, model="slow-x2", tile_size="64").raise_for_status().json()["job_id"]
        )
        eventually(lambda: client.get(f"/api/v1/jobs/{large}").json()["status"] == "processing")
        accepted = [submit(client).raise_for_status().json()["job_id"] for _ in range(3)]
        with frozen(service.data_dir):
            assert client.get("/api/v1/health/live").status_code == 200
            ready = client.get("/api/v1/health/ready")
            assert ready.status_code == 503
            assert "database: the database does not answer" in ready.json()["detail"]
            metrics = client.get("/metrics")
            assert metrics.status_code == 503
            assert metrics.text.startswith("# database: it does not answer")
            refused = submit(client)
            assert (refused.status_code, refused.json()["code"]) == (503, "database_unavailable")
            assert "Retry-After" in refused.headers
            page = client.get("/admin/", headers={"Cookie": "sessionid=abcdefghijklmnopqrstuvwxyz012345"})
            assert (page.status_code, page.headers["Retry-After"]) == (503, "5")
            # The worker tells of each silence, 5 s apart: after the second one its lease of 5 s is over.
            eventually(
                lambda: service.output().count("worker not heard worker=gpu") >= 2,
                seconds=PATIENCE,
                say="two silences of the worker in the log",
            )
            assert client.get("/api/v1/health/live").status_code == 200
        eventually(lambda: is_ready(client), seconds=PATIENCE, say="readiness after the thaw")
        accepted.append(submit(client).raise_for_status().json()["job_id"])
        assert client.get(f"/api/v1/jobs/{large}").json()["status"] in ("processing", "queued")
        client.post(f"/api/v1/jobs/{large}/cancel").raise_for_status()
        for job in accepted:
            eventually(
                lambda job=job: client.get(f"/api/v1/jobs/{job}").json()["status"] == "completed",  # type: ignore[misc]
                seconds=240,
                say=f"the end of {job}",
            )
        eventually(lambda: client.get(f"/api/v1/jobs/{large}").json()["status"] == "cancelled")
        assert client.get("/api/v1/jobs").json()["total"] == len(accepted) + 1
    completed = [line for line in service.output().splitlines() if " job completed job=" in line]
    assert len(completed) == len(accepted)
    assert "to be started anew" not in service.output()
