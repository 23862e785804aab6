"""Health: live asks the process, ready asks everything that a picture needs, and says what is missing."""

from pathlib import Path
from typing import Any

import pytest
from django.db import OperationalError, connection
from django.test import Client
from pytest_django.fixtures import Settings

from modelstore.models import Model
from monitoring import health
from tests.eventually import eventually
from tests.jobs import made
from tests.jobs.conftest import write_model
from tests.redis_server import RedisServer
from upscaler_site.conf.broker import broker_from


def ready(client: Client) -> tuple[int, dict[str, Any], dict[str, tuple[bool, str]]]:
    answer = client.get("/api/v1/health/ready")
    assert answer["Cache-Control"] == "no-store"
    body = answer.json()
    return answer.status_code, body, {check["name"]: (check["ok"], check["detail"]) for check in body["checks"]}


def test_health_and_liveness_ask_neither_database_nor_disk(client: Client) -> None:
    # Without the mark django_db every question to the database would fail this test.
    body = client.get("/api/v1/health").json()
    assert body["status"] == "ok"
    assert body["message"] == "Real-ESRGAN API is running"
    assert type(body["uptime_seconds"]) is float
    assert body["version"]
    assert client.get("/api/v1/health/live").json() == {"alive": True}


@pytest.mark.django_db
@pytest.mark.parametrize("path", ["health", "health/live", "health/ready", "system", "stats"])
def test_no_address_has_a_trailing_slash(client: Client, path: str) -> None:
    assert client.get(f"/api/v1/{path}/").status_code == 404


@pytest.mark.django_db(transaction=True)
def test_a_whole_service_is_ready(client: Client, data_dir: Path, tiny_weights: Path) -> None:
    Model.objects.all().delete()
    write_model(data_dir, tiny_weights)
    made.worker()
    status, body, checks = ready(client)
    assert (status, body["ready"]) == (200, True)
    assert all(ok for ok, _ in checks.values())
    assert checks["model"] == (True, "1 usable model")
    assert "detail" not in body


@pytest.mark.django_db(transaction=True)
def test_a_model_whose_file_is_gone_does_not_count(client: Client, data_dir: Path, tiny_weights: Path) -> None:
    Model.objects.all().delete()
    write_model(data_dir, tiny_weights)
    made.worker()
    for path in (data_dir / "models").iterdir():
        path.unlink()
    status, _, checks = ready(client)
    assert (status, checks["model"][0]) == (503, False)


@pytest.mark.django_db
def test_each_missing_piece_is_named(client: Client, data_dir: Path) -> None:
    Model.objects.all().delete()
    made.worker("io")
    made.worker("gpu", silent_seconds=3600)
    status, body, checks = ready(client)
    assert (status, body["ready"], body["code"]) == (503, False, "not_ready")
    assert checks["database"][0]
    assert checks["storage"][0]
    assert not checks["worker"][0]
    assert "the last was seen at" in checks["worker"][1]
    assert not checks["model"][0]
    assert "/api/v1/models/download" in checks["model"][1]
    assert checks["worker"][1] in body["detail"]
    assert checks["model"][1] in body["detail"]


@pytest.mark.django_db
def test_a_service_without_any_worker_says_what_to_start(client: Client, data_dir: Path) -> None:
    assert "start the cluster gpu" in ready(client)[2]["worker"][1]


@pytest.mark.django_db
def test_storage_that_cannot_be_written_is_not_ready(client: Client, data_dir: Path, settings: Settings) -> None:
    blocked = data_dir / "a-file"
    blocked.write_text("no directory")
    settings.MEDIA_ROOT = blocked / "files"
    ok, detail = ready(client)[2]["storage"]
    assert not ok
    assert detail.startswith("cannot write: ")
    assert str(data_dir) not in detail


@pytest.mark.django_db
def test_a_full_disk_is_not_ready(client: Client, data_dir: Path, settings: Settings) -> None:
    settings.MIN_FREE_DISK_MB = 10**12
    ok, detail = ready(client)[2]["storage"]
    assert not ok
    assert "uploads must leave" in detail


@pytest.mark.django_db
def test_asking_leaves_no_file(client: Client, data_dir: Path) -> None:
    ready(client)
    assert [path for path in (data_dir / "files").rglob("*") if path.is_file()] == []


@pytest.mark.django_db
def test_a_database_that_does_not_answer_is_a_503_and_not_a_500(client: Client, data_dir: Path) -> None:
    def away(*_: object) -> None:
        raise OperationalError("server closed the connection to host=secret-host")

    with connection.execute_wrapper(away):
        status, body, checks = ready(client)
    assert status == 503
    assert not checks["database"][0]
    assert checks["worker"] == checks["model"] == (False, "unknown: the database does not answer")
    assert "secret-host" not in str(body)


