"""Chains over HTTP: one job, one progress, one report; an address in which a + is a blank."""

from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.api.conftest import finished, is_error, picture
from tests.eventually import eventually
from tests.service import SLOW_SIDE, Service
from tests.tiny_models import TINY_MODEL, write_tiny_weights

CHAIN = f"tiny-x1+{TINY_MODEL}"


@pytest.fixture(scope="session")
def restorer(service: Service, tmp_path_factory: pytest.TempPathFactory) -> str:
    """A model that keeps the size."""
    path = tmp_path_factory.mktemp("restorer") / "tiny-x1.safetensors"
    service.import_model(write_tiny_weights(path, scale=1, seed=3), "tiny-x1")
    return "tiny-x1"


def test_a_picture_goes_through_a_chain_and_the_job_tells_of_each_member(api: httpx.Client, restorer: str) -> None:
    form = {"model": CHAIN, "format": "png", "tile_size": "32"}
    job = api.post("/jobs", files={"image": ("cat.png", picture(50, 40))}, data=form).json()
    done = finished(api, job["job_id"])
    assert (done["status"], done["model"]) == ("completed", CHAIN)
    assert (done["result_width"], done["result_height"]) == (100, 80)
    report = done["report"]
    assert report["model"] == CHAIN
    assert [(member["model"], member["scale"]) for member in report["members"]] == [("tiny-x1", 1), (TINY_MODEL, 2)]
    assert done["progress"]["tiles_done"] == report["tiles"] == sum(member["tiles"] for member in report["members"])
    result = api.get(f"/jobs/{job['job_id']}/result")
    assert f"cat_{CHAIN}_x2.png" in result.headers["Content-Disposition"]
    listed = api.get("/jobs", params={"model": CHAIN}).json()
    assert job["job_id"] in [each["job_id"] for each in listed["jobs"]]
    assert {each["model"] for each in listed["jobs"]} == {CHAIN}
    metrics = httpx.get(str(api.base_url).replace("/api/v1/", "/metrics")).text
    assert 'upscaler_jobs_total{model="chain of 2",status="completed"}' in metrics
    assert "tiny-x1+" not in metrics


def test_a_sync_call_and_a_batch_take_a_chain(api: httpx.Client, restorer: str) -> None:
    response = api.post("/upscale", files={"image": ("cat.png", picture(20, 14))}, data={"model": CHAIN})
    assert response.status_code == 200, response.text
    assert response.headers["Content-Type"] == "image/png"
    images = [("images", (f"{number}.png", picture(20 + number, 14))) for number in range(2)]
    batch = api.post("/upscale-batch", files=images, data={"model": CHAIN}).json()
    for job_id in batch["job_ids"]:
        assert finished(api, job_id)["model"] == CHAIN


def test_a_plus_of_an_address_is_a_blank_and_the_answer_says_what_to_write(api: httpx.Client, restorer: str) -> None:
    headers = {"Content-Type": "image/png"}
    bare = api.post(f"/jobs?model={CHAIN}&dry_run=true", content=picture(), headers=headers)
    assert is_error(bare, 404, "model_not_found")
    assert bare.json()["detail"].endswith(f"tiny-x1%2B{TINY_MODEL}")
    right = api.post(f"/jobs?model=tiny-x1%2B{TINY_MODEL}&dry_run=true", content=picture(), headers=headers)
    assert right.status_code == 200
    assert (right.json()["passes"], right.json()["scale"]) == (2, 2.0)
    job = api.post(f"/jobs?model=tiny-x1%2B{TINY_MODEL}", content=picture(), headers=headers).json()
    finished(api, job["job_id"])
    for address in (f"/jobs?model=tiny-x1%2B{TINY_MODEL}", f"/jobs?model={CHAIN}"):  # a list knows what is meant
        assert job["job_id"] in [each["job_id"] for each in api.get(address).json()["jobs"]]


def test_a_chain_is_cancelled_in_the_middle_of_its_second_member(
    api: httpx.Client, restorer: str, slow_model: str
) -> None:
    form = {"model": f"{restorer}+{slow_model}", "tile_size": "64"}
    whole = api.post(
        "/jobs", files={"image": ("big.png", picture(SLOW_SIDE, SLOW_SIDE))}, data={**form, "dry_run": "true"}
    ).json()
    job = api.post("/jobs", files={"image": ("big.png", picture(SLOW_SIDE, SLOW_SIDE))}, data=form).json()

    def progress() -> dict[str, Any]:
        return dict(api.get(f"/jobs/{job['job_id']}").json()["progress"])

    eventually(lambda: progress()["tiles_done"] > whole["tiles"] // 2, seconds=180, say="the second member")
    assert progress()["tiles_total"] == whole["tiles"]
    api.post(f"/jobs/{job['job_id']}/cancel")
    ended = finished(api, job["job_id"])
    assert ended["status"] == "cancelled"
    assert whole["tiles"] // 2 < ended["progress"]["tiles_done"] < whole["tiles"]


def test_a_member_of_a_running_chain_cannot_be_deleted(
    api: httpx.Client, service: Service, slow_job: dict[str, Any], tmp_path: Path
) -> None:
    service.import_model(write_tiny_weights(tmp_path / "passing.safetensors", scale=1, seed=11), "passing")
    form = {"model": f"passing+{TINY_MODEL}"}
    job = api.post("/jobs", files={"image": ("cat.png", picture())}, data=form).json()
    assert is_error(api.delete("/models/passing"), 409, "model_in_use")
    api.post(f"/jobs/{job['job_id']}/cancel")
    assert api.delete("/models/passing").status_code == 204
