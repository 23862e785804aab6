"""The first picture needs no network: neither a download nor a look at any other host."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from tests.service import REPOSITORY

pytestmark = pytest.mark.processes

#: A user who is not root needs a user namespace around it, and stays that user: the embedded Postgres must not think
#: that it runs as root.
AS_USER = [] if os.geteuid() == 0 else ["--map-current-user", "--keep-caps"]
#: A network namespace of its own, in which loopback is the only interface.
CUT_OFF = ["unshare", "--net", *AS_USER, "--", "sh", "-c", 'ip link set lo up && exec "$@"', "sh"]


def require_namespaces() -> None:
    """Skip where the kernel or a container does not allow network namespaces."""
    if shutil.which("unshare") is None or shutil.which("ip") is None:
        pytest.skip("unshare (util-linux) or ip (iproute2) is not here")
    if subprocess.run([*CUT_OFF, "true"], capture_output=True, check=False).returncode:
        pytest.skip("this machine allows no network namespaces")


def test_the_first_picture_comes_without_any_network(tmp_path: Path) -> None:
    require_namespaces()
    output = tmp_path / "upscaled.png"
    done = subprocess.run(
        [*CUT_OFF, sys.executable, "-m", "tests.acceptance.first_picture_offline", str(tmp_path / "data"), str(output)],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=False,
        timeout=400,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "cut off: [Errno 101]" in done.stdout, "there is a way out (ENETUNREACH is none), so the test proved nothing"
    with Image.open(REPOSITORY / "samples" / "sample.png") as sample, Image.open(output) as result:
        assert result.size == (sample.width * 4, sample.height * 4)
