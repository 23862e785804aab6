"""Real `io` clusters, started as their supervisor starts them: downloads, kills, stops."""

import os
import signal
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from django.test import Client
from pytest_django.fixtures import Settings

from modelstore.states import State
from tests.eventually import eventually
from tests.jobs.clusters import RunningCluster
from tests.jobs.conftest import database_url
from tests.modelstore import liar as lies
from tests.modelstore.conftest import TestOfficial
from tests.modelstore.liar import Liar

pytestmark = pytest.mark.processes

StartIo = Callable[[], RunningCluster]


@pytest.fixture
def start_io(official: TestOfficial, settings: Settings, models_dir: Path, tmp_path: Path) -> Iterator[StartIo]:
    """Starts an `io` cluster on this test's database, directory and server; it is gone after the test."""
    environment = {
        "DATABASE_URL": database_url(),
        "UPSCALER_DATA_DIR": str(tmp_path / "data"),
        "MODELS_DIR": str(models_dir),
        "SECRET_KEY": settings.SECRET_KEY,
        "DJANGO_SETTINGS_MODULE": "upscaler_site.settings",
        "Q_CLUSTER_NAME": "io",
        "MODEL_GITHUB_URL": settings.MODEL_GITHUB_URL,
        "MODEL_HUGGINGFACE_URL": settings.MODEL_HUGGINGFACE_URL,
        "JOB_LEASE_SECONDS": "5",
        "SWEEP_SECONDS": "0.5",
        "STOP_GRACE_SECONDS": "2",
        "CLEANUP_INTERVAL_MINUTES": "0",
        "LOG_LEVEL": "INFO",
        "PYTHONUNBUFFERED": "1",
    }
    started: list[RunningCluster] = []

    def start() -> RunningCluster:
        cluster = RunningCluster(tmp_path, environment)
        started.append(cluster)
        return cluster

    yield start
    for cluster in started:
        cluster.destroy()


def test_the_api_waits_for_the_cluster(start_io: StartIo, official: TestOfficial, client: Client) -> None:
    cluster = start_io()
    answer = client.post("/api/v1/models/download", {"models": [official.name]}, content_type="application/json")
    assert (answer.status_code, answer.json()["downloaded"]) == (200, [official.name]), cluster.output()
    assert official.row.worker


def test_a_worker_killed_in_the_middle_is_followed_by_one_that_resumes(
    start_io: StartIo, official: TestOfficial, models_dir: Path, client: Client, liar: Liar
) -> None:
    """The first answer never ends; the process that reads it is killed by -9; the rest is asked for with a range."""
    half = len(official.content) // 2
    official.on_github(lies.stalled(half), lies.good)
    cluster = start_io()
    client.post(
        "/api/v1/models/download",
        {"models": [official.name]},
        content_type="application/json",
        headers={"Prefer": "respond-async"},
    )
    eventually(lambda: official.row.received_bytes == half)
    worker = int(official.row.worker.rsplit(":", 1)[1])
    assert worker in [process.pid for process in cluster.members()]
    os.kill(worker, signal.SIGKILL)
    eventually(
        lambda: official.row.state == State.READY, seconds=120, say=f"the download after the kill: {cluster.output()}"
    )
    assert (models_dir / f"{official.name}.pth").read_bytes() == official.content
    assert sorted(path.name for path in models_dir.iterdir()) == [f"{official.name}.pth"]
    assert official.row.attempts == 2
    assert liar.requests[-1].headers["range"] == f"bytes={half}-"


def test_a_stopped_cluster_leaves_the_download_to_the_next(
    start_io: StartIo, official: TestOfficial, models_dir: Path, client: Client
) -> None:
    gate = threading.Event()
    official.on_github(lies.gated(500, gate), lies.good)
    cluster = start_io()
    client.post(
        "/api/v1/models/download",
        {"models": [official.name]},
        content_type="application/json",
        headers={"Prefer": "respond-async"},
    )
    eventually(lambda: official.row.received_bytes == 500)
    cluster.terminate()
    cluster.wait(240)
    assert official.row.state != State.READY
    next_cluster = start_io()
    eventually(lambda: official.row.state == State.READY, seconds=120, say=f"the next cluster: {next_cluster.output()}")
    assert (models_dir / f"{official.name}.pth").read_bytes() == official.content
