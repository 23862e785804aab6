"""schemathesis against the running service: what the description promises holds for generated calls, good and bad."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.service import REPOSITORY, StartService
from tests.tiny_models import TINY_MODEL

CHECKS = [
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
    "negative_data_rejection",
    "unsupported_method",
    "use_after_free",
]


@pytest.mark.timeout(600)
def test_generated_calls_meet_the_description(start_service: StartService, tiny_weights: Path, tmp_path: Path) -> None:
    nowhere = "http://127.0.0.1:9"  # generated calls ask for downloads, which must not leave this machine
    service = start_service(
        DEFAULT_MODEL=TINY_MODEL, MODEL_GITHUB_URL=nowhere, MODEL_HUGGINGFACE_URL=nowhere, MODEL_DOWNLOAD_RETRIES="0"
    )
    service.import_model(tiny_weights, TINY_MODEL)
    command = [
        str(Path(sys.executable).with_name("schemathesis")),
        "run",
        f"{service.base_url}/api/schema",
        "--checks",
        ",".join(CHECKS),
        "--max-examples",
        "12",
        "--seed",
        "4",
        "--phases",
        "examples,coverage,fuzzing",
        "--max-time",
        "90",
        "--request-timeout",
        "60",
        "--suppress-health-check",
        "all",
    ]
    environment = os.environ | {
        "SCHEMATHESIS_HOOKS": "tests.api.schemathesis_hooks",
        "NO_COLOR": "1",
        "PYTHONPATH": str(REPOSITORY),
    }
    done = subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=590, check=False
    )
    assert done.returncode == 0, done.stdout[-12_000:] + done.stderr[-3000:]