@pytest.mark.django_db
def test_probes_of_a_service_that_starts_do_not_fill_the_log(
    client: Client, data_dir: Path, caplog: pytest.LogCaptureFixture
) -> None:
    assert ready(client)[0] == 503
    assert [record.getMessage() for record in caplog.records if record.name == "django.request"] == []


@pytest.fixture
def fresh_log(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    """The log of a process that was not asked yet."""
    health._failing.clear()
    caplog.set_level("DEBUG", "monitoring.health")
    return caplog


def loud(log: pytest.LogCaptureFixture) -> list[str]:
    """What an operator sees since the last call: everything above DEBUG, whoever says it."""
    said = [f"{record.levelname} {record.getMessage()}" for record in log.records if record.levelname != "DEBUG"]
    log.clear()
    return said


@pytest.mark.django_db
def test_a_probe_that_goes_on_failing_is_told_once_and_its_recovery_once(
    client: Client, data_dir: Path, settings: Settings, fresh_log: pytest.LogCaptureFixture
) -> None:
    made.worker()
    settings.MIN_FREE_DISK_MB = 10**12
    assert ready(client)[0] == 503
    assert [line.rsplit(" reason=")[0] for line in loud(fresh_log)] == ["WARNING not ready check=storage"]
    assert ready(client)[0] == ready(client)[0] == 503
    assert loud(fresh_log) == []
    settings.MIN_FREE_DISK_MB = 0
    assert ready(client)[0] == ready(client)[0] == 200
    assert [line.rsplit(" reason=")[0] for line in loud(fresh_log)] == ["INFO ready again check=storage"]


@pytest.mark.django_db
def test_a_worker_that_is_still_starting_is_no_warning_and_one_that_left_is(
    client: Client, data_dir: Path, fresh_log: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(health, "_succeeded", set())
    monkeypatch.setattr(health, "uptime_seconds", lambda: 2.0)
    assert ready(client)[0] == 503
    assert loud(fresh_log) == []
    worker = made.worker()
    ready(client)
    worker.delete()
    ready(client)
    assert [line.rsplit(" reason=")[0] for line in loud(fresh_log)] == ["WARNING not ready check=worker"]


@pytest.mark.django_db
def test_a_worker_that_never_comes_is_told_once_the_start_is_over(
    client: Client, data_dir: Path, fresh_log: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(health, "_succeeded", set())
    for seconds in (2.0, health.STARTING_SECONDS + 1, health.STARTING_SECONDS + 2):
        monkeypatch.setattr(health, "uptime_seconds", lambda seconds=seconds: seconds)
        ready(client)
    assert [line.rsplit(" reason=")[0] for line in loud(fresh_log)] == ["WARNING not ready check=worker"]


@pytest.mark.django_db
def test_a_database_that_stays_away_is_told_once_with_its_own_words(
    client: Client, data_dir: Path, fresh_log: pytest.LogCaptureFixture
) -> None:
    def away(*_: object) -> None:
        raise OperationalError("server closed the connection to host=secret-host")

    made.worker()
    with connection.execute_wrapper(away):
        assert [ready(client)[0] for _ in range(3)] == [503] * 3
    said = loud(fresh_log)
    assert said == ["WARNING not ready check=database reason=server closed the connection to host=secret-host"]


@pytest.mark.processes
def test_health_loads_no_torch() -> None:
    import subprocess
    import sys

    code = (
        "import sys, django; django.setup(); from monitoring import urls, operations, metrics\n"
        "bad = {'torch', 'cv2', 'openvino'} & set(sys.modules); sys.exit(str(bad) if bad else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr


@pytest.mark.django_db
@pytest.mark.processes
def test_a_broker_that_does_not_answer_is_said_and_is_no_reason_to_be_not_ready(
    client: Client, data_dir: Path, tiny_weights: Path, settings: Settings, redis_server: RedisServer
) -> None:
    Model.objects.all().delete()
    write_model(data_dir, tiny_weights)
    made.worker()
    assert "broker" not in ready(client)[2]
    settings.BROKER = broker_from(redis_server.url, "upscaler")
    eventually(lambda: ready(client)[2]["broker"] == (True, "Redis answers"), say="the first answer")
    assert "upscaler_broker_up 1.0" in client.get("/metrics").content.decode()
    redis_server.kill()
    status, body, checks = ready(client)
    assert (status, body["ready"]) == (200, True)
    assert checks["broker"][0]
    assert checks["broker"][1].startswith("Redis does not answer: ")
    assert str(redis_server.port) not in str(body)
