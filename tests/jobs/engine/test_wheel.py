"""The engine's wheel: made from the source as it stands, and computing in a place where the project is not."""

import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.service import REPOSITORY
from tests.tiny_models import write_tiny_weights

pytestmark = [pytest.mark.processes, pytest.mark.skipif(shutil.which("cc") is None, reason="there is no cc")]

_COMPUTE = """
import sys
from pathlib import Path
import numpy as np
import jobs
from jobs.engine.backends.network_cache import NetworkPool
from jobs.engine.codec import decode, encode
from jobs.engine.types import EncodeOptions, Frame, Limits, Picture, Runtime, Weights
from jobs.engine.upscaler import Upscaler

upscaler = Upscaler(NetworkPool(Runtime(device="cpu", backend="winograd")))
picture = Picture("png", (Frame(np.full((8, 12, 3), 90, np.uint8)),))
made, report = upscaler.upscale(picture, Weights("tiny", Path(sys.argv[1])))
encode(made, Path("out.png"), EncodeOptions(format="png"))
back = decode(Path("out.png"), Limits())
print(report.backend, back.width, back.height, Path(jobs.__file__).parent.parent, "django" in sys.modules)
"""


def test_the_wheel_computes_by_its_kernels_where_nothing_else_of_the_project_is(tmp_path: Path) -> None:
    pip = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "--quiet"]
    made = subprocess.run(
        [*pip, "-w", str(tmp_path), str(REPOSITORY)], capture_output=True, text=True, check=False, timeout=300
    )
    assert made.returncode == 0, made.stderr
    (wheel,) = tmp_path.glob("upscaler_engine-*-py3-none-*.whl")
    assert not wheel.name.endswith("-any.whl"), "it holds libraries for this kind of machine"
    place = tmp_path / "installed"
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(place)
    weights = write_tiny_weights(tmp_path / "tiny.safetensors")
    done = subprocess.run(
        [sys.executable, "-P", "-c", _COMPUTE, str(weights)], cwd=tmp_path, env={"PYTHONPATH": str(place)},
        capture_output=True, text=True, check=False, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["winograd", "24", "16", str(place), "False"]
