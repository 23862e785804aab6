"""Prefer (RFC 7240), and Idempotency-Key."""

import uuid
from typing import Any

import httpx

from tests.api.conftest import finished, is_error, picture
from tests.tiny_models import TINY_MODEL


def send(
    api: httpx.Client, path: str, headers: dict[str, str], content: bytes | None = None, **form: str
) -> httpx.Response:
    files = {"image": ("a.png", content or picture())}
    return api.post(path, files=files, data={"model": TINY_MODEL, **form}, headers=headers)


def test_respond_async_answers_where_the_result_will_be(api: httpx.Client) -> None:
    response = send(api, "/upscale", {"Prefer": "respond-async"})
    assert response.status_code == 202
    assert response.headers["Preference-Applied"] == "respond-async"
    assert response.headers["Location"] == response.json()["status_url"]
    assert int(response.headers["Retry-After"]) >= 1
    assert finished(api, response.json()["job_id"])["status"] == "completed"


def test_a_wait_that_is_too_short_loses_nothing(api: httpx.Client, slow_job: dict[str, Any]) -> None:
    response = send(api, "/upscale", {"Prefer": "wait=1"})
    assert (response.status_code, response.headers["Preference-Applied"]) == (202, "wait=1")
    api.post(f"/jobs/{slow_job['job_id']}/cancel")
    assert finished(api, response.json()["job_id"])["status"] == "completed"


def test_a_wait_that_is_long_enough_gives_the_picture(api: httpx.Client) -> None:
    response = send(api, "/upscale", {"Prefer": "wait=120"})
    assert (response.status_code, response.headers["Preference-Applied"]) == (200, "wait=120")
    assert response.content.startswith(b"\x89PNG")


def test_a_repeated_call_answers_the_first_ones_job(api: httpx.Client) -> None:
    key = {"Idempotency-Key": str(uuid.uuid4())}
    first, again = send(api, "/jobs", key), send(api, "/jobs", key)
    assert first.json()["job_id"] == again.json()["job_id"]
    finished(api, first.json()["job_id"])
    late = send(api, "/jobs", key)
    assert (late.status_code, late.json()["job_id"]) == (202, first.json()["job_id"])


def test_a_key_that_was_used_for_something_else_is_refused(api: httpx.Client) -> None:
    key = {"Idempotency-Key": str(uuid.uuid4())}
    assert send(api, "/jobs", key).status_code == 202
    assert is_error(send(api, "/jobs", key, tile_size="64"), 422, "idempotency_key_reused")
    assert is_error(send(api, "/jobs", key, picture(20, 20)), 422, "idempotency_key_reused")


def test_a_key_that_is_too_long_is_refused(api: httpx.Client) -> None:
    assert is_error(send(api, "/jobs", {"Idempotency-Key": "a" * 256}), 422, "validation_error")


def test_the_callers_request_id_comes_back(api: httpx.Client) -> None:
    assert api.get("/health", headers={"X-Request-ID": "order-17.b"}).headers["X-Request-ID"] == "order-17.b"
    made_up = api.get("/health", headers={"X-Request-ID": "<script>"}).headers["X-Request-ID"]
    assert len(made_up) == 32
