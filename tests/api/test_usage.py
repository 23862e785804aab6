"""Usage and quotes of a running service."""

from typing import Any

import httpx

from tests.api.conftest import finished, is_error, picture
from tests.eventually import eventually
from tests.tiny_models import TINY_MODEL


def usage(api: httpx.Client) -> dict[str, Any]:
    rows = api.get("/usage", params={"group_by": "model,device"}).json()["rows"]
    return next((row for row in rows if (row["model"], row["device"]) == (TINY_MODEL, "cpu")), {"jobs_completed": 0})


def test_a_job_is_in_the_ledger_as_soon_as_it_has_ended(api: httpx.Client) -> None:
    before = usage(api)["jobs_completed"]
    job = api.post("/jobs", files={"image": picture(30, 20)}, data={"model": TINY_MODEL}).json()
    done = finished(api, job["job_id"])
    after = usage(api)
    assert after["jobs_completed"] == before + 1
    assert after["device_seconds"] >= round(done["report"]["seconds"]["infer"], 3)
    assert api.delete(f"/jobs/{job['job_id']}").status_code == 204
    assert usage(api) == after, "it stays when the job goes"


def test_a_quote_that_is_dearer_than_the_caller_wants_is_refused_on_every_road(api: httpx.Client) -> None:
    job = api.post("/jobs", files={"image": picture(30, 20)}, data={"model": TINY_MODEL}).json()
    finished(api, job["job_id"])
    told = api.get("/estimate", params={"model": TINY_MODEL, "input_width": 31, "input_height": 20}).json()
    assert told["device_seconds"] > 0
    assert (told["price"], told["currency"]) == (None, None), "this service has no tariff"
    form = {"model": TINY_MODEL, "max_device_seconds": "0", "reuse": "false"}

    def refused() -> bool:  # a measurement is read again after some seconds
        return api.post("/jobs", files={"image": picture(31, 20)}, data=form).status_code == 400

    eventually(refused)
    for path in ("/jobs", "/upscale", "/jobs?dry_run=true"):
        answer = api.post(path, files={"image": picture(31, 20)}, data=form)
        assert is_error(answer, 400, "too_expensive")
        assert "max_device_seconds is 0" in answer.json()["detail"]
    answer = api.post("/upscale-batch", files={"images": picture(31, 20)}, data=form)
    assert is_error(answer, 400, "batch_rejected")
    assert answer.json()["errors"][0]["code"] == "too_expensive"
    raw = api.post("/jobs", params=form, content=picture(31, 20), headers={"Content-Type": "image/png"})
    assert is_error(raw, 400, "too_expensive")
    assert is_error(
        api.post("/jobs", files={"image": picture()}, data={**form, "max_device_seconds": "-1"}),
        422,
        "validation_error",
    )
    assert api.post("/jobs", files={"image": picture()}, data={**form, "max_device_seconds": "1e6"}).status_code == 202
