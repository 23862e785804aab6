"""A data directory of its own for each test, a tiny model in it, pictures, submissions and clusters."""

import hashlib
import io
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import numpy as np
import pytest
from PIL import Image
from pytest_django.fixtures import Settings

from tests.job_rows import waiting_job
from tests.jobs.clusters import RunningCluster
from tests.tiny_models import TINY_MODEL, write_tiny_weights

if TYPE_CHECKING:
    from jobs.models import ApiKey, Job
    from jobs.submission.request import Submission
    from modelstore.models import Model


@pytest.fixture(autouse=True)
def empty_waiting_room(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The room's thread ends with the test whose database it looks at, and before its tables are emptied."""
    uses_database = {"db", "transactional_db"} & set(request.fixturenames)
    if uses_database or request.node.get_closest_marker("django_db"):
        request.getfixturevalue("_django_db_helper")  # set up before this one: torn down after it
    yield
    hub = sys.modules.get("jobs.progress.hub")  # the engine's tests have no need of it
    thread = hub and hub.hub._thread
    if thread is not None:
        monkeypatch.setattr(hub, "_IDLE_SECONDS", 0.0)
        thread.join(240)
        assert not thread.is_alive(), "the waiting room's thread would look into the database of the next test"


@pytest.fixture
def data_dir(settings: Settings, tmp_path: Path) -> Path:
    """Where this test's pictures and models lie."""
    settings.DATA_DIR = tmp_path / "data"
    settings.MEDIA_ROOT = tmp_path / "data" / "files"
    settings.FILE_UPLOAD_TEMP_DIR = str(tmp_path / "data" / "files" / "uploads")
    settings.MODELS_DIR = settings.MODEL_CACHE_DIR = tmp_path / "data" / "models"
    settings.MIN_FREE_DISK_MB = 0
    settings.JOB_MAX_ATTEMPTS = 3
    Path(settings.FILE_UPLOAD_TEMP_DIR).mkdir(parents=True)
    settings.MODELS_DIR.mkdir()
    return tmp_path / "data"


def write_model(directory: Path, weights: Path, name: str = TINY_MODEL, **fields: Any) -> "Model":
    """A ready model: its file in the models directory, its row. ``fields`` go before what is written here."""
    from modelstore.models import Model
    from modelstore.networks.checkpoint import inspect
    from modelstore.states import Origin, State

    file_name = f"{name}.safetensors"
    shutil.copyfile(weights, directory / "models" / file_name)
    spec = inspect(weights)
    return Model.objects.create(
        **{
            "name": name,
            "origin": Origin.IMPORTED,
            "state": State.READY,
            "architecture": "srvggnet",
            "scale": spec.scale,
            "file_name": file_name,
            "size_bytes": weights.stat().st_size,
            "sha256": hashlib.sha256(weights.read_bytes()).hexdigest(),
            "network": asdict(spec),
            **fields,
        }
    )


@pytest.fixture
def restorer(model: "Model", data_dir: Path, tmp_path: Path) -> "Model":
    """A tiny model that keeps the size, beside the tiny ×2 one; ready."""
    return write_model(data_dir, write_tiny_weights(tmp_path / "weights.safetensors", scale=1, seed=3), "tiny-x1")


@pytest.fixture
def model(data_dir: Path, tiny_weights: Path, transactional_db: None) -> "Model":
    """The tiny ×2 model, ready."""
    return write_model(data_dir, tiny_weights)


def picture(width: int = 24, height: int = 16, *, seed: int = 1, name: str = "cat.png") -> Any:
    """A PNG as an upload: a file object with a name."""
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    file.seek(0)
    file.name = name
    return file


@pytest.fixture
def make_submission(model: "Model") -> "Callable[..., Submission]":
    """A submission for the tiny model; options by name."""
    from jobs.options import JobOptions
    from jobs.states import Priority
    from jobs.submission.request import Submission

    def make(*, priority: Priority = Priority.ASYNC, **options: Any) -> "Submission":
        known = {name: options.pop(name) for name in list(options) if name in Submission.__dataclass_fields__}
        return Submission(model.name, JobOptions(**options), priority=priority, **known)

    return make


@pytest.fixture
def submit(make_submission: "Callable[..., Submission]") -> "Callable[..., Job]":
    """Submits a small picture: ``submit(width=13, seed=2, tile_size=32)``."""
    from jobs.submission import submit as intake

    def send(width: int = 24, height: int = 16, *, seed: int = 1, **rest: Any) -> "Job":
        return intake.submit(picture(width, height, seed=seed), make_submission(**rest))

    return send


def database_url() -> str:
    """The test database, as a child process would name it."""
    from django.db import connection

    values = connection.settings_dict
    host = quote(str(values["HOST"]), safe="")
    login = (
        f"{values['USER']}:{quote(values.get('PASSWORD') or '', safe='')}" if values.get("PASSWORD") else values["USER"]
    )
    port = f"&port={values['PORT']}" if values.get("PORT") else ""
    return f"postgresql://{login}@/{values['NAME']}?host={host}{port}"


@pytest.fixture
def environment(settings: Settings, data_dir: Path) -> dict[str, str]:
    """What a child process needs to work on this test's database and files; fast leases and sweeps."""
    return {
        "DATABASE_URL": database_url(),
        "UPSCALER_DATA_DIR": str(data_dir),
        "SECRET_KEY": settings.SECRET_KEY,
        "DJANGO_SETTINGS_MODULE": "tests.jobs.rig.settings",
        "Q_CLUSTER_NAME": "gpu",
        "DEVICE": "cpu",
        "ENGINE_BACKEND": "torch",
        "OMP_NUM_THREADS": "1",
        "JOB_LEASE_SECONDS": "5",
        "SWEEP_SECONDS": "0.5",
        "MIN_FREE_DISK_MB": "0",
        "CLEANUP_INTERVAL_MINUTES": "0",
        "LOG_LEVEL": "INFO",
        "PYTHONUNBUFFERED": "1",
    }


StartCluster = Callable[..., RunningCluster]


@pytest.fixture
def start_cluster(environment: dict[str, str], tmp_path: Path, model: "Model") -> Iterator[StartCluster]:
    """``start_cluster(supervised=True, RIG_WORKERS="2")``: a cluster; it is gone after the test."""
    started: list[RunningCluster] = []

    def start(*, supervised: bool = False, ready: bool = True, **more: str) -> RunningCluster:
        cluster = RunningCluster(tmp_path, environment | more, supervised=supervised)
        started.append(cluster)
        return cluster.wait_ready(int(more.get("RIG_WORKERS", "1"))) if ready else cluster

    yield start
    for cluster in started:
        cluster.destroy()
    from django.db import connection

    connection.close()


def stored_files(data_dir: Path) -> list[str]:
    """Every file below inputs, results and previews."""
    root = data_dir / "files"
    return sorted(
        os.path.relpath(Path(directory, name), root) for directory, _, names in os.walk(root) for name in names
    )


@pytest.fixture
def make_job(db: None) -> "Callable[..., Job]":
    """Writes a waiting job."""
    return waiting_job


@pytest.fixture
def make_key(db: None) -> "Callable[..., tuple[ApiKey, dict[str, str]]]":
    """Makes a key of these scopes; returns it and the header that carries it."""
    from jobs.auth import api_keys

    def make(*scopes: str, **fields: Any) -> "tuple[ApiKey, dict[str, str]]":
        key, text = api_keys.issue("test", scopes or ["upscale"], **fields)
        return key, {"Authorization": f"Bearer {text}"}

    return make
