"""The main job, end to end: genuine weights, a real picture, the guide's own examples, and a killed worker."""

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
from numpy.typing import NDArray
from PIL import Image

from jobs.engine.backends import reference_imports
from tests.eventually import eventually
from tests.service import Service

pytestmark = pytest.mark.processes

MODEL = "realesr-animevideov3"

#: Example 1 of the API guide, word for word but for the address and the model.
CURL_EXAMPLE = """#!/bin/bash
set -e
API="{api}"
# Ensure model is available
echo "Checking models..."
curl -s "$API/api/v1/models" | jq -e '.available_models[] | select(.name == "{model}" and .available)' > /dev/null || {{
echo "Downloading model..."
curl -s -X POST "$API/api/v1/models/download" \\
-H 'Content-Type: application/json' \\
-d '{{"models": ["{model}"]}}' | jq .
}}
# Upscale image
echo "Upscaling image..."
curl -X POST "$API/api/v1/upscale" \\
-F 'image=@input.jpg' \\
-F 'model={model}' \\
-o output.jpg
echo "Done! Output: output.jpg"
"""

#: Example 2, likewise.
HTTPX_EXAMPLE = """import httpx
import time
import json
from pathlib import Path
client = httpx.Client(base_url='{api}')
# Create job
with open('input.jpg', 'rb') as f:
    response = client.post(
        '/api/v1/jobs',
        files={{'image': f}},
        data={{'model': '{model}'}},
    )
job_id = response.json()['job_id']
print(f'Job created: {{job_id}}')
# Poll status
while True:
    status_response = client.get(f'/api/v1/jobs/{{job_id}}')
    status = status_response.json()
    print(f'Status: {{status["status"]}}')
    if status['status'] == 'completed':
        break
    elif status['status'] == 'failed':
        print(f'Error: {{status["error"]}}')
        exit(1)
    time.sleep(5)
# Download result
result_response = client.get(f'/api/v1/jobs/{{job_id}}/result')
Path('output.jpg').write_bytes(result_response.content)
print('Result saved: output.jpg')
"""


@pytest.fixture(scope="module")
def anime_service(real_weights: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service that computes in fp32 and has the genuine realesr-animevideov3."""
    running = Service(tmp_path_factory.mktemp("main-job") / "data", {"PRECISION": "fp32"})
    try:
        running.start()
        running.import_model(real_weights)
        yield running
        running.stop()
    finally:
        running.kill()


@pytest.fixture
def workplace(shared_dir: Path, tmp_path: Path) -> Path:
    """A directory with the example's input.jpg, 179×179 px."""
    shutil.copy(shared_dir / "images" / "0014.jpg", tmp_path / "input.jpg")
    return tmp_path


def run_example(command: list[str], directory: Path) -> str:
    done = subprocess.run(command, cwd=directory, capture_output=True, text=True, check=False, timeout=240)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def pixels(image: Image.Image) -> NDArray[Any]:
    return np.asarray(image.convert("RGB"), dtype=np.int16)


@pytest.mark.skipif(not (shutil.which("curl") and shutil.which("jq")), reason="curl and jq are not installed")
def test_the_guides_curl_example_gives_a_picture_four_times_larger(anime_service: Service, workplace: Path) -> None:
    (workplace / "example.sh").write_text(CURL_EXAMPLE.format(api=anime_service.base_url, model=MODEL))
    said = run_example(["bash", "example.sh"], workplace)
    assert "Downloading" not in said
    with Image.open(workplace / "output.jpg") as image:
        assert (image.format, image.size) == ("JPEG", (716, 716))
        assert_resembles(image, workplace / "input.jpg")


def test_the_guides_httpx_example_gives_the_same_picture(anime_service: Service, workplace: Path) -> None:
    (workplace / "example.py").write_text(HTTPX_EXAMPLE.format(api=anime_service.base_url, model=MODEL))
    said = run_example([sys.executable, "example.py"], workplace)
    assert re.search(r"Job created: [0-9a-f-]{36}", said)
    with Image.open(workplace / "output.jpg") as image:
        assert (image.format, image.size) == ("JPEG", (716, 716))
        assert_resembles(image, workplace / "input.jpg")


def assert_resembles(result: Image.Image, source: Path) -> None:
    """Seen from afar the two are the same: the result is not black, not turned, not mirrored, not another picture."""
    afar = (20, 20)
    with Image.open(source) as image:
        difference = pixels(result.resize(afar, Image.Resampling.BOX)) - pixels(
            image.resize(afar, Image.Resampling.BOX)
        )
    assert np.abs(difference).mean() < 10


def test_the_result_equals_the_reference_packages(anime_service: Service, workplace: Path, real_weights: Path) -> None:
    """fp32 against fp32, on a PNG, so that no JPEG decoder stands between: at most one step of 255 apart."""
    if not reference_imports.available():
        pytest.skip("the reference package is not installed (make reference)")
    with Image.open(workplace / "input.jpg") as image:
        source = image.convert("RGB")
    source.save(workplace / "input.png")
    with anime_service.client() as client:
        response = client.post(
            "/api/v1/upscale", files={"image": (workplace / "input.png").read_bytes()}, data={"model": MODEL}
        )
    assert response.status_code == 200, response.text
    assert float(response.headers["X-Processing-Time"]) > 0
    ours = pixels(Image.open(BytesIO(response.content)))
    reference = reference_result(np.asarray(source), real_weights)
    difference = np.abs(ours - reference)
    assert ours.shape == reference.shape == (716, 716, 3)
    assert difference.max() <= 1, f"max {difference.max()}, mean {difference.mean():.4f}"


def reference_result(rgb: NDArray[Any], weights: Path) -> NDArray[Any]:
    """What RealESRGANer makes of (H, W, 3) RGB, untiled, as the package's own command line calls it."""
    RealESRGANer, _, SRVGGNetCompact = reference_imports.load()  # noqa: N806 - classes
    network = SRVGGNetCompact(num_in_ch=3, num_out_ch=3, num_feat=64, num_conv=16, upscale=4, act_type="prelu")
    upsampler = RealESRGANer(scale=4, model_path=str(weights), model=network, tile=0, half=False, device="cpu")
    output, _ = upsampler.enhance(np.ascontiguousarray(rgb[:, :, ::-1]))
    return np.asarray(output[:, :, ::-1], dtype=np.int16)


def test_a_job_whose_worker_is_killed_in_its_middle_completes_all_the_same(
    anime_service: Service, shared_dir: Path
) -> None:
    with Image.open(shared_dir / "images" / "OST_009.png") as image:
        large = BytesIO()
        image.convert("RGB").resize((1000, 750)).save(large, "PNG")
    with anime_service.client() as client:
        created = client.post(
            "/api/v1/jobs",
            files={"image": large.getvalue()},
            data={"model": MODEL, "tile_size": "128", "format": "jpeg"},
        )
        assert created.status_code in (200, 201, 202), created.text
        url = created.json()["status_url"]
        eventually(lambda: client.get(url).json()["status"] == "processing", seconds=120)
        (main,) = anime_service.cluster_mains("gpu")
        # The worker is the one that holds the network.
        worker = max(main.children(recursive=True), key=lambda process: process.memory_info().rss)
        worker.kill()
        psutil.wait_procs([worker], timeout=240)
        assert client.get(url).json()["status"] in ("processing", "queued")

        def completed() -> bool:
            state = client.get(url).json()
            assert state["status"] != "failed", state
            return bool(state["status"] == "completed")

        eventually(completed, seconds=270, every=0.5)
        result = client.get(created.json()["result_url"])
    assert Image.open(BytesIO(result.content)).size == (4000, 3000)
