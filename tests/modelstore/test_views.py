"""The model endpoints, to the guide's letter."""

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from pytest_django.fixtures import Settings

from modelstore.downloads import requests, runner
from modelstore.models import Model
from modelstore.states import State
from tests.eventually import eventually
from tests.modelstore import liar as lies
from tests.modelstore.conftest import TestOfficial
from tests.modelstore.liar import Liar

URL = "/api/v1/models/download"


@pytest.fixture
def io_cluster(official: TestOfficial) -> Iterator[None]:
    """Somebody who answers the doorbell: the worker's own function, in a thread."""
    stop = threading.Event()

    def work() -> None:
        try:
            while not stop.wait(0.05):
                runner.run_waiting()
        finally:
            connection.close()

    thread = threading.Thread(target=work)
    thread.start()
    yield
    stop.set()
    thread.join()


def post(client: Client, body: Any, **headers: str) -> Any:
    return client.post(URL, body, content_type="application/json", headers=headers)


def test_the_list_has_the_fields_of_the_guide(official: TestOfficial, client: Client) -> None:
    answer = client.get("/api/v1/models")
    assert answer.status_code == 200
    body = answer.json()
    assert set(body) == {"available_models", "total_models", "local_models"}
    assert body["total_models"] == len(body["available_models"]) >= 8
    x2 = next(model for model in body["available_models"] if model["name"] == "RealESRGAN_x2plus")
    assert x2 | {"name": "RealESRGAN_x2plus", "scale": 2, "description": "2x upscaling", "available": False} == x2
    assert x2["size_bytes"] == 67061725
    assert x2["size_mb"] == 64.0
    assert x2["status"] == "missing"
    assert x2["download"] is None
    assert x2["error"] is None


def test_the_list_takes_a_constant_number_of_queries(official: TestOfficial, client: Client) -> None:
    client.get("/api/v1/models")
    with CaptureQueriesContext(connection) as few:
        client.get("/api/v1/models")
    for number in range(30):
        Model.objects.create(name=f"more-{number}", origin="imported", sha256="a" * 64)
    with CaptureQueriesContext(connection) as many:
        client.get("/api/v1/models")
    assert len(few) == len(many)


def test_one_model_has_the_fields_of_the_guide(official: TestOfficial, client: Client) -> None:
    body = client.get("/api/v1/models/RealESRGAN_x4plus").json()
    assert (body["name"], body["scale"], body["description"]) == (
        "RealESRGAN_x4plus",
        4,
        "4x upscaling (general purpose)",
    )
    assert (body["available"], body["size_mb"], body["size_bytes"]) == (False, 63.9, 67040989)
    assert body["limits"]["max_input_pixels"] > 0


def test_sizes_come_from_the_disk(official: TestOfficial, client: Client) -> None:
    requests.order([official.name])
    runner.run_waiting()
    body = client.get(f"/api/v1/models/{official.name}").json()
    assert (body["available"], body["size_bytes"], body["status"]) == (True, len(official.content), "ready")
    info = client.get("/api/v1/models-info").json()
    assert info["model_count"] == 1
    assert info["total_size_bytes"] == len(official.content)
    listed = client.get("/api/v1/models").json()
    assert listed["local_models"] == sum(model["available"] for model in listed["available_models"]) >= 1


@pytest.mark.parametrize("name", ["nobody", "x" * 10_000, "..", "%2e%2e%2fetc", "a%00b"])
def test_an_unknown_model_is_404_with_a_detail(official: TestOfficial, client: Client, name: str) -> None:
    answer = client.get(f"/api/v1/models/{name}")
    assert answer.status_code in (400, 404)
    assert isinstance(answer.json()["detail"], str)


def test_models_info_has_the_fields_of_the_guide(official: TestOfficial, models_dir: Path, client: Client) -> None:
    body = client.get("/api/v1/models-info").json()
    assert body["models_directory"] == str(models_dir)
    assert body["total_size_mb"] == 0.0
    assert body["model_count"] == 0


@pytest.mark.usefixtures("io_cluster")
def test_a_download_is_answered_when_the_model_is_here(official: TestOfficial, client: Client) -> None:
    answer = post(client, {"models": [official.name]})
    assert answer.status_code == 200
    assert answer.json() == {
        "success": True,
        "message": "Downloaded 1 model(s)",
        "downloaded": [official.name],
        "failed": [],
        "errors": {},
        "downloading": [],
        "notes": {},
    }
    assert client.get(f"/api/v1/models/{official.name}").json()["available"] is True


@pytest.mark.usefixtures("io_cluster")
def test_a_partial_failure_has_an_error_per_model(
    official: TestOfficial, liar: Liar, client: Client, settings: Settings
) -> None:
    answer = post(client, {"models": [official.name, "RealESRGAN_x4plus_anime_6B"]})
    assert answer.status_code == 200
    body = answer.json()
    assert body["success"] is False
    assert body["message"] == "Downloaded 1 model(s)"
    assert body["downloaded"] == [official.name]
    assert body["failed"] == ["RealESRGAN_x4plus_anime_6B"]
    assert body["errors"]["RealESRGAN_x4plus_anime_6B"].startswith("github: HTTP 404")


