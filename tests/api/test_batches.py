"""Batches: a bad file does not sink the rest; counts; the results as one ZIP."""

import io
import json
import zipfile
from typing import Any

import httpx

from tests.api.conftest import finished, is_error, picture
from tests.tiny_models import TINY_MODEL


def submit(api: httpx.Client, *files: tuple[str, bytes], **form: str) -> httpx.Response:
    return api.post("/upscale-batch", files=[("images", file) for file in files], data={"model": TINY_MODEL, **form})


def test_a_bad_file_is_named_and_does_not_sink_the_rest(api: httpx.Client) -> None:
    response = submit(api, ("cat.png", picture(8)), ("notes.txt", b"text"), ("cat.png", picture(9)), ("empty.png", b""))
    shape = response.json()
    assert (response.status_code, shape["total"]) == (202, 2)
    assert shape["message"] == "Batch processing started for 2 images; 2 refused"
    assert [(bad["index"], bad["filename"]) for bad in shape["rejected"]] == [(1, "notes.txt"), (3, "empty.png")]
    assert all(bad["detail"] and bad["code"] for bad in shape["rejected"])
    assert response.headers["Location"] == shape["status_url"]

    for job_id in shape["job_ids"]:
        assert finished(api, job_id)["status"] == "completed"
    batch = api.get(f"/batches/{shape['batch_id']}").json()
    assert batch["status"] == "completed"
    assert batch["counts"] == {"queued": 0, "processing": 0, "completed": 2, "failed": 0, "cancelled": 0}
    assert [job["batch_index"] for job in batch["jobs"]] == [0, 2]
    assert batch["rejected"] == shape["rejected"]

    response = api.get(f"/batches/{shape['batch_id']}/results")
    assert response.headers["Content-Type"] == "application/zip"
    assert int(response.headers["Content-Length"]) == len(response.content)
    archive = zipfile.ZipFile(io.BytesIO(response.content))
    assert archive.testzip() is None
    manifest = json.loads(archive.read("batch.json"))
    names = [entry["result"] for entry in manifest["jobs"]]
    assert len(set(names)) == 2, "two cats stay two files"
    assert sorted(archive.namelist()) == sorted(["batch.json", *names])
    for entry in manifest["jobs"]:
        assert archive.read(entry["result"]) == api.get(f"/jobs/{entry['job_id']}/result").content
    assert [bad["filename"] for bad in manifest["rejected"]] == ["notes.txt", "empty.png"]


def test_a_batch_without_a_single_picture_is_refused_with_every_reason(api: httpx.Client) -> None:
    before = api.get("/jobs", params={"limit": 1}).json()["total"]
    response = submit(api, ("a.txt", b"text"), ("b.png", b""))
    assert is_error(response, 400, "batch_rejected")
    assert [bad["filename"] for bad in response.json()["errors"]] == ["a.txt", "b.png"]
    assert api.get("/jobs", params={"limit": 1}).json()["total"] == before


def test_results_come_when_all_jobs_have_ended_or_partially_before(api: httpx.Client, slow_job: dict[str, Any]) -> None:
    shape = submit(api, ("a.png", picture()), ("b.png", picture(9))).json()
    url = f"/batches/{shape['batch_id']}"
    assert api.get(url).json()["status"] == "queued"
    early = api.get(f"{url}/results")
    assert (early.status_code, early.json()["detail"]) == (202, "Batch still processing")
    assert is_error(api.get(f"{url}/results", params={"partial": "true"}), 404, "result_not_found")
    api.post(f"/jobs/{shape['job_ids'][1]}/cancel")
    api.post(f"/jobs/{slow_job['job_id']}/cancel")
    finished(api, shape["job_ids"][0])
    assert api.get(url).json()["counts"]["cancelled"] == 1
    archive = zipfile.ZipFile(io.BytesIO(api.get(f"{url}/results").content))
    assert len(archive.namelist()) == 2, "the manifest and the one result"


def test_what_does_not_exist(api: httpx.Client) -> None:
    for batch_id in ("nope", "550e8400-e29b-41d4-a716-446655440000"):
        assert is_error(api.get(f"/batches/{batch_id}"), 404, "batch_not_found")
        assert is_error(api.get(f"/batches/{batch_id}/results"), 404, "batch_not_found")


def test_no_files_at_all(api: httpx.Client) -> None:
    assert is_error(api.post("/upscale-batch", files={"image": picture()}), 422, "validation_error")
    assert is_error(
        api.post("/upscale-batch", content=b"{}", headers={"Content-Type": "application/json"}),
        415,
        "unsupported_media_type",
    )
