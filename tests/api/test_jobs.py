"""Cancel, retry, delete through the API."""

import uuid
from typing import Any

import httpx

from tests.api.conftest import finished, is_error, picture
from tests.tiny_models import TINY_MODEL


def test_a_waiting_job_is_cancelled_at_once_and_can_be_run_again(api: httpx.Client, slow_job: dict[str, Any]) -> None:
    job_id = api.post("/jobs", files={"image": picture()}, data={"model": TINY_MODEL}).json()["job_id"]
    cancelled = api.post(f"/jobs/{job_id}/cancel")
    assert (cancelled.status_code, cancelled.json()["status"]) == (200, "cancelled")
    assert is_error(api.post(f"/jobs/{job_id}/cancel"), 409, "job_state_conflict")
    again = api.post(f"/jobs/{job_id}/retry")
    assert (again.status_code, again.json()["status"]) == (202, "queued")
    assert again.headers["Location"] == f"/api/v1/jobs/{job_id}"
    api.post(f"/jobs/{slow_job['job_id']}/cancel")
    done = finished(api, job_id)
    assert (done["status"], done["eta_seconds"]) == ("completed", None)
    assert is_error(api.post(f"/jobs/{job_id}/retry"), 409, "job_state_conflict")


def test_a_running_job_stops_between_two_tiles(api: httpx.Client, slow_job: dict[str, Any]) -> None:
    answer = api.delete(f"/jobs/{slow_job['job_id']}")
    assert answer.status_code == 202, "it is asked to stop"
    assert answer.json()["cancel_requested"] is True
    assert finished(api, slow_job["job_id"])["status"] == "cancelled"


def test_a_running_job_tells_its_progress(api: httpx.Client, slow_job: dict[str, Any]) -> None:
    from tests.eventually import eventually

    def moved() -> dict[str, Any] | None:
        job: dict[str, Any] = api.get(f"/jobs/{slow_job['job_id']}").json()
        return job if job["progress"]["tiles_done"] > 0 else None

    progress = eventually(moved, seconds=120)["progress"]  # type: ignore[index]
    assert 0 < progress["tiles_done"] <= progress["tiles_total"]
    assert progress["fraction"] == progress["tiles_done"] / progress["tiles_total"]


def test_what_does_not_exist(api: httpx.Client) -> None:
    for job_id in (str(uuid.uuid4()), "nonsense", "{" + str(uuid.uuid4()) + "}", "a" * 3000):
        for method, path in [("POST", "cancel"), ("POST", "retry"), ("GET", "events"), ("GET", "input")]:
            assert is_error(api.request(method, f"/jobs/{job_id}/{path}"), 404, "job_not_found")
        assert is_error(api.delete(f"/jobs/{job_id}"), 404, "job_not_found")
