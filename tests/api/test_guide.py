"""The API guide, line by line: every documented field with its type, every documented status, its examples executed."""

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import pytest

from tests.api.conftest import finished, is_error, picture
from tests.eventually import eventually
from tests.service import Service
from tests.tiny_models import TINY_MODEL

NUMBER = (int, float)
NULL = type(None)


def a_uuid(value: Any) -> bool:
    return isinstance(value, str) and str(UUID(value)) == value


def a_time(value: Any) -> bool:
    return isinstance(value, str) and re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z", value) is not None


def time_or_null(value: Any) -> bool:
    return value is None or a_time(value)


#: endpoint -> field -> type or check, as the guide documents them.
RESPONSES: dict[str, dict[str, Any]] = {
    "POST /upscale-batch": {"success": bool, "job_ids": list, "total": int, "message": str},
    "POST /jobs": {"success": bool, "job_id": a_uuid, "status_url": str, "result_url": str},
    "GET /jobs/{job_id}": {
        "job_id": a_uuid,
        "status": str,
        "model": str,
        "created_at": a_time,
        "started_at": time_or_null,
        "completed_at": time_or_null,
        "processing_time_seconds": (*NUMBER, NULL),
        "error": (str, NULL),
    },
    "GET /jobs": {"total": int, "returned": int, "jobs": list},
    "GET /jobs: one": {
        "job_id": a_uuid,
        "status": str,
        "model": str,
        "created_at": a_time,
        "processing_time_seconds": (*NUMBER, NULL),
    },
    "GET /models": {"available_models": list, "total_models": int, "local_models": int},
    "GET /models/{model_name}": {
        "name": str,
        "scale": int,
        "description": str,
        "available": bool,
        "size_mb": NUMBER,
        "size_bytes": int,
    },
    "POST /models/download": {"success": bool, "message": str, "downloaded": list, "failed": list, "errors": dict},
    "GET /models-info": {"models_directory": str, "total_size_mb": NUMBER, "model_count": int},
    "GET /health": {"status": str, "version": str, "uptime_seconds": NUMBER, "message": str},
    "GET /health/ready": {"ready": bool},
    "GET /health/live": {"alive": bool},
    "GET /system": {
        "status": str,
        "version": str,
        "uptime_seconds": NUMBER,
        "cpu_usage_percent": NUMBER,
        "memory_usage_percent": NUMBER,
        "disk_usage_percent": NUMBER,
        "gpu_available": bool,
        "gpu_memory_mb": (*NUMBER, NULL),
        "gpu_memory_used_mb": (*NUMBER, NULL),
        "execution_providers": list,
        "models_dir_size_mb": NUMBER,
        "jobs_queue_length": int,
    },
    "GET /stats": {
        "total_requests": int,
        "successful_requests": int,
        "failed_requests": int,
        "average_processing_time_seconds": (*NUMBER, NULL),
        "total_images_processed": int,
    },
    "POST /cleanup": {"success": bool, "cleaned_jobs": int, "message": str},
}


def fits(shape: dict[str, Any], endpoint: str) -> bool:
    """Assert that every documented field is there with its type; True, so that it reads as an assertion."""
    for name, wanted in RESPONSES[endpoint].items():
        assert name in shape, f"{endpoint} lacks {name}"
        value = shape[name]
        good = wanted(value) if callable(wanted) and not isinstance(wanted, type) else isinstance(value, wanted)
        # bool is a kind of int for Python, but not for JSON
        good = good and not (isinstance(value, bool) and wanted is not bool)
        assert good, f"{endpoint}: {name} is {value!r}"
    return True


def test_upscale_answers_the_picture_and_the_time(api: httpx.Client) -> None:
    response = api.post(
        "/upscale", files={"image": ("input.jpg", picture(file_format="JPEG"))}, data={"model": TINY_MODEL}
    )
    assert response.status_code == 200, response.text
    assert response.headers["Content-Type"] == "image/jpeg"
    assert float(response.headers["X-Processing-Time"]) > 0
    assert response.content.startswith(b"\xff\xd8")


