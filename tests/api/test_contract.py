"""schemathesis against the running service: what the description promises holds for generated calls, good and bad."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.service import REPOSITORY, Service
from tests.tiny_models import TINY_MODEL

ANSWERS = (
    "no_surprise,status_code_conformance,content_type_conformance,response_headers_conformance,"
    "response_schema_conformance,unsupported_method,use_after_free"
)


SPARE = ("spare-1", "spare-2")


@pytest.fixture
def alone(start_service: Callable[..., Service], tiny_weights: Path) -> Service:
    """A service of this test's own: generated calls delete models, and ask for downloads, which must stay here."""
    nowhere = "http://127.0.0.1:9"
    service = start_service(
        DEFAULT_MODEL=TINY_MODEL, MODEL_GITHUB_URL=nowhere, MODEL_HUGGINGFACE_URL=nowhere, MODEL_DOWNLOAD_RETRIES="0"
    )
    for name in (TINY_MODEL, *SPARE):
        service.import_model(tiny_weights, name)
    return service


def generated(service: Service, directory: Path, *options: str) -> None:
    """Run schemathesis; fail with its whole report."""
    hooks = {"SCHEMATHESIS_HOOKS": "tests.api.schemathesis_hooks", "PYTHONPATH": str(REPOSITORY), "NO_COLOR": "1"}
    command = [str(Path(sys.executable).with_name("schemathesis"))]
    command += ["--config-file", str(REPOSITORY / "tests/api/schemathesis.toml")]
    command += ["run", f"{service.base_url}/api/schema", *options]
    command += ["--max-examples", "12", "--seed", "4", "--phases", "examples,coverage,fuzzing"]
    command += ["--request-timeout", "120", "--suppress-health-check", "all", "--warnings", "off"]
    done = subprocess.run(
        command,
        cwd=directory,
        env=os.environ | hooks | {"SPARE_MODELS": " ".join(SPARE)},
        capture_output=True,
        text=True,
        timeout=400,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.timeout(900)
def test_generated_calls_meet_the_description(alone: Service, tmp_path: Path) -> None:
    with alone.client() as client:

        def completed() -> int:
            return int(client.get("/api/v1/jobs", params={"status": "completed"}).json()["total"])

        for _ in range(4):  # a busy machine does not come to a good submission within the time
            generated(alone, tmp_path, "--checks", ANSWERS, "--max-time", "80")
            if completed():
                break
        deleted = [client.get(f"/api/v1/models/{name}").status_code for name in SPARE]
        assert deleted == [404, 404], "the good calls of models_delete found nothing to delete"
        assert completed() > 0, "no good submission"
    generated(alone, tmp_path, "--checks", "negative_data_rejection", "--max-time", "60")
