"""Who may call what: open by default, keys and scopes where required, everybody's health checks always."""

import re
from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client
from pytest_django.fixtures import Settings

from jobs.auth import api_keys
from jobs.models import ApiKey, Job
from jobs.states import Status

MakeKey = Callable[..., tuple[ApiKey, dict[str, str]]]
MakeJob = Callable[..., Job]

pytestmark = pytest.mark.django_db


def test_everything_is_open_by_default(client: Client) -> None:
    assert client.get("/api/v1/jobs").status_code == 200
    assert client.post("/api/v1/cleanup?dry_run=true").status_code == 200


@pytest.fixture
def required(settings: Settings) -> Settings:
    """Keys are required."""
    settings.REQUIRE_API_KEY = True
    return settings


def test_a_call_without_a_key_gets_401_that_says_how(client: Client, required: Settings) -> None:
    response = client.get("/api/v1/jobs")
    assert response.status_code == 401
    assert response.headers["WWW-Authenticate"] == 'Bearer realm="upscaler"'
    assert response.json()["code"] == "not_authenticated"


@pytest.mark.parametrize("path", ["/api/v1/health", "/api/v1/health/live", "/api/v1/health/ready"])
def test_health_is_open_whatever_is_required(path: str, client: Client, required: Settings) -> None:
    assert client.get(path).status_code in (200, 503)
    assert client.get(path, headers={"Authorization": "Bearer ups_nonsense"}).status_code in (200, 503)


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/api/v1/jobs"), ("POST", "/api/v1/jobs"), ("POST", "/api/v1/upscale"),
        ("POST", "/api/v1/upscale-batch"), ("GET", "/api/v1/jobs/archive"), ("POST", "/api/v1/jobs/archive/links"),
        ("POST", "/api/v1/batches/{id}/links"),
        ("GET", "/api/v1/jobs/{id}"), ("DELETE", "/api/v1/jobs/{id}"), ("POST", "/api/v1/jobs/{id}/cancel"),
        ("POST", "/api/v1/jobs/{id}/retry"), ("POST", "/api/v1/jobs/{id}/links"), ("GET", "/api/v1/jobs/{id}/result"),
        ("GET", "/api/v1/jobs/{id}/preview"), ("GET", "/api/v1/jobs/{id}/input"), ("GET", "/api/v1/jobs/{id}/events"),
        ("GET", "/api/v1/jobs/{id}/pyramid"), ("GET", "/api/v1/jobs/{id}/pyramid/tile"), ("POST", "/api/v1/models"),
        ("GET", "/api/v1/batches/{id}"), ("GET", "/api/v1/batches/{id}/results"), ("GET", "/api/v1/models"),
        ("GET", "/api/v1/models/RealESRGAN_x4plus"), ("DELETE", "/api/v1/models/RealESRGAN_x4plus"),
        ("POST", "/api/v1/models/download"), ("GET", "/api/v1/models-info"), ("POST", "/api/v1/cleanup"),
        ("GET", "/api/v1/system"), ("GET", "/api/v1/estimate"), ("GET", "/api/v1/stats"), ("GET", "/api/v1/usage"),
        ("POST", "/api/v1/erasure"), ("GET", "/api/v1/export"),
    ],
)  # fmt: skip
def test_every_other_endpoint_is_closed(method: str, path: str, client: Client, required: Settings) -> None:
    path = path.format(id="550e8400-e29b-41d4-a716-446655440000")
    assert client.generic(method, path).status_code == 401
    wrong = client.generic(method, path, headers={"X-API-Key": "ups_abcdefgh_" + "a" * 43})
    assert (wrong.status_code, wrong.json()["code"]) == (401, "authentication_failed")


