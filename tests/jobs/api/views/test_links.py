"""Links to the ZIP file of several jobs, and to a batch: good for these jobs, for that key, for a while."""

import io
import uuid
import zipfile
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone
from pytest_django.fixtures import Settings

from jobs.auth import api_keys
from jobs.models import ApiKey, Batch, Job

MakeKey = Callable[..., tuple[ApiKey, dict[str, str]]]
MakeJob = Callable[..., Job]

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def required(settings: Settings) -> None:
    """Keys are required."""
    settings.REQUIRE_API_KEY = True


@pytest.fixture
def make_done_job(make_job: MakeJob, settings: Settings, tmp_path: Path) -> MakeJob:
    """Writes a completed job with a result."""
    settings.MEDIA_ROOT = tmp_path

    def make(**fields: Any) -> Job:
        name = f"results/{uuid.uuid4()}.png"
        (tmp_path / "results").mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"picture")
        ended = {"status": "completed", "finished_at": timezone.now(), "result_file": name, "result_bytes": 7}
        return make_job(**(ended | fields))

    return make


def archive_link(client: Client, headers: dict[str, str], *jobs: Job) -> str:
    """The signed address of an archive."""
    ids = ",".join(str(job.pk) for job in jobs)
    answer = client.post(f"/api/v1/jobs/archive/links?ids={ids}&seconds=60", headers=headers)
    assert answer.status_code == 200, answer.content
    assert answer["Cache-Control"] == "no-store"
    return str(answer.json()["archive_url"])


def test_a_link_fetches_these_results_without_a_header(
    client: Client, make_key: MakeKey, make_done_job: MakeJob
) -> None:
    key, headers = make_key()
    jobs = [make_done_job(api_key=key), make_done_job(api_key=key)]
    url = archive_link(client, headers, *jobs)
    assert headers["Authorization"].split()[1] not in url
    answer = client.get(url)
    assert answer.status_code == 200
    with zipfile.ZipFile(io.BytesIO(answer.getvalue())) as archive:
        assert len(archive.namelist()) == 2


def test_a_link_opens_no_other_jobs(client: Client, make_key: MakeKey, make_done_job: MakeJob) -> None:
    key, headers = make_key()
    one, other = make_done_job(api_key=key), make_done_job(api_key=key)
    url = archive_link(client, headers, one)
    signature = url.partition("&")[2]
    for query in (
        f"ids={other.pk}&{signature}",
        f"ids={one.pk},{other.pk}&{signature}",
        f"{signature}",
        f"ids={one.pk}&ids={other.pk}&{signature}",
    ):
        assert client.get(f"/api/v1/jobs/archive?{query}").status_code == 401, query
    for path in (f"/api/v1/jobs/{one.pk}", f"/api/v1/jobs/{one.pk}/result", "/api/v1/jobs"):
        assert client.get(f"{path}?ids={one.pk}&{signature}").status_code == 401


def test_a_link_to_a_jobs_own_address_opens_no_archive(
    client: Client, make_key: MakeKey, make_done_job: MakeJob
) -> None:
    key, headers = make_key()
    job = make_done_job(api_key=key)
    query = client.post(f"/api/v1/jobs/{job.pk}/links", headers=headers).json()["status_url"].partition("?")[2]
    assert client.get(f"/api/v1/jobs/archive?ids={job.pk}&{query}").status_code == 401


def test_a_revoked_key_takes_its_links_with_it(client: Client, make_key: MakeKey, make_done_job: MakeJob) -> None:
    key, headers = make_key()
    url = archive_link(client, headers, make_done_job(api_key=key))
    api_keys.revoke(ApiKey.objects.filter(pk=key.pk))
    assert client.get(url).status_code == 401


def test_no_link_is_made_to_jobs_of_somebody_else(client: Client, make_key: MakeKey, make_done_job: MakeJob) -> None:
    _, headers = make_key()
    other, _ = make_key()
    job = make_done_job(api_key=other)
    assert client.post(f"/api/v1/jobs/archive/links?ids={job.pk}", headers=headers).status_code == 404
    assert client.post(f"/api/v1/jobs/archive/links?ids={job.pk}").status_code == 401


def test_no_link_is_made_to_an_archive_that_would_be_empty(
    client: Client, make_key: MakeKey, make_job: MakeJob
) -> None:
    key, headers = make_key()
    answer = client.post(f"/api/v1/jobs/archive/links?ids={make_job(api_key=key).pk}", headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (404, "result_not_found")


@pytest.mark.parametrize("query", ["", "ids=", "ids=x", "seconds=60", "ids={id}&seconds=0", "ids={id}&second=5"])
def test_a_query_that_makes_no_sense_is_refused(
    client: Client, make_key: MakeKey, make_done_job: MakeJob, query: str
) -> None:
    key, headers = make_key()
    query = query.format(id=make_done_job(api_key=key).pk)
    assert client.post(f"/api/v1/jobs/archive/links?{query}", headers=headers).status_code == 422


def test_where_no_key_is_needed_the_address_comes_unsigned(
    client: Client, settings: Settings, make_done_job: MakeJob
) -> None:
    settings.REQUIRE_API_KEY = False
    job = make_done_job()
    body = client.post(f"/api/v1/jobs/archive/links?ids={job.pk}").json()
    assert body == {"expires_at": None, "archive_url": f"/api/v1/jobs/archive?ids={job.pk}"}
    assert client.get(body["archive_url"]).status_code == 200


def test_a_batch_has_links_of_its_own(client: Client, make_key: MakeKey, make_done_job: MakeJob) -> None:
    key, headers = make_key()
    batch = Batch.objects.create(api_key=key)
    make_done_job(api_key=key, batch=batch, batch_index=0)
    body = client.post(f"/api/v1/batches/{batch.pk}/links?seconds=60", headers=headers).json()
    assert client.get(body["status_url"]).json()["batch_id"] == str(batch.pk)
    answer = client.get(f"{body['results_url']}&partial=true")
    assert answer["Content-Type"] == "application/zip"
    _, others = make_key()
    assert client.post(f"/api/v1/batches/{batch.pk}/links", headers=others).status_code == 404
    assert timezone.now() + timedelta(minutes=1) > datetime.fromisoformat(body["expires_at"])
