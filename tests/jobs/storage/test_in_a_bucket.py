"""Jobs whose files are in an object storage: submission, clean-up, a worker's end, in good weather and bad."""

import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from django.test import Client
from pytest_django.fixtures import Settings

from jobs.engine.codec import decode
from jobs.engine.types import Limits
from jobs.models import Job
from jobs.states import Status
from jobs.storage import file_names, files
from jobs.storage.retention import CleanupReport, cleanup
from jobs.submission import limits
from jobs.submission import submit as intake
from jobs.submission.request import Submission
from jobs.worker import storing
from modelstore.errors import StorageUnavailable
from modelstore.stores import chosen
from tests.jobs.conftest import picture, stored_files
from tests.modelstore.stores.moto import server, weather
from tests.modelstore.stores.weather import Weather

__all__ = ["server", "weather"]

Submit = Callable[..., Job]


@pytest.fixture(autouse=True)
def _in_a_bucket(weather: Weather) -> None:
    """Jobs' files are in a new bucket, behind the weather."""


def there() -> list[str]:
    return sorted(name for name, _ in chosen.pictures().list("", lambda _: True) if not name.startswith("."))


def done(job: Job) -> Job:
    """The job as a worker completes it."""
    claimed = Job.objects.claim("w")
    assert claimed is not None
    with files.local(claimed.input_file) as path:
        result = decode(path, Limits())
    finished, _ = storing.store(claimed, result, "test")
    assert Job.objects.succeed(claimed, finished)
    return Job.objects.get(pk=job.pk)


def test_files_come_and_go_in_the_bucket_and_nothing_stays_here(submit: Submit, data_dir: Path) -> None:
    job = done(submit())
    assert there() == sorted([job.input_file, job.result_file])
    assert stored_files(data_dir) == []
    assert cleanup(0) == CleanupReport(jobs=1, files=2, bytes=job.input_bytes + (job.result_bytes or 0))
    assert there() == []


def test_orphans_are_found_by_listing_and_what_is_not_ours_stays(submit: Submit) -> None:
    job = submit()
    orphan = f"results/ab/{uuid.uuid4()}-{uuid.uuid4().hex}.png"
    for name in (orphan, "results/notes.txt", f"results/.snapshot/ab/{uuid.uuid4()}.png"):
        files.write(name, b"123")
    assert cleanup().orphans == 0, "what is young may be named yet"
    assert cleanup(orphan_seconds=-60, dry_run=True) == CleanupReport(orphans=1, bytes=3)
    assert cleanup(orphan_seconds=-60).orphans == 1
    assert [name for name in there() if "snapshot" not in name] == sorted([job.input_file, "results/notes.txt"])


def test_a_refused_call_leaves_nothing_in_the_bucket(
    make_submission: Callable[..., Submission], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_: object) -> None:
        raise RuntimeError("the transaction breaks")

    monkeypatch.setattr(limits, "take", refused)
    with pytest.raises(RuntimeError):
        intake.submit_batch([picture(seed=1), picture(seed=2)], make_submission())
    assert there() == []
    assert not Job.objects.exists()


def test_a_storage_that_is_away_is_a_503_to_callers_and_leaves_no_row(
    client: Client, model: object, weather: Weather
) -> None:
    weather.rule = lambda _: "refuse"
    answer = client.post("/api/v1/jobs", {"image": picture(), "model": "tiny-x2"})
    assert (answer.status_code, answer.json()["code"]) == (503, "storage_unavailable")
    assert answer.headers["Retry-After"] == "5"
    assert not Job.objects.exists()
    weather.rule = lambda _: ""
    assert client.post("/api/v1/jobs", {"image": picture(), "model": "tiny-x2"}).status_code == 202


def test_a_full_storage_is_a_507(client: Client, model: object, weather: Weather) -> None:
    weather.rule = lambda head: "full" if head.startswith(b"PUT") and b"/inputs/" in head else ""
    answer = client.post("/api/v1/jobs", {"image": picture(), "model": "tiny-x2"})
    assert (answer.status_code, answer.json()["code"]) == (507, "storage_full")
    assert not Job.objects.exists()


def test_deletions_that_are_refused_are_counted_and_the_rows_go(submit: Submit, weather: Weather) -> None:
    job = done(submit())
    weather.rule = lambda head: "deny" if head.startswith(b"DELETE") else ""
    report = cleanup(0)
    assert (report.jobs, report.failed) == (1, 2)
    assert there() == sorted(file_names.names_of(job))


def test_a_worker_holds_its_result_until_the_storage_is_back(
    submit: Submit, weather: Weather, monkeypatch: pytest.MonkeyPatch
) -> None:
    claimed = Job.objects.claim("w") if submit() else None
    assert claimed is not None
    with files.local(claimed.input_file) as path:
        result = decode(path, Limits())
    weather.rule = lambda _: "refuse"
    asked = []

    def still_wanted() -> None:
        asked.append(1)
        if len(asked) == 2:
            weather.rule = lambda _: ""

    finished, _ = storing.store(claimed, result, "test", still_wanted)
    assert finished.result_file in there()
    weather.rule = lambda _: "refuse"
    monkeypatch.setattr(storing, "PATIENCE_SECONDS", 0.0)
    with pytest.raises(StorageUnavailable):
        storing.store(claimed, result, "test", still_wanted)
    assert Job.objects.get().status == Status.PROCESSING


def test_readiness_says_what_is_wrong_and_what_to_do(
    client: Client, data_dir: Path, db: None, weather: Weather
) -> None:
    def storage() -> dict[str, Any]:
        found = client.get("/api/v1/health/ready").json()["checks"]
        return next(check for check in found if check["name"] == "storage")

    weather.rule = lambda _: "deny"
    assert "look at the policy" in storage()["detail"]
    weather.rule = lambda _: ""
    assert storage()["ok"] is True


def test_results_come_from_the_bucket_itself_where_that_is_wished(
    client: Client, submit: Submit, settings: Settings
) -> None:
    job = done(submit())
    address = f"/api/v1/jobs/{job.pk}/result"
    whole = b"".join(client.get(address).streaming_content)  # type: ignore[attr-defined]  # a file's answer
    settings.STORAGE_REDIRECT_SECONDS = 60
    answer = client.get(address)
    assert (answer.status_code, answer.headers["Cache-Control"]) == (302, "no-store")
    fetched = httpx.get(answer.headers["Location"])
    assert fetched.content == whole
    assert fetched.headers["Content-Type"] == "image/png"
    assert "cat_tiny-x2" in fetched.headers["Content-Disposition"]
    for headers in (
        {"Sec-Fetch-Site": "same-origin"},  # the page: its policy allows no other host
        {"X-API-Key": "x"},  # most HTTP clients would hand it to the other host
        {"If-None-Match": '"other"'},
    ):
        assert client.get(address, headers=headers).status_code in (200, 401)
    assert client.head(address).status_code == 200
    Job.objects.filter(pk=job.pk).update(delete_after_download=True)
    assert client.get(address).status_code == 200, "who counts bytes must send them"
    files.remove([job.result_file])
    Job.objects.filter(pk=job.pk).update(delete_after_download=False)
    assert client.get(address).status_code == 404
