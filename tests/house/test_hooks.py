"""The hooks before a commit: each is a check that is there, and each check that is quick is a hook."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.service import REPOSITORY

CONFIG = REPOSITORY / ".pre-commit-config.yaml"
BIN = Path(sys.executable).parent
#: Steps of .ci/check that start Django or write files: not before each commit.
SLOW = {"migrations", "API document", "production settings"}


def hooks() -> list[dict[str, Any]]:
    config = yaml.safe_load(CONFIG.read_text())
    return [hook for repository in config["repos"] for hook in repository["hooks"]]


@pytest.mark.processes
def test_pre_commit_understands_the_file() -> None:
    done = subprocess.run(
        [BIN / "pre-commit", "validate-config", str(CONFIG)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("hook", hooks(), ids=lambda hook: hook["id"])
def test_the_command_of_a_hook_is_there(hook: dict[str, Any]) -> None:
    assert hook["language"] == "system", "nothing is downloaded"
    program = shlex.split(hook["entry"])[0]
    # The virtual environment of these tests may have another name than .venv.
    path = BIN / Path(program).name if program.startswith(".venv/bin/") else REPOSITORY / program
    assert os.access(path, os.X_OK), f"{hook['id']}: {program} is not there"


def test_each_quick_step_of_the_checks_is_a_hook() -> None:
    steps = set(re.findall(r'^step "([^"]+)"', (REPOSITORY / ".ci" / "check").read_text(), re.MULTILINE))
    assert steps >= SLOW
    assert {hook["name"] for hook in hooks()} == steps - SLOW
