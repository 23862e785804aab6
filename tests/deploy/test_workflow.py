"""The workflow of those who fork: it runs what CI runs here, for the Pythons that pyproject.toml promises."""

import os
import re
import subprocess
import tomllib
from typing import Any

import pytest
import yaml

from tests.deploy.compose import stages
from tests.service import REPOSITORY


@pytest.fixture(scope="module")
def workflow() -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load((REPOSITORY / ".github" / "workflows" / "ci.yml").read_text())
    return loaded


def test_it_tries_every_supported_python_on_both_kinds_of_processor(workflow: dict[str, Any]) -> None:
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    promised = [found[1] for line in project["classifiers"] if (found := re.fullmatch(r".*:: (3\.\d+)", line))]
    matrix = workflow["jobs"]["ci"]["strategy"]["matrix"]
    assert matrix["python"] == promised
    assert project["requires-python"] == f">={promised[0]}"
    assert [runner.endswith("-arm") for runner in matrix["runner"]] == [False, True]
    assert workflow["jobs"]["ci"]["steps"][-1]["run"] == ".ci/run"


def test_it_has_no_more_rights_and_time_than_it_needs(workflow: dict[str, Any]) -> None:
    assert workflow["permissions"] == {"contents": "read"}
    assert "group" in workflow["concurrency"]
    for job in workflow["jobs"].values():
        assert job["timeout-minutes"] <= 180
        for step in job["steps"]:
            assert "${{" not in step.get("run", ""), "what others write must not become a command: pass it by env"
            if "uses" in step:
                assert re.fullmatch(r"actions/[a-z-]+@(v\d+|[0-9a-f]{40})", step["uses"])
                assert step["with"]["persist-credentials"] is False


def test_the_images_that_it_builds_are_targets(workflow: dict[str, Any]) -> None:
    assert set(workflow["jobs"]["images"]["strategy"]["matrix"]["target"]) <= set(stages())


def test_make_takes_the_python_that_it_is_given(tmp_path: Any) -> None:
    """PYTHON=… in the environment, as the workflow has it, or as a word of make."""
    chosen = tmp_path / "python"
    chosen.write_text('#!/bin/sh\necho "chosen $*"\nexit 1\n')
    chosen.chmod(0o755)
    for words, environment in (([f"PYTHON={chosen}"], {}), ([], {"PYTHON": str(chosen)})):
        done = subprocess.run(
            ["make", "--no-print-directory", f"VENV={tmp_path}/venv", f"{tmp_path}/venv/bin/python", *words],
            cwd=REPOSITORY, env={**os.environ, **environment}, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert "chosen -m venv" in done.stdout, done.stdout + done.stderr