def test_no_endpoint_of_the_api_was_forgotten_above() -> None:
    """The list of closed endpoints and the URL configuration agree."""
    from django.urls import get_resolver

    def walk(patterns: Any, start: str = "") -> list[str]:
        found: list[str] = []
        for pattern in patterns:
            text = start + str(pattern.pattern)
            found += walk(pattern.url_patterns, text) if hasattr(pattern, "url_patterns") else [text]
        return found

    listed = {
        path.strip("/").replace("{id}", "").replace("RealESRGAN_x4plus", "")
        for mark in test_every_other_endpoint_is_closed.pytestmark  # type: ignore[attr-defined]
        for _, path in mark.args[1]
    }
    served = {re.sub(r"<[^>]*>", "", path) for path in walk(get_resolver().url_patterns) if path.startswith("api/v1/")}
    open_to_all = {"api/v1/health", "api/v1/health/live", "api/v1/health/ready"}
    assert {path for path in served if "docs" not in path and "schema" not in path} - open_to_all <= listed


@pytest.mark.parametrize("header", ["Authorization", "X-API-Key"])
def test_a_key_opens_in_either_header(header: str, client: Client, required: Settings, make_key: MakeKey) -> None:
    _, headers = make_key()
    text = headers["Authorization"].removeprefix("Bearer ")
    value = f"bearer {text}" if header == "Authorization" else text
    assert client.get("/api/v1/jobs", headers={header: value}).status_code == 200
    assert ApiKey.objects.get().last_used_at is not None


def test_a_revoked_key_gets_401_even_where_none_is_required(client: Client, make_key: MakeKey) -> None:
    key, headers = make_key()
    api_keys.revoke([key])
    assert client.get("/api/v1/jobs", headers=headers).status_code == 401


def test_a_token_of_another_gateway_is_none_of_our_business(client: Client, settings: Settings) -> None:
    headers = {"Authorization": "Bearer eyJhbGciOi.some.jwt"}
    assert client.get("/api/v1/jobs", headers=headers).status_code == 200
    settings.REQUIRE_API_KEY = True
    assert client.get("/api/v1/jobs", headers=headers).status_code == 401


def test_a_missing_scope_is_403_and_named(client: Client, required: Settings, make_key: MakeKey) -> None:
    _, upscale = make_key("upscale")
    _, manage = make_key("manage")
    refused = client.post("/api/v1/cleanup?dry_run=true", headers=upscale)
    assert (refused.status_code, refused.json()["code"]) == (403, "permission_denied")
    assert "manage" in refused.json()["detail"]
    assert client.post("/api/v1/cleanup?dry_run=true", headers=manage).status_code == 200
    assert client.get("/api/v1/jobs", headers=manage).status_code == 403


def test_management_alone_may_need_a_key(client: Client, settings: Settings, make_key: MakeKey) -> None:
    settings.REQUIRE_MANAGE_KEY = True
    assert client.get("/api/v1/jobs").status_code == 200
    assert client.post("/api/v1/cleanup?dry_run=true").status_code == 401
    _, upscale = make_key("upscale")
    assert client.post("/api/v1/cleanup?dry_run=true", headers=upscale).status_code == 403
    _, manage = make_key("manage")
    assert client.post("/api/v1/cleanup?dry_run=true", headers=manage).status_code == 200


DEEDS = (
    *(("GET", ""), ("GET", "/result"), ("GET", "/preview"), ("GET", "/input"), ("GET", "/events")),
    *(("POST", "/cancel"), ("POST", "/retry"), ("POST", "/links"), ("DELETE", "")),
)


def test_a_caller_sees_and_touches_its_own_jobs_only(
    client: Client, required: Settings, make_key: MakeKey, make_job: MakeJob
) -> None:
    mine, my_headers = make_key()
    other, other_headers = make_key()
    my_job, other_job, nobodys = make_job(api_key=mine), make_job(api_key=other), make_job()
    listing = client.get("/api/v1/jobs", headers=my_headers).json()
    assert [job["job_id"] for job in listing["jobs"]] == [str(my_job.pk)]
    assert listing["total"] == 1
    for job in (other_job, nobodys):
        for method, tail in DEEDS:
            response = client.generic(method, f"/api/v1/jobs/{job.pk}{tail}", headers=my_headers)
            assert response.status_code == 404, (method, tail)
        job.refresh_from_db()
        assert job.status == Status.QUEUED
    assert client.get(f"/api/v1/jobs/{other_job.pk}", headers=other_headers).status_code == 200


def test_a_preflight_needs_no_key(client: Client, required: Settings, settings: Settings) -> None:
    assert client.options("/api/v1/jobs").status_code == 200
