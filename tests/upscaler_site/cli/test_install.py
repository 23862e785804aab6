"""The wheel that `pipx install .` makes, used where the checkout is not: files, data and command are its own."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from PIL import Image

from tests.service import REPOSITORY
from tests.upscaler_site.cli.test_main import QUICK, picture

pytestmark = [pytest.mark.processes, pytest.mark.slow]

_PLACES = """
import os, sys
os.environ["DJANGO_SETTINGS_MODULE"] = "upscaler_site.settings"
import django
django.setup()
from django.conf import settings
from django.template.loader import get_template
print(settings.DATA_DIR, get_template("page/index.html").origin.name, sep="\\n")
"""


def test_the_wheel_is_the_command_with_its_templates_and_puts_no_data_beside_itself(tmp_path: Path) -> None:
    made = subprocess.run(
        [sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "--quiet", "-w", str(tmp_path),
         str(REPOSITORY)],
        capture_output=True, text=True, check=False, timeout=300,
    )  # fmt: skip
    assert made.returncode == 0, made.stderr
    (wheel,) = tmp_path.glob("upscaler-*.whl")
    place = tmp_path / "installed"
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(place)
    (facts,) = place.glob("*.dist-info")
    assert "upscaler = upscaler_site.cli.main:main" in (facts / "entry_points.txt").read_text()
    required = {line for line in (facts / "METADATA").read_text().splitlines() if line.startswith("Requires-Dist: ")}
    required = {line for line in required if "; extra ==" not in line}
    files = [REPOSITORY / name for name in ("requirements.txt", "requirements-web.txt")]
    wanted = [line.partition("#")[0].strip() for file in files for line in file.read_text().splitlines()]
    assert len(required) == len([line for line in wanted if line and not line.startswith("-r")]), required
    assert {path.name for path in place.iterdir()} == {
        "audit", "jobs", "modelstore", "monitoring", "upscaler_client", "upscaler_site", facts.name,
    }  # fmt: skip

    left_out = ("DATABASE", "UPSCALER_DATA_DIR", "DJANGO")
    environment = {name: value for name, value in os.environ.items() if not name.startswith(left_out)}
    environment |= {"PYTHONPATH": str(place), "HOME": str(tmp_path / "home"), "XDG_DATA_HOME": str(tmp_path / "data")}

    def python(*words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-P", *words], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False,
            timeout=300,
        )  # fmt: skip

    data, template = python("-c", _PLACES).stdout.splitlines()
    if sys.platform != "darwin":
        assert data == str(tmp_path / "data" / "upscaler")
    assert template == str(place / "upscaler_site" / "templates" / "page" / "index.html")
    done = python(
        "-m", "upscaler_site.cli.main", "upscale", str(picture(tmp_path / "in.png")), "-o", str(tmp_path / "out.png"),
        "-m", "bundled-compact-x4", *QUICK,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    with Image.open(tmp_path / "out.png") as image:
        assert image.size == (80, 48)
    assert not (place / "var").exists()
