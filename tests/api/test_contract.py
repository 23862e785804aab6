"""schemathesis against the running service: what the description promises holds for generated calls, good and bad."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.service import REPOSITORY, Service

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
def test_generated_calls_meet_the_description(service: Service, tmp_path: Path) -> None:
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
        "150",
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