@pytest.mark.usefixtures("io_cluster")
def test_the_note_names_the_mirror_that_was_wrong(official: TestOfficial, client: Client) -> None:
    official.on_huggingface(lies.other_bytes)
    body = post(client, {"models": [official.name], "provider": "huggingface"}).json()
    assert body["success"] is True
    assert body["notes"][official.name].startswith("huggingface someone/models: wrong bytes")


def test_a_model_that_is_here_is_answered_without_traffic(official: TestOfficial, client: Client, liar: Liar) -> None:
    requests.order([official.name])
    runner.run_waiting()
    seen = len(liar.requests)
    body = post(client, {"models": [official.name, official.name]}).json()
    assert (body["success"], body["downloaded"]) == (True, [official.name])
    assert len(liar.requests) == seen


def test_what_takes_too_long_is_reported_as_downloading(
    official: TestOfficial, client: Client, settings: Settings
) -> None:
    settings.MODEL_DOWNLOAD_WAIT_SECONDS = 1  # nobody answers the doorbell
    answer = post(client, {"models": [official.name]})
    assert answer.status_code == 202
    assert answer.json()["downloading"] == [official.name]
    assert answer.headers["Location"] == f"/api/v1/models/{official.name}"
    assert answer.headers["Retry-After"] == "5"


def test_respond_async_answers_at_once(official: TestOfficial, client: Client) -> None:
    answer = post(client, {"models": [official.name]}, Prefer="respond-async")  # a wait would outlast the test
    assert answer.status_code == 202
    assert answer.headers["Preference-Applied"] == "respond-async"
    assert answer.json()["downloading"] == [official.name]
    assert official.row.state == State.REQUESTED


def test_progress_is_in_the_answer_of_the_model(official: TestOfficial, client: Client) -> None:
    gate = threading.Event()
    half = len(official.content) // 2
    official.on_github(lies.gated(half, gate))
    post(client, {"models": [official.name]}, Prefer="respond-async")
    waiting = client.get(f"/api/v1/models/{official.name}").json()["download"]
    assert waiting == {"bytes_done": 0, "bytes_total": len(official.content), "percent": 0}

    def work() -> None:
        runner.run_waiting()
        connection.close()

    worker = threading.Thread(target=work)
    worker.start()
    try:
        shown = eventually(
            lambda: (client.get(f"/api/v1/models/{official.name}").json()["download"] or {}).get("bytes_done") == half
        )
        assert shown
    finally:
        gate.set()
        worker.join()
    assert client.get(f"/api/v1/models/{official.name}").json()["download"] is None


def test_an_unknown_name_is_404_and_nothing_is_asked_for(official: TestOfficial, client: Client) -> None:
    answer = post(client, {"models": [official.name, "nobody", "no-one"]})
    assert answer.status_code == 404
    assert answer.json()["detail"] == "Model not found: nobody, no-one"
    assert official.row.state == State.MISSING


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"models": ["RealESRGAN_x4plus"], "provider": "dropbox"}, "provider"),
        ({"models": ["RealESRGAN_x4plus"], "provider": 3}, "provider"),
        ({"models": []}, "models"),
        ({"models": "RealESRGAN_x4plus"}, "models"),
        ({"models": ["../../etc/passwd"]}, "models.0"),
        ({"models": ["x" * 10_000]}, "models.0"),
        ({"models": [None]}, "models.0"),
        ({"models": [{"a": 1}]}, "models.0"),
        ({"models": ["a"] * 51}, "models"),
        ({}, "models"),
        ([], ""),
    ],
)
def test_a_body_that_does_not_fit_is_422(official: TestOfficial, client: Client, body: Any, field: str) -> None:
    answer = post(client, body)
    assert answer.status_code == 422
    assert answer.json()["code"] == "validation_error"
    assert any(error["field"].startswith(field) for error in answer.json()["errors"])
    assert not Model.objects.pending().exists()


@pytest.mark.parametrize("body", ["{", "null", '"x"', "[[[[", "\udcff".encode("utf-8", "surrogateescape")])
def test_a_body_that_is_no_object_is_4xx(official: TestOfficial, client: Client, body: Any) -> None:
    answer = post(client, body)
    assert answer.status_code in (400, 422)
    assert "detail" in answer.json()


def test_deleting_by_the_api_frees_the_disk(official: TestOfficial, models_dir: Path, client: Client) -> None:
    requests.order([official.name])
    runner.run_waiting()
    assert client.delete(f"/api/v1/models/{official.name}").status_code == 204
    assert list(models_dir.iterdir()) == []
    assert client.delete("/api/v1/models/nobody").status_code == 404


def test_the_addresses_have_no_trailing_slash(official: TestOfficial, client: Client) -> None:
    assert client.get("/api/v1/models/").status_code == 404
    assert client.get(URL).status_code == 405