def test_upscale_takes_the_documented_parameters(api: httpx.Client) -> None:
    form = {"model": TINY_MODEL, "tile_size": "64", "tile_pad": "8", "outscale": "3"}
    response = api.post("/upscale", files={"image": ("a.png", picture(10, 6))}, data=form)
    job = api.get(f"/jobs/{response.headers['X-Job-ID']}").json()
    assert (job["result_width"], job["result_height"]) == (30, 18)
    assert job["options"] == {"tile_size": 64, "tile_pad": 8, "outscale": 3.0}


def test_the_default_model_is_the_guides(api: httpx.Client) -> None:
    response = api.post("/upscale", files={"image": ("a.png", picture())})
    assert is_error(response, 503, "model_not_available")
    wanted = "Model not available: RealESRGAN_x4plus. Download it first using /api/v1/models/download"
    assert response.json()["detail"] == wanted


def test_a_batch(api: httpx.Client) -> None:
    files = [("images", (f"img{number}.png", picture(8 + number))) for number in range(3)]
    response = api.post("/upscale-batch", files=files, data={"model": TINY_MODEL, "tile_size": "64"})
    shape = response.json()
    assert fits(shape, "POST /upscale-batch")
    assert (shape["success"], shape["total"]) == (True, 3)
    assert shape["message"] == "Batch processing started for 3 images"
    assert all(a_uuid(job_id) for job_id in shape["job_ids"])
    widths = [finished(api, job_id)["input_width"] for job_id in shape["job_ids"]]
    assert widths == [8, 9, 10], "the ids come in the order of the files"


def test_a_job_from_submission_to_result(api: httpx.Client) -> None:
    created = api.post("/jobs", files={"image": ("a.png", picture())}, data={"model": TINY_MODEL}).json()
    assert fits(created, "POST /jobs")
    assert created["success"] is True
    assert created["status_url"] == f"/api/v1/jobs/{created['job_id']}"
    assert created["result_url"] == f"/api/v1/jobs/{created['job_id']}/result"
    job = finished(api, created["job_id"])
    assert fits(job, "GET /jobs/{job_id}")
    assert job["status"] == "completed"
    assert (job["error"], job["model"]) == (None, TINY_MODEL)
    assert job["processing_time_seconds"] > 0
    result = api.get(f"/jobs/{created['job_id']}/result")
    assert result.status_code == 200
    assert result.headers["Content-Type"] == "image/png"


def test_every_status_value_and_every_status_of_the_result(api: httpx.Client, slow_job: dict[str, Any]) -> None:
    running = api.get(f"/jobs/{slow_job['job_id']}").json()
    assert fits(running, "GET /jobs/{job_id}")
    assert (running["status"], running["completed_at"]) == ("processing", None)
    assert a_time(running["started_at"])
    early = api.get(f"/jobs/{slow_job['job_id']}/result")
    assert early.status_code == 202
    assert early.json()["detail"] == "Job still processing"
    waiting = api.post("/jobs", files={"image": ("a.png", picture())}, data={"model": TINY_MODEL}).json()
    queued = api.get(f"/jobs/{waiting['job_id']}").json()
    assert (queued["status"], queued["started_at"]) == ("queued", None)
    assert api.get(f"/jobs/{waiting['job_id']}/result").status_code == 202


