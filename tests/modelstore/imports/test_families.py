"""Networks of other families, from a file to a finished picture: by the command, by the API, and refused by both."""

import io
import os
import pickle
from pathlib import Path
from typing import Any

import pytest
import torch
from django.core.files.uploadedfile import SimpleUploadedFile
from django.core.management import CommandError
from django.test import Client
from pytest_django.fixtures import Settings

from benchmarks.family_seeds import seeded
from jobs.worker.runtime import engine_weights
from modelstore.imports import importing
from modelstore.models import Model
from modelstore.networks.families import registry
from modelstore.states import State
from modelstore.storage import weights as store
from tests.jobs.engine.conftest import photo, picture, upscaler
from tests.modelstore.imports.test_importing import everything_below, import_command
from tests.modelstore.test_views import io_cluster  # noqa: F401 - a fixture

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.processes,
    pytest.mark.skipif(not registry.available(), reason="spandrel is not installed; `make families` does it"),
]
URL = "/api/v1/models"


def weights_file(family: str, **changes: Any) -> bytes:
    buffer = io.BytesIO()
    torch.save({"params": seeded(family, **changes)}, buffer)
    return buffer.getvalue()


def send(client: Client, data: bytes, name: str = "n.pth", headers: dict[str, str] | None = None, **fields: str) -> Any:
    return client.post(URL, {"file": SimpleUploadedFile(name, data), **fields}, headers=headers or {})


def test_a_span_is_imported_by_the_command_and_computes(models_dir: Path, tmp_path: Path) -> None:
    path = tmp_path / "2x-span.pth"
    path.write_bytes(weights_file("SPAN"))
    said = import_command(path, "--licence", "CC0-1.0")
    assert "2x-span: SPAN x2" in said
    assert "Its tiles: seam-free; fp32" in said
    local = store.weights_for("2x-span")
    assert local.spec is not None
    assert local.spec.traits is not None
    made, report = upscaler().upscale(picture(photo(50, 40)), engine_weights(local))
    assert (made.width, made.height, report.backend) == (100, 80, "torch")
    assert everything_below(models_dir) == [local.path.name]


@pytest.mark.usefixtures("io_cluster")
def test_a_restorer_is_imported_by_the_api(models_dir: Path, client: Client) -> None:
    answer = send(client, weights_file("DnCNN"), "1x-denoise.pth", licence="MIT", description="Noise, softly")
    assert answer.status_code == 201, answer.content
    body = answer.json()
    assert answer.headers["Location"] == "/api/v1/models/1x-denoise"
    assert (body["name"], body["scale"], body["architecture"], body["licence"]) == ("1x-denoise", 1, "DnCNN", "MIT")
    assert (body["purpose"], body["tiles"], body["available"]) == ("restore", "seam-free", True)
    assert (body["use"], body["non_commercial"]) == ("restore", False)
    assert body["precisions"][0] == "fp32"
    listed = client.get(URL).json()["available_models"]
    assert body in listed


@pytest.mark.usefixtures("io_cluster")
def test_a_refused_file_is_answered_with_the_reason_and_leaves_nothing(models_dir: Path, client: Client) -> None:
    answer = send(client, weights_file("LaMa"), "holes.pth")
    assert (answer.status_code, answer.json()["code"]) == (400, "import_refused")
    assert "fills holes" in answer.json()["detail"]
    assert not Model.objects.filter(name="holes").exists()
    assert everything_below(models_dir) == []


def test_who_does_not_wait_looks_at_the_models_address(models_dir: Path, client: Client) -> None:
    answer = send(client, weights_file("SPAN"), name="a.pth", headers={"Prefer": "respond-async"})
    assert (answer.status_code, answer.headers["Location"]) == (202, "/api/v1/models/a")
    assert (answer.headers["Preference-Applied"], answer.headers["Retry-After"]) == ("respond-async", "5")
    body = client.get("/api/v1/models/a").json()
    assert (body["status"], body["available"], body["tiles"]) == ("requested", False, "")
    assert "a" not in [model["name"] for model in client.get(URL).json()["available_models"]]
    from modelstore.downloads import runner

    runner.run_waiting()
    assert client.get("/api/v1/models/a").json()["status"] == "ready"


@pytest.mark.parametrize(
    ("fields", "field"),
    [({"name": "no/name"}, "name"), ({"description": "x" * 301}, "description"), ({"licence": "x" * 101}, "licence")],
)
def test_fields_that_do_not_fit_are_named(models_dir: Path, client: Client, fields: dict[str, str], field: str) -> None:
    answer = client.post(URL, {"file": SimpleUploadedFile("n.pth", b"x"), **fields})
    assert answer.status_code == 422
    assert [problem["field"] for problem in answer.json()["errors"]] == [field]
    assert everything_below(models_dir) == []


def test_a_request_without_a_file_and_one_that_is_no_form(models_dir: Path, client: Client) -> None:
    assert client.post(URL, {"name": "n"}).json()["errors"] == [{"field": "file", "message": "No file was submitted"}]
    assert client.post(URL, "{}", content_type="application/json").status_code == 415


def test_importing_by_the_api_is_management(models_dir: Path, client: Client, settings: Settings) -> None:
    settings.REQUIRE_MANAGE_KEY = True
    assert send(client, weights_file("SPAN")).status_code == 401
    assert everything_below(models_dir) == []


def test_an_examination_without_end_is_stopped_by_its_processor_time(
    models_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importing, "PROCESSOR_SECONDS", 1)  # importing torch alone takes more
    path = tmp_path / "n.pth"
    path.write_bytes(weights_file("SPAN"))
    with pytest.raises(CommandError, match="took more than 1 s of a processor"):
        import_command(path)
    assert everything_below(models_dir) == []


class Executes:
    def __reduce__(self) -> Any:
        return os.mkdir, (os.environ["UPSCALER_TEST_MARK"],)


def test_files_that_would_execute_or_burst_are_refused_by_the_examiner(
    models_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("UPSCALER_TEST_MARK", str(tmp_path / "executed"))
    state = seeded("SPAN")
    bad: dict[str, tuple[Any, str]] = {
        "code": ({**state, "x": Executes()}, "wants to execute code"),
        "claims": ({**state, "x": torch.zeros(1).expand(1 << 36)}, "more numbers than the file holds"),
        "counts": ({**state, "block_1000000000.c1_r.sk.weight": torch.zeros(1)}, "counts more than 4096 blocks"),
        "two": ({**state, **seeded("MoSR")}, "looks like"),
        "neither": ({"a.b": torch.zeros(3)}, "none of the families"),
    }
    for name, (table, says) in bad.items():
        path = tmp_path / f"{name}.pth"
        torch.save(table, path)
        with pytest.raises(CommandError, match=says):
            import_command(path)
        assert not Model.objects.filter(name=name).exists()
    (tmp_path / "raw.pth").write_bytes(pickle.dumps(Executes()))
    with pytest.raises(CommandError, match="no torch checkpoint"):
        import_command(tmp_path / "raw.pth")
    assert not (tmp_path / "executed").exists()
    assert everything_below(models_dir) == []
    assert not Model.objects.filter(state=State.FAILED).exists()
