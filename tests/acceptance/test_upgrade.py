"""An upgrade from the first release with work in its queue; and a backup that is brought back on another machine."""

import io
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from PIL import Image

from tests.api.conftest import finished, picture
from tests.eventually import eventually
from tests.service import REPOSITORY, Service

pytestmark = pytest.mark.processes

#: The state that was released as 1.0.0: the last one before CHANGELOG.md had changes beyond it.
FIRST_RELEASE = "c1bde1b"
MODEL = "bundled-compact-x4"

#: What callers did with 1.0.0, by its own code: an import, a key, pictures that nobody has upscaled yet, one cancelled.
CALLS = """
import io
from django.test import Client
from PIL import Image
client = Client()
for number in range(4):
    file = io.BytesIO()
    Image.new("RGB", (20 + number, 10), (40 * number, 90, 120)).save(file, "PNG")
    file.seek(0)
    file.name = f"picture{number}.png"
    answer = client.post("/api/v1/jobs", {"image": file, "model": "bundled-compact-x4"})
    assert answer.status_code == 202, answer.content
    print("job", answer.json()["job_id"])
client.post(f"/api/v1/jobs/{answer.json()['job_id']}/cancel")
"""


def run(place: Path, data: Path, *words: str, stdin: str | None = None) -> str:
    """Run Python in a checkout with a data directory; return what it printed."""
    environment = Service(data).environment
    done = subprocess.run([sys.executable, *words], cwd=place, env=environment, input=stdin, capture_output=True,
                          text=True, check=False, timeout=480)  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


@pytest.fixture
def first_release(tmp_path: Path) -> Path:
    """A tree of version 1.0.0."""
    place = tmp_path / "first"
    place.mkdir()
    archive = subprocess.run(["git", "archive", FIRST_RELEASE], cwd=REPOSITORY, capture_output=True, check=False)
    if archive.returncode:
        pytest.skip(f"this clone has no history back to {FIRST_RELEASE}")
    subprocess.run(["tar", "-x", "-C", str(place)], input=archive.stdout, check=True)
    return place


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Service]:
    """A service on the data of before, not started yet."""
    service = Service(tmp_path / "data")
    try:
        yield service
    finally:
        service.stop()
        service.kill()


def test_what_waited_in_the_first_release_is_done_by_this_one(first_release: Path, running: Service) -> None:
    data = running.data_dir
    run(first_release, data, "manage.py", "migrate", "--no-input", "--verbosity", "0")
    key = run(first_release, data, "manage.py", "create_api_key", "old friend", "--quiet").strip()
    jobs = [line.split()[1] for line in run(first_release, data, "manage.py", "shell", "-c", CALLS).splitlines()
            if line.startswith("job ")]  # fmt: skip
    assert len(jobs) == 4
    running.start()
    with httpx.Client(base_url=f"{running.base_url}/api/v1", timeout=240, headers={"X-API-Key": key}) as api:
        for number, job in enumerate(jobs[:3]):
            assert finished(api, job)["status"] == "completed"
            with Image.open(io.BytesIO(api.get(f"/jobs/{job}/result").content)) as image:
                assert image.size == ((20 + number) * 4, 40)
        assert api.get(f"/jobs/{jobs[3]}").json()["status"] == "cancelled"
        assert api.post(f"/jobs/{jobs[3]}/retry").status_code == 202
        assert finished(api, jobs[3])["status"] == "completed"
        sent = api.post("/jobs", files={"image": picture()}, data={"model": MODEL})
        assert finished(api, sent.json()["job_id"])["status"] == "completed"


def test_a_backup_is_brought_back_elsewhere_with_what_waited(own_service: Service, tmp_path: Path) -> None:
    key = own_service.manage("create_api_key", "old friend", "--quiet").stdout.strip()
    with httpx.Client(base_url=f"{own_service.base_url}/api/v1", timeout=240, headers={"X-API-Key": key}) as api:
        done = api.post("/jobs", files={"image": picture()}, data={"model": MODEL}).json()["job_id"]
        finished(api, done)
        result = api.get(f"/jobs/{done}/result").content
        link = api.post(f"/jobs/{done}/links").json()["result_url"]
        own_service.manage("queue", "pause")
        waits = api.post("/jobs", files={"image": picture(14, 8)}, data={"model": MODEL}).json()["job_id"]
    embedded = ("-m", "upscaler_site.postgres.embedded")
    # While it runs, in the order of the README: rows first, so that no row names a file that is not there.
    dump = run(REPOSITORY, own_service.data_dir, *embedded, str(own_service.data_dir), "sh", "-c",
               'pg_dump --no-owner "$DATABASE_URL"')  # fmt: skip
    other = Service(tmp_path / "other")
    other.data_dir.mkdir()
    for name in ("files", "models", "secret_key", "webhook_secret"):
        source = own_service.data_dir / name
        copy = shutil.copytree if source.is_dir() else shutil.copy2
        copy(source, other.data_dir / name)
    own_service.stop()
    restore = 'psql -q -v ON_ERROR_STOP=1 "$DATABASE_URL"'
    run(REPOSITORY, other.data_dir, *embedded, str(other.data_dir), "sh", "-c", restore, stdin=dump)
    try:
        other.start()
        with httpx.Client(base_url=f"{other.base_url}/api/v1", timeout=240, headers={"X-API-Key": key}) as api:
            assert api.get(f"/jobs/{done}/result").content == result
            signed = httpx.get(f"{other.base_url}{link}", timeout=240)
            assert (signed.status_code, signed.content) == (200, result)
            assert api.get(f"/jobs/{waits}").json()["status"] == "queued"
            other.manage("queue", "resume")
            assert finished(api, waits)["result_width"] == 56
        eventually(lambda: "No faults" in other.manage("doctor", "--no-devices").stdout, say="a sound installation")
        other.stop()
    finally:
        other.kill()
