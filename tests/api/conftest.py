"""The running service as the API's tests see it."""

import io
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from PIL import Image

from tests.eventually import eventually
from tests.service import SLOW_SIDE, Service

ENDED = {"completed", "failed", "cancelled"}


@pytest.fixture
def api(service: Service) -> Iterator[httpx.Client]:
    """A client of the shared service, below /api/v1."""
    with httpx.Client(base_url=f"{service.base_url}/api/v1", timeout=240) as client:
        yield client


def picture(
    width: int = 12, height: int = 9, file_format: str = "PNG", *, color: tuple[int, int, int] = (200, 80, 20)
) -> bytes:
    """A small picture with something in it."""
    image = Image.new("RGB", (width, height), color)
    image.putpixel((width // 2, height // 2), (0, 0, 255))
    out = io.BytesIO()
    image.save(out, file_format)
    return out.getvalue()


@pytest.fixture
def slow_job(api: httpx.Client, slow_model: str) -> Iterator[dict[str, Any]]:
    """A job that keeps the worker busy until the test ends; then it is cancelled."""
    form = {"model": slow_model, "tile_size": "64"}
    job = api.post("/jobs", files={"image": ("big.png", picture(SLOW_SIDE, SLOW_SIDE))}, data=form).json()
    eventually(lambda: api.get(f"/jobs/{job['job_id']}").json()["status"] == "processing", seconds=120)
    yield job
    api.post(f"/jobs/{job['job_id']}/cancel")
    finished(api, job["job_id"])


def finished(api: httpx.Client, job_id: str) -> dict[str, Any]:
    """Wait for a job's end."""

    def look() -> dict[str, Any]:
        job: dict[str, Any] = api.get(f"/jobs/{job_id}").json()
        return job if job["status"] in ENDED else {}

    return eventually(look, seconds=180, say=f"the end of job {job_id}")


def is_error(response: httpx.Response, status: int, code: str) -> bool:
    """Assert the error contract; True, so that it reads as an assertion."""
    shape = response.json()
    assert (response.status_code, shape["code"]) == (status, code), shape
    assert isinstance(shape["detail"], str)
    assert shape["detail"]
    assert ("errors" in shape) == (code in ("validation_error", "batch_rejected"))
    return True


@pytest.fixture
def nothing_left(service: Service, api: httpx.Client) -> Iterator[Callable[[], None]]:
    """Check at the end that the test created no row and left no file."""
    files = service.data_dir / "files"

    def seen() -> tuple[int, set[Path]]:
        paths = {path for path in files.rglob("*") if path.is_file() and "preview" not in str(path)}
        return api.get("/jobs", params={"limit": 1}).json()["total"], paths

    before = seen()

    def check() -> None:
        total, paths = seen()
        assert total == before[0], "a row was created"
        assert paths <= before[1], f"left behind: {paths - before[1]}"

    def clean() -> bool:
        check()
        return True

    yield check
    eventually(clean, seconds=20)  # a job of the test before may be writing its result
