"""The engine's wheel: made from the source as it stands, and used as docs/engine.md says where the project is not."""

import re
import shutil
import subprocess
import sys
import zipfile
from functools import partial
from pathlib import Path

import pytest
from PIL import Image

from modelstore.networks.rrdbnet import RRDBNet
from tests.jobs.engine.conftest import photo, save_network, seeded
from tests.service import REPOSITORY

pytestmark = [pytest.mark.processes, pytest.mark.skipif(shutil.which("cc") is None, reason="there is no cc")]

_WHERE_FROM = """
import sys
import jobs
from jobs.engine.backends.winograd.library import load
print(Path(jobs.__file__).parent.parent, "django" in sys.modules, load().name)
"""


def test_the_wheel_does_what_its_document_shows(tmp_path: Path) -> None:
    pip = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "--quiet"]
    made = subprocess.run(
        [*pip, "-w", str(tmp_path), str(REPOSITORY / "engine")],
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert made.returncode == 0, made.stderr
    (wheel,) = tmp_path.glob("upscaler_engine-*-py3-none-*.whl")
    assert not wheel.name.endswith("-any.whl"), "it holds libraries for this kind of machine"
    place = tmp_path / "installed"
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(place)
    save_network(tmp_path / "RealESRGAN_x4plus.pth", seeded(partial(RRDBNet, features=8, growth=4, blocks=1)))
    save_network(tmp_path / "denoise.pth", seeded(partial(RRDBNet, features=8, growth=4, blocks=1, unshuffle=4)))
    Image.fromarray(photo(30, 20)).save(tmp_path / "photo.jpg")
    document = (REPOSITORY / "docs" / "engine.md").read_text()
    example, chain = re.findall(r"```python\n(.*?)```", document, re.DOTALL)
    done = subprocess.run(
        [sys.executable, "-P", "-c", example + chain + _WHERE_FROM], cwd=tmp_path, env={"PYTHONPATH": str(place)},
        capture_output=True, text=True, check=False, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    told, members, where = done.stdout.strip().splitlines()
    assert re.match(r"\w+", told)
    assert re.fullmatch(r"\[\('denoise', 1, [0-9.e-]+\), \('x4plus', 1, [0-9.e-]+\)\]", members)
    assert where.split()[:2] == [str(place), "False"]
    assert where.split()[2] in ("avx512", "avx2", "sse2", "neon")
    with Image.open(tmp_path / "photo_x4.png") as image:
        assert image.size == (120, 80)
