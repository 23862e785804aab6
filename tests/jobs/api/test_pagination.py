"""The job list: filters, stable pages, a constant number of queries."""

import uuid
from datetime import timedelta
from typing import Any
from urllib.parse import urlencode

import pytest
from django.test import Client
from django.utils import timezone
from hypothesis import given
from hypothesis import strategies as st
from pytest_django import DjangoAssertNumQueries

from jobs.api.pagination import CursorInvalid, decode_cursor, encode_cursor
from jobs.models import Batch, Job

pytestmark = pytest.mark.django_db


def make_jobs(count: int, **fields: Any) -> list[Job]:
    """Rows as a finished job leaves them, a second apart."""
    now = timezone.now()
    defaults: dict[str, Any] = {"status": "completed", "model": "m", "result_file": "y", "finished_at": now}
    picture = {"input_file": "x", "input_sha256": "0" * 64, "input_bytes": 1, "input_format": "png"}
    defaults |= picture | {"input_width": 1, "input_height": 1}
    return Job.objects.bulk_create(
        Job(**{**defaults, "created_at": now - timedelta(seconds=number), "queued_at": now, **fields})
        for number in range(count)
    )


def page(client: Client, **query: Any) -> dict[str, Any]:
    response = client.get("/api/v1/jobs", {name: str(value) for name, value in query.items()})
    assert response.status_code == 200, response.content
    shape: dict[str, Any] = response.json()
    return shape


def ids(shape: dict[str, Any]) -> list[str]:
    return [job["job_id"] for job in shape["jobs"]]


def test_newest_first_a_hundred_by_default(client: Client) -> None:
    jobs = make_jobs(120)
    shape = page(client)
    assert (shape["total"], shape["returned"], len(shape["jobs"])) == (120, 100, 100)
    assert ids(shape) == [str(job.id) for job in jobs[:100]]


def test_pages_follow_each_other_while_jobs_come_in(client: Client) -> None:
    jobs = make_jobs(25)
    first = page(client, limit=10)
    make_jobs(3, created_at=timezone.now() + timedelta(minutes=1))
    second = page(client, limit=10, cursor=first["next_cursor"])
    third = page(client, limit=10, cursor=second["next_cursor"])
    assert ids(first) + ids(second) + ids(third) == [str(job.id) for job in jobs]
    assert third["next_cursor"] is None
    assert third["total"] == 28


def test_jobs_of_the_same_moment_are_each_seen_once(client: Client) -> None:
    jobs = make_jobs(23, created_at=timezone.now())
    seen, cursor = [], None
    while True:
        query: dict[str, Any] = {"cursor": cursor} if cursor else {}
        shape = page(client, limit=5, **query)
        seen += ids(shape)
        cursor = shape["next_cursor"]
        if cursor is None:
            break
    assert sorted(seen) == sorted(str(job.id) for job in jobs)


def test_the_link_header_leads_to_the_next_page(client: Client) -> None:
    make_jobs(3)
    response = client.get("/api/v1/jobs", {"limit": "2", "status": "completed"})
    link = response.headers["Link"]
    assert link.endswith('; rel="next"')
    following = client.get(link[1 : link.index(">")])
    assert following.json()["returned"] == 1
    assert "Link" not in following.headers


def test_filters(client: Client) -> None:
    batch = Batch.objects.create()
    make_jobs(2, model="a")
    make_jobs(3, model="b", batch=batch)
    make_jobs(1, model="b", status="failed", result_file="")
    old = timezone.now() - timedelta(days=2)
    make_jobs(1, model="b", created_at=old)
    assert page(client, model="a")["total"] == 2
    assert page(client, batch=str(batch.id))["total"] == 3
    assert page(client, status="failed")["total"] == 1
    assert page(client, status="failed", model="a")["total"] == 0
    some = Job.objects.order_by("id")[:2]
    found = page(client, ids=",".join([*(str(job.id) for job in some), str(uuid.uuid4())]), limit=10)
    assert {job["job_id"] for job in found["jobs"]} == {str(job.id) for job in some}
    assert found["total"] == 2
    day = timedelta(days=1)
    assert page(client, created_before=(timezone.now() - day).isoformat())["total"] == 1
    assert page(client, created_after=(timezone.now() - day).isoformat().replace("+00:00", "Z"))["total"] == 6


@pytest.mark.parametrize(
    "query",
    [
        *({"limit": value} for value in ("0", "1001", "abc", ["1", "2"])),
        *({"status": "done"}, {"cursor": "x"}, {"batch": "x"}, {"created_after": "yesterday"}),
        *({"statuss": "completed"}, {"model": ""}),
        *({"ids": ids} for ids in ("", ",", "x", ",".join(["00000000-0000-0000-0000-000000000000"] * 201))),
    ],
)
def test_nonsense_is_refused(client: Client, query: dict[str, Any]) -> None:
    response = client.get(f"/api/v1/jobs?{urlencode(query, doseq=True)}")
    assert response.status_code == 422
    assert [problem["field"] for problem in response.json()["errors"]] == list(query)


def test_the_number_of_queries_does_not_grow(client: Client, django_assert_num_queries: DjangoAssertNumQueries) -> None:
    batch = Batch.objects.create()
    make_jobs(2, batch=batch)
    with django_assert_num_queries(2):
        page(client)
    make_jobs(100, batch=batch)
    with django_assert_num_queries(2):
        page(client)
    with django_assert_num_queries(2):
        client.get(f"/api/v1/batches/{batch.id}")


def test_waiting_jobs_cost_a_look_at_the_queue_once(
    client: Client, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    make_jobs(50, status="queued", result_file="", finished_at=None, model="never-measured")
    with django_assert_max_num_queries(6):  # what runs now is one of them
        assert page(client)["returned"] == 50


@given(st.datetimes(), st.uuids())
def test_cursors_are_read_back(moment: Any, job_id: uuid.UUID) -> None:
    from datetime import UTC, datetime

    created_at = moment.replace(tzinfo=UTC)
    if created_at < datetime(1970, 1, 1, tzinfo=UTC):
        return
    assert decode_cursor(encode_cursor(Job(id=job_id, created_at=created_at))) == (created_at, job_id)


@given(st.text(max_size=100))
def test_no_text_breaks_the_reading_of_cursors(text: str) -> None:
    try:
        decode_cursor(text)
    except CursorInvalid:
        return
    assert len(text) == 32
