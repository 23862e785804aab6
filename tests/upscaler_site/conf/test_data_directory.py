"""A data directory that cannot be used is said in one line: the variable, the path and the reason."""

import io
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
from PIL import Image

from tests.ports import free_port
from tests.service import REPOSITORY, StartService

pytestmark = pytest.mark.processes

SERVE = ["-m", "upscaler_site.serve"]
COMMAND = ["manage.py", "migrate"]


def run(words: Sequence[str], *, within: Sequence[str] = (), **environment: str) -> subprocess.CompletedProcess[str]:
    """Run Python on ``words`` to its end, which is expected to come at once."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("DATABASE_URL", "SECRET_"))}
    return subprocess.run(
        [*within, sys.executable, *words],
        cwd=REPOSITORY,
        env=inherited | {"PORT": str(free_port()), **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
    )


def said(done: subprocess.CompletedProcess[str]) -> str:
    """The only line that a run left behind which ended with 1."""
    assert done.returncode == 1, done.stderr
    (line,) = done.stderr.strip().splitlines()
    return line


@pytest.mark.parametrize("words", [SERVE, COMMAND])
def test_a_file_in_its_place_is_named(tmp_path: Path, words: list[str]) -> None:
    (tmp_path / "file").write_text("mine")
    line = said(run(words, UPSCALER_DATA_DIR=str(tmp_path / "file")))
    assert line == (
        f"Error: UPSCALER_DATA_DIR: {tmp_path}/file cannot be used: {tmp_path}/file is a file, not a directory"
    )


def test_a_file_above_it_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    line = said(run(SERVE, UPSCALER_DATA_DIR=str(tmp_path / "file" / "deep" / "data")))
    assert line.startswith(f"Error: UPSCALER_DATA_DIR: {tmp_path}/file/deep/data cannot be used: ")
    assert line.endswith(f"{tmp_path}/file is a file, not a directory")


@pytest.mark.skipif(
    not Path("/sys/kernel").is_dir(), reason="needs a directory in which nobody, root included, may write"
)
@pytest.mark.parametrize("words", [SERVE, COMMAND])
@pytest.mark.parametrize("place", ["/sys/kernel", "/sys/kernel/upscaler"])
def test_a_directory_that_cannot_be_written_is_named(words: list[str], place: str) -> None:
    line = said(run(words, UPSCALER_DATA_DIR=place))
    assert line.startswith(f"Error: UPSCALER_DATA_DIR: {place} cannot be used: ")


@pytest.mark.skipif(
    not Path("/sys/kernel").is_dir(), reason="needs a directory in which nobody, root included, may write"
)
def test_it_is_named_where_all_secrets_are_given(tmp_path: Path) -> None:
    given = {"SECRET_KEY": "k" * 50, "WEBHOOK_SECRET": "whsec_" + "QUFB" * 10, "FILES_DIR": str(tmp_path / "files")}
    line = said(run(SERVE, UPSCALER_DATA_DIR="/sys/kernel", **given))
    assert line.startswith("Error: UPSCALER_DATA_DIR: /sys/kernel cannot be used: ")


def test_the_directory_of_pictures_is_named_by_its_own_variable(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    done = run(SERVE, UPSCALER_DATA_DIR=str(tmp_path / "data"), FILES_DIR=str(tmp_path / "file"))
    assert said(done) == f"Error: FILES_DIR: {tmp_path}/file cannot be used: Not a directory"


def test_a_name_that_is_too_long_is_said(tmp_path: Path) -> None:
    line = said(run(SERVE, UPSCALER_DATA_DIR=str(tmp_path / ("x" * 300))))
    assert line.startswith(f"Error: UPSCALER_DATA_DIR: {tmp_path}/xxx")
    assert line.endswith("cannot be used: File name too long")


def test_a_path_that_is_too_long_for_postgres_is_said(tmp_path: Path) -> None:
    deep = tmp_path.joinpath(*["y" * 100] * 10)
    line = said(run(SERVE, UPSCALER_DATA_DIR=str(deep)))
    assert line.startswith(f"Error: UPSCALER_DATA_DIR: {tmp_path}/yyy")
    assert "the most is 900" in line


def test_a_path_that_is_too_long_for_a_socket_works(tmp_path: Path) -> None:
    deep = tmp_path.joinpath(*["z" * 50] * 4)
    done = run(["manage.py", "showmigrations", "jobs"], UPSCALER_DATA_DIR=str(deep))
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("size", "reason"),
    [("8m", "the disk has 8 MB left, a new database needs 64 MB"), ("12k", "No space left on device")],
)
def test_a_full_disk_is_said(tmp_path: Path, size: str, reason: str) -> None:
    if os.geteuid() or shutil.which("unshare") is None:
        pytest.skip("only root may mount a small disk, and unshare (util-linux) must be here")
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = f'mount -t tmpfs -o size={size} tmpfs "$0" && exec "$@"'
    within = ["unshare", "--mount", "sh", "-c", mount, str(disk)]
    done = run(SERVE, within=within, UPSCALER_DATA_DIR=str(disk / "data"))
    if "mount:" in done.stderr:
        pytest.skip("this container may not mount")
    assert said(done) == f"Error: UPSCALER_DATA_DIR: {disk}/data cannot be used: {reason}"


def test_letters_beyond_ascii_work_in_a_locale_that_has_none(tmp_path: Path, start_service: StartService) -> None:
    """A true ASCII locale: Python has been told neither to coerce it nor to use UTF-8 all the same."""
    ascii_only = {"LC_ALL": "POSIX", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"}
    running = start_service(data_dir=tmp_path / "größe 大", **ascii_only)
    picture = io.BytesIO()
    Image.new("RGB", (8, 8), "teal").save(picture, "PNG")
    with running.client() as client:
        sent = client.post(
            "/api/v1/upscale", files={"image": ("ä.png", picture.getvalue())}, data={"model": "bundled-compact-x4"}
        )
    assert sent.status_code == 200, sent.text
    assert "Traceback" not in running.output()
    assert running.manage("cleanup_jobs").stdout.startswith("0 jobs")