def test_the_result_of_a_failed_job_is_500_with_the_reason(api: httpx.Client) -> None:
    whole = picture(300, 200, "JPEG")
    broken = whole[: len(whole) // 2]  # its header is fine; only decoding finds out
    response = api.post("/jobs", files={"image": ("a.jpg", broken)}, data={"model": TINY_MODEL})
    if response.status_code == 400:
        pytest.skip("the service looks closely enough to refuse this picture at once")
    job = finished(api, response.json()["job_id"])
    assert job["status"] == "failed"
    assert job["error"]
    result = api.get(f"/jobs/{job['job_id']}/result")
    assert result.status_code == 500
    assert result.json()["detail"] == job["error"]


def test_an_unknown_job_is_not_found_in_the_guides_words(api: httpx.Client) -> None:
    for path in ("/jobs/invalid-job-id", "/jobs/invalid-job-id/result"):
        response = api.get(path)
        assert is_error(response, 404, "job_not_found")
        assert response.json()["detail"] == "Job not found: invalid-job-id"


def test_the_list_of_jobs(api: httpx.Client) -> None:
    api.post("/upscale", files={"image": ("a.png", picture())}, data={"model": TINY_MODEL})
    shape = api.get("/jobs", params={"status": "completed", "limit": 5}).json()
    assert fits(shape, "GET /jobs")
    assert shape["returned"] == len(shape["jobs"]) <= 5
    assert shape["total"] >= shape["returned"]
    for job in shape["jobs"]:
        assert fits(job, "GET /jobs: one")
        assert job["status"] == "completed"


def test_models(api: httpx.Client) -> None:
    shape = api.get("/models").json()
    assert fits(shape, "GET /models")
    assert shape["total_models"] == len(shape["available_models"])
    assert shape["local_models"] == sum(model["available"] for model in shape["available_models"])
    for model in shape["available_models"]:
        assert fits(model, "GET /models/{model_name}")
    one = api.get("/models/RealESRGAN_x4plus").json()
    assert fits(one, "GET /models/{model_name}")
    assert (one["scale"], one["available"]) == (4, False)
    assert is_error(api.get("/models/RealESRGAN_x5"), 404, "model_not_found")


def test_downloading_a_model_that_is_here(api: httpx.Client) -> None:
    name = next(model["name"] for model in api.get("/models").json()["available_models"] if model["available"])
    response = api.post("/models/download", json={"models": [name]})
    assert response.status_code == 200
    shape = response.json()
    assert fits(shape, "POST /models/download")
    assert (shape["success"], shape["downloaded"], shape["failed"], shape["errors"]) == (True, [name], [], {})


@pytest.mark.parametrize("path", ["/models-info", "/health", "/health/live", "/system", "/stats"])
def test_information(api: httpx.Client, path: str) -> None:
    response = api.get(path)
    assert response.status_code == 200
    assert fits(response.json(), f"GET {path}")


def test_health_words(api: httpx.Client) -> None:
    assert api.get("/health").json()["status"] == "ok"
    assert api.get("/health").json()["message"] == "Real-ESRGAN API is running"
    assert api.get("/health/live").json() == {"alive": True}
    ready = eventually(lambda: (r := api.get("/health/ready")).status_code == 200 and r, seconds=60)
    assert ready.json()["ready"] is True  # type: ignore[union-attr]


def test_cleanup(api: httpx.Client) -> None:
    response = api.post("/cleanup", params={"hours": 5000})
    assert response.status_code == 200
    assert fits(response.json(), "POST /cleanup")
    assert response.json()["message"] == "Cleaned up 0 job directories older than 5000 hours"
    assert "older than 24 hours" in api.post("/cleanup").json()["message"]


def test_a_file_too_large_in_the_guides_words(start_service: Callable[..., Service]) -> None:
    with start_service(MAX_UPLOAD_MB="1").client() as client:
        response = client.post("/api/v1/jobs", files={"image": ("a.png", b"x" * 1_500_000)})
        assert is_error(response, 413, "upload_too_large")
        assert response.json()["detail"] == "Upload file exceeds maximum size: 1 MB"


# --- The guide's examples, executed -----------------------------------------------------------------------------------


def guide(shared_dir: Path, heading: str, until: str) -> str:
    """The text between two of the guide's lines."""
    text = (shared_dir / "api-guide.txt").read_text()
    return text[text.index(heading) : text.index(until, text.index(heading))]


def adapted(script: str, service: Service) -> str:
    """The example for this service: its address, and a model that is here."""
    return script.replace("http://localhost:8000", service.base_url).replace("RealESRGAN_x4plus", TINY_MODEL)


def run_bash(script: str, directory: Path) -> str:
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script],
        cwd=directory,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, f"{script}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def curl_examples(shared_dir: Path) -> list[str]:
    """Every command of the guide's reference part that begins with curl."""
    text = guide(shared_dir, "Synchronous Upscaling", "Error Handling\nError Response Format")
    joined = re.sub(r"\\\n", " ", text)
    commands: list[str] = []
    for line in joined.split("\n"):
        if commands and commands[-1].count("'") % 2:  # a JSON body over several lines
            commands[-1] += "\n" + line
        elif line.startswith("curl "):
            commands.append(line)
    return commands


