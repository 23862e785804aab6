"""The two commands in a fresh clone. It uses the virtual environment of these tests: what is installed is there."""

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from tests.checkout import cloned
from tests.eventually import eventually
from tests.service import Service

pytestmark = [
    pytest.mark.processes,
    pytest.mark.skipif(not (shutil.which("git") and shutil.which("make")), reason="git or make is not installed"),
]


def make(clone: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["make", *arguments], cwd=clone, env={**os.environ, **environment}, capture_output=True, text=True, check=False,
        timeout=280,
    )  # fmt: skip


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """What git would give a newcomer: committed files only."""
    return cloned(tmp_path / "clone")


@pytest.fixture
def imitation(tmp_path: Path) -> Path:
    """A virtual environment whose pip only writes down what it was asked for, and fails where a file says so."""
    venv = tmp_path / "venv"
    (venv / "bin").mkdir(parents=True)
    python = venv / "bin" / "python"
    python.write_text(
        f"""#!/bin/sh
if [ "$1 $2" != "-m pip" ]; then exec {sys.executable} "$@"; fi
echo "$@" >> {tmp_path}/pip.log
case "$*" in *requirements-$(cat {tmp_path}/fails 2>/dev/null || echo nothing).txt*) exit 1;; esac
"""
    )
    python.chmod(0o755)
    return venv


@pytest.mark.slow
def test_make_run_serves_a_fresh_clone_and_ctrl_c_ends_it(clone: Path, tmp_path: Path) -> None:
    service = Service(tmp_path / "data")
    for _ in range(2):
        with service.log.open("wb") as log:
            top = subprocess.Popen(
                ["make", "run", f"VENV={sys.prefix}"], cwd=clone, env=service.environment, stdin=subprocess.DEVNULL,
                stdout=log, stderr=subprocess.STDOUT, start_new_session=True,
            )  # fmt: skip
        try:
            eventually(
                lambda: f"is ready:  http://localhost:{service.port}/" in service.output(), seconds=280, every=0.2
            )
            assert httpx.get(f"{service.base_url}/api/v1/health", timeout=240).json()["status"] == "ok"
            os.killpg(top.pid, signal.SIGINT)  # as a terminal does: to make and to the service
            top.wait(240)
            assert [process.cmdline() for process in service.processes()] == []
        finally:
            service.kill()
            top.wait(240)
    assert "Installing" not in service.output()


def test_nothing_is_installed_twice(clone: Path, imitation: Path, tmp_path: Path) -> None:
    first = make(clone, "setup", f"VENV={imitation}")
    assert first.returncode == 0, first.stderr
    asked = (tmp_path / "pip.log").read_text()
    assert "--requirement requirements.txt" in asked
    if sys.version_info < (3, 13):
        assert "--no-deps --no-build-isolation --requirement requirements-reference.txt" in asked
    assert "--no-deps --requirement requirements-families.txt" in asked
    assert make(clone, "setup", f"VENV={imitation}").returncode == 0
    assert (tmp_path / "pip.log").read_text() == asked


@pytest.mark.parametrize(
    ("option", "says"),
    [
        pytest.param(
            "reference",
            "package could not be installed (see above). The service works without it",
            marks=pytest.mark.skipif(sys.version_info >= (3, 13), reason="it is not tried on this Python"),
        ),
        ("families", "spandrel could not be installed (see above). The service works without it"),
    ],
)
def test_an_option_that_fails_is_said_and_the_rest_goes_on(
    clone: Path, imitation: Path, tmp_path: Path, option: str, says: str
) -> None:
    (tmp_path / "fails").write_text(option)
    done = make(clone, "setup", f"VENV={imitation}")
    assert done.returncode == 0
    assert says in done.stdout
    (tmp_path / "fails").unlink()
    assert make(clone, option, f"VENV={imitation}").returncode == 0
    assert (imitation / f".{option}").read_text() == "installed\n"


def test_a_missing_python_is_said(clone: Path, tmp_path: Path) -> None:
    done = make(clone, "run", "PYTHON=", f"VENV={tmp_path / 'none'}")
    assert done.returncode != 0
    assert "Python 3.11 or newer is needed" in done.stderr


def test_make_alone_lists_the_commands(clone: Path) -> None:
    said = make(clone).stdout
    assert "make run" in said
    assert "make test" in said
    assert "make quick" in said


KERNELS = "jobs/engine/backends/winograd/built"


@pytest.mark.skipif(not shutil.which("cc"), reason="there is no C compiler")
def test_setup_builds_the_kernels_once(clone: Path, imitation: Path) -> None:
    first = make(clone, "setup", f"VENV={imitation}")
    assert first.returncode == 0, first.stderr
    assert "built the winograd kernels" in first.stdout
    assert list((clone / KERNELS).glob("winograd-*"))
    assert "winograd" not in make(clone, "setup", f"VENV={imitation}").stdout
    status = subprocess.run(["git", "status", "--short"], cwd=clone, capture_output=True, text=True, check=True)
    assert status.stdout == ""


def test_setup_goes_on_without_a_compiler_and_says_so_in_one_line(clone: Path, imitation: Path) -> None:
    without = (f"VENV={imitation}", "CC=no-such-compiler")
    first = make(clone, "setup", *without)
    assert first.returncode == 0, first.stderr
    said = [line for line in first.stdout.splitlines() if "winograd" in line]
    assert said == ["Note: no winograd kernels: there is no no-such-compiler"]
    assert not list((clone / KERNELS).glob("winograd-*"))
    assert "winograd" not in make(clone, "setup", *without).stdout
    assert make(clone, "kernels", *without).returncode != 0
