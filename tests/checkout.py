"""A clone of this checkout, for tests of what a newcomer gets."""

import subprocess
from pathlib import Path

import pytest

from tests.service import REPOSITORY


def cloned(target: Path) -> Path:
    """Clone what is committed into ``target``; skip the test where this is no git checkout."""
    done = subprocess.run(
        ["git", "clone", "--quiet", "--no-local", str(REPOSITORY), str(target)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode:
        pytest.skip(f"this is no git checkout that can be cloned: {done.stderr}")
    return target