def test_the_guides_curl_examples_run(service: Service, api: httpx.Client, shared_dir: Path, tmp_path: Path) -> None:
    for name in ("input.jpg", "large_image.jpg", "img1.jpg", "img2.jpg", "img3.jpg"):
        (tmp_path / name).write_bytes(picture(40, 30, "JPEG"))
    done = api.post("/upscale", files={"image": ("a.jpg", picture(file_format="JPEG"))}, data={"model": TINY_MODEL})
    commands = curl_examples(shared_dir)
    assert len(commands) == 13
    for example in commands:
        command = adapted(example, service).replace("550e8400-e29b-41d4-a716-446655440000", done.headers["X-Job-ID"])
        # The guide downloads official models from elsewhere; the tests have no elsewhere.
        offline = re.sub(rf'"RealESRGAN_\w+", |, "{TINY_MODEL}_anime_6B"', "", command)
        run_bash(offline.replace("curl ", "curl -fsS ", 1), tmp_path)
    for name in ("output.jpg", "upscaled.jpg"):
        assert (tmp_path / name).read_bytes().startswith(b"\xff\xd8"), name


def test_example_1_simple_synchronous_upscaling(service: Service, shared_dir: Path, tmp_path: Path) -> None:
    (tmp_path / "input.jpg").write_bytes(picture(40, 30, "JPEG"))
    output = run_bash(adapted(guide(shared_dir, "#!/bin/bash\nset -e", "Example 2"), service), tmp_path)
    assert "Done! Output: output.jpg" in output
    assert (tmp_path / "output.jpg").read_bytes().startswith(b"\xff\xd8")


def test_example_2_async_job_with_polling(service: Service, shared_dir: Path, tmp_path: Path) -> None:
    (tmp_path / "input.jpg").write_bytes(picture(40, 30, "JPEG"))
    script = adapted(guide(shared_dir, "import httpx\n", "Example 3"), service)
    lines, inside = [], ""  # the guide's copy lost its indentation: give it back
    for line in script.splitlines():
        if line.startswith(("with open", "while True:")):
            lines.append(line)
            inside = "    "
            continue
        if line.startswith(("job_id =", "# Poll", "# Download")):
            inside = ""
        deeper = "    " if line.startswith(("break", "print(f'Error", "exit(1)")) else ""
        lines.append(inside + deeper + line)
    environment = os.environ | {"NO_PROXY": "*"}
    done = subprocess.run(
        [sys.executable, "-c", "\n".join(lines)],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "Result saved: output.jpg" in done.stdout
    assert (tmp_path / "output.jpg").read_bytes().startswith(b"\xff\xd8")


def test_example_3_batch_processing(service: Service, shared_dir: Path, tmp_path: Path) -> None:
    for name in ("one.jpg", "two.jpg"):
        (tmp_path / name).write_bytes(picture(40, 30, "JPEG"))
    script = adapted(
        guide(shared_dir, '#!/bin/bash\nAPI="http://localhost:8000"\n# Create batch', "Webhooks (Future)"), service
    )
    # As printed, the quotes inside $(...) reach curl as part of the word: the field would be called 'images.
    script = script.replace("\"-F 'images=@$f'\"", '"-F images=@$f"')
    output = run_bash(script, tmp_path)
    assert output.count("Completed:") == 2
    assert len(list(tmp_path.glob("upscaled_*.jpg"))) == 2
