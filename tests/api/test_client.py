"""A client that a generator made from the API's description uploads and downloads a picture."""

import subprocess
import sys
import textwrap
from pathlib import Path

import httpx

from tests.api.conftest import picture
from tests.service import Service
from tests.tiny_models import TINY_MODEL

USE = """
import sys, time
from io import BytesIO
from pathlib import Path
from uuid import UUID

from real_esrgan_api_client import Client
from real_esrgan_api_client.api.jobs import jobs_create, jobs_result, jobs_retrieve
from real_esrgan_api_client.api.models import models_list
from real_esrgan_api_client.models import ImageForm
from real_esrgan_api_client.types import File

client = Client(base_url=sys.argv[1], timeout=120)
names = [model.name for model in models_list.sync(client=client).available_models if model.available]
assert sys.argv[2] in names, names
image = File(payload=BytesIO(Path("in.png").read_bytes()), file_name="in.png", mime_type="image/png")
created = jobs_create.sync(client=client, body=ImageForm(image=image, model=sys.argv[2], outscale=3.0))
assert getattr(created, "success", False), created
limit = time.monotonic() + 120
while (job := jobs_retrieve.sync(created.job_id, client=client)).status.value not in ("completed", "failed"):
    assert time.monotonic() < limit, job
    time.sleep(0.2)
assert (job.result_width, job.result_height) == (30, 18), job
Path("out.png").write_bytes(jobs_result.sync_detailed(created.job_id, client=client).content)
missing = jobs_retrieve.sync_detailed(UUID(int=1), client=client)
assert missing.status_code == 404
assert missing.parsed.code == "job_not_found", missing.parsed
"""


def test_a_generated_client_uploads_and_downloads_a_picture(service: Service, tmp_path: Path) -> None:
    (tmp_path / "schema.json").write_bytes(httpx.get(f"{service.base_url}/api/schema", timeout=120).content)
    (tmp_path / "in.png").write_bytes(picture(10, 6))
    # Formatting the generated files is not worth its time here.
    (tmp_path / "generator.yml").write_text("post_hooks: []\n")
    generator = str(Path(sys.executable).with_name("openapi-python-client"))
    command = [generator, "generate", "--path", "schema.json", "--config", "generator.yml", "--meta", "none"]
    made = subprocess.run(
        [*command, "--output-path", "real_esrgan_api_client"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert made.returncode == 0, made.stdout + made.stderr
    used = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(USE), service.base_url, TINY_MODEL],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert used.returncode == 0, used.stdout + used.stderr + made.stdout
    assert (tmp_path / "out.png").read_bytes().startswith(b"\x89PNG")
