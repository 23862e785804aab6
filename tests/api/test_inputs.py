"""Ways to send a picture: a form, the body itself; streamed, and cut off at the limit."""

import http.client
import os
from collections.abc import Callable
from typing import Any

import httpx

from tests.api.conftest import is_error, picture
from tests.service import Service
from tests.tiny_models import TINY_MODEL


def test_the_body_may_be_the_picture_itself(api: httpx.Client) -> None:
    response = api.post(
        "/upscale",
        params={"model": TINY_MODEL, "outscale": "3", "format": "webp"},
        content=picture(10, 6),
        headers={"Content-Type": "image/png", "Content-Disposition": 'attachment; filename="cat.png"'},
    )
    assert response.status_code == 200, response.text
    assert response.headers["Content-Type"] == "image/webp"
    assert 'filename="cat_' in response.headers["Content-Disposition"]
    job = api.get(f"/jobs/{response.headers['X-Job-ID']}").json()
    assert (job["filename"], job["result_width"], job["options"]) == (
        "cat.png",
        30,
        {"outscale": 3.0, "format": "webp"},
    )


def test_what_the_caller_calls_the_picture_does_not_matter(api: httpx.Client) -> None:
    response = api.post("/jobs", params={"model": TINY_MODEL}, content=picture(), headers={"Content-Type": "image/gif"})
    assert response.status_code == 202
    assert api.get(response.json()["status_url"].removeprefix("/api/v1")).json()["input_format"] == "png"


def test_a_dry_run_tells_what_it_would_cost_and_creates_nothing(
    api: httpx.Client, nothing_left: Callable[[], None]
) -> None:
    for path in ("/upscale", "/jobs"):
        files, form = {"image": ("a.png", picture(40, 30))}, {"model": TINY_MODEL, "outscale": "4"}
        response = api.post(path, params={"dry_run": "true"}, files=files, data=form)
        assert response.status_code == 200, response.text
        plan = response.json()
        assert plan["dry_run"] is True
        assert (plan["input_width"], plan["input_height"], plan["output_width"], plan["output_height"]) == (
            40,
            30,
            160,
            120,
        )
        assert plan["tiles"] >= 1
        assert plan["memory_bytes"] > 0


def test_a_dry_run_refuses_what_a_submission_would_refuse(api: httpx.Client) -> None:
    response = api.post(
        "/jobs", params={"dry_run": "true"}, files={"image": ("a", b"text")}, data={"model": TINY_MODEL}
    )
    assert is_error(response, 400, "image_invalid")
    unknown = api.post("/jobs", params={"dry_run": "true"}, files={"image": picture()}, data={"model": "x"})
    assert is_error(unknown, 404, "model_not_found")


def test_uploads_are_cut_off_at_the_limit(start_service: Callable[..., Service]) -> None:
    service = start_service(MAX_UPLOAD_MB="2")
    with service.client() as client:
        by_length = client.post("/api/v1/jobs", files={"image": ("a.png", bytes(6_000_000))})
        assert is_error(by_length, 413, "upload_too_large")
        # Within the allowance for the form, so the length says nothing: counted while it arrives.
        counted = client.post("/api/v1/jobs", files={"image": ("a.png", bytes(2_500_000))})
        assert is_error(counted, 413, "upload_too_large")
        raw = client.post("/api/v1/jobs", content=bytes(2_000_001), headers={"Content-Type": "image/png"})
        assert is_error(raw, 413, "upload_too_large")
        assert client.get("/api/v1/jobs").json()["total"] == 0
    assert list((service.data_dir / "files").rglob("*.*")) == []


def test_a_refusal_does_not_wait_for_the_rest_of_the_upload(service: Service) -> None:
    """500 GB are announced and nothing is sent: the answer comes at once."""
    connection = http.client.HTTPConnection("127.0.0.1", service.port, timeout=60)
    connection.putrequest("POST", "/api/v1/upscale")
    connection.putheader("Content-Type", "multipart/form-data; boundary=x")
    connection.putheader("Content-Length", str(500 * 10**9))
    connection.endheaders()
    response = connection.getresponse()
    assert response.status == 413
    assert b"Upload file exceeds maximum size: 500 MB" in response.read()
    connection.close()


def test_a_file_of_a_batch_that_is_too_large_does_not_sink_the_rest(
    start_service: Callable[..., Service], tiny_weights: Any
) -> None:
    service = start_service(MAX_UPLOAD_MB="1")
    service.import_model(tiny_weights, TINY_MODEL)
    with service.client() as client:
        files = [
            ("images", ("good.png", picture())),
            ("images", ("big.png", os.urandom(1_500_000))),
            ("images", ("fine.png", picture(9))),
        ]
        response = client.post("/api/v1/upscale-batch", files=files, data={"model": TINY_MODEL})
        shape = response.json()
        assert (response.status_code, shape["total"]) == (202, 2), shape
        assert [(bad["index"], bad["filename"], bad["code"]) for bad in shape["rejected"]] == [
            (1, "big.png", "upload_too_large")
        ]
