"""Signed links: one path, one key, for a while."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from django.test import Client
from pytest_django.fixtures import Settings

from jobs.auth import api_keys, signed_urls
from jobs.models import ApiKey, Job

MakeKey = Callable[..., tuple[ApiKey, dict[str, str]]]

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def required(settings: Settings) -> None:
    """Keys are required."""
    settings.REQUIRE_API_KEY = True


def test_a_link_opens_its_own_path_without_a_header(
    client: Client, make_key: MakeKey, make_job: Callable[..., Job]
) -> None:
    key, headers = make_key()
    job = make_job(api_key=key)
    answer = client.post(f"/api/v1/jobs/{job.pk}/links?seconds=60", headers=headers)
    assert answer.status_code == 200
    body = answer.json()
    assert client.get(body["status_url"]).json()["job_id"] == str(job.pk)
    assert client.get(body["result_url"]).status_code == 202
    expires_at = datetime.fromisoformat(body["expires_at"])
    assert timedelta(0) < expires_at - datetime.now(UTC) <= timedelta(seconds=60)


def test_a_link_opens_nothing_else(client: Client, make_key: MakeKey, make_job: Callable[..., Job]) -> None:
    key, headers = make_key()
    job, second = make_job(api_key=key), make_job(api_key=key)
    url = client.post(f"/api/v1/jobs/{job.pk}/links", headers=headers).json()["status_url"]
    query = url.partition("?")[2]
    for path in (f"/api/v1/jobs/{second.pk}", f"/api/v1/jobs/{job.pk}/result", "/api/v1/jobs"):
        assert client.get(f"{path}?{query}").status_code == 401
    for method in ("DELETE", "POST", "PUT"):
        assert client.generic(method, url).status_code == 401
    job.refresh_from_db()
    assert job.status == "queued"


def test_a_changed_link_is_refused(client: Client, make_key: MakeKey, make_job: Callable[..., Job]) -> None:
    key, headers = make_key()
    job = make_job(api_key=key)
    url = client.post(f"/api/v1/jobs/{job.pk}/links", headers=headers).json()["status_url"]
    moment, prefix, signature = url.partition("signature=")[2].split(".")
    path = url.partition("?")[0]
    for changed in (
        f"{int(moment) + 1}.{prefix}.{signature}",
        f"{moment}.aaaaaaaa.{signature}",
        f"{moment}.{prefix}.{signature[:-1]}",
        f"{moment}.{prefix}.",
        f"{moment}",
        "",
        "٣.x.y",
        "9" * 5000,
        "%00.%00.%00",
    ):
        assert client.get(path, {"signature": changed}).status_code == 401, changed


def test_a_link_ends_with_its_time_and_with_its_key(make_key: MakeKey) -> None:
    key, _ = make_key()
    path = "/api/v1/jobs/x"

    def signature(seconds: float) -> str:
        return signed_urls.sign(path, key, until=datetime.now(UTC) + timedelta(seconds=seconds)).partition(
            "signature="
        )[2]

    good = signature(600)
    assert signed_urls.verify(path, good) == key
    assert signed_urls.verify(path, signature(-1)) is None
    assert int(signature(10**9).partition(".")[0]) <= (datetime.now(UTC) + signed_urls.MAX_AGE).timestamp()
    api_keys.revoke([key])
    assert signed_urls.verify(path, good) is None


def test_where_no_key_is_needed_links_are_plain(
    client: Client, settings: Settings, make_job: Callable[..., Job]
) -> None:
    settings.REQUIRE_API_KEY = False
    job = make_job()
    body = client.post(f"/api/v1/jobs/{job.pk}/links").json()
    assert (body["expires_at"], body["status_url"]) == (None, f"/api/v1/jobs/{job.pk}")
