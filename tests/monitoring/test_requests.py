"""HTTP requests are counted by pattern; none is counted twice, and none is lost when the database is away."""

import os

import pytest
from django.db import DatabaseError, connection
from django.test import Client

from monitoring.models import ALL_TIME, RequestFigure
from monitoring.requests import RequestCounter, counter

pytestmark = pytest.mark.django_db


def counts() -> dict[tuple[str, str, int], int]:
    rows = RequestFigure.objects.filter(hour=ALL_TIME)
    return {(row.method, row.route, row.status): row.count for row in rows}


def test_paths_are_counted_by_their_pattern(client: Client) -> None:
    for number in range(3):
        client.get(f"/api/v1/jobs/no-such-job-{number}")
    client.get("/api/v1/health/live")
    client.get("/nowhere/at/all")
    client.get("/api/v1/nowhere")
    counter.flush()
    assert counts() == {
        ("GET", "api/v1/jobs/<str:job_id>", 404): 3,
        ("GET", "api/v1/health/live", 200): 1,
        ("GET", "(no route)", 404): 1,
        ("GET", "api/v1/(no route)", 404): 1,
    }


def test_an_unknown_method_does_not_make_a_new_row_each() -> None:
    own = RequestCounter()
    for method in ("BREW", "PROPFIND", "X" * 500):
        own.note(method, "x", 405, 0.001)
    own.flush()
    assert counts() == {("OTHER", "x", 405): 3}


def test_flushing_adds_to_what_is_there() -> None:
    for seconds in (0.001, 0.2, 700.0):
        own = RequestCounter()
        own.note("GET", "x", 200, seconds)
        own.flush()
    own.flush()
    row = RequestFigure.objects.get(route="x", hour=ALL_TIME)
    assert row.count == sum(row.buckets) == 3
    assert row.seconds == pytest.approx(700.201)
    assert (row.buckets[0], row.buckets[-1]) == (1, 1)
    hours = RequestFigure.objects.filter(route="x").exclude(hour=ALL_TIME)
    assert sum(each.count for each in hours) == 3


def test_counts_are_kept_while_the_database_is_away(caplog: pytest.LogCaptureFixture) -> None:
    own = RequestCounter()
    own.note("GET", "x", 200, 0.1)

    def away(*_: object) -> None:
        raise DatabaseError("away")

    with connection.execute_wrapper(away):
        own.flush()
        own.flush()
    own.note("GET", "x", 200, 0.1)
    own.flush()
    assert counts() == {("GET", "x", 200): 2}
    assert [record.levelname for record in caplog.records if record.name == "monitoring.requests"] == ["WARNING"]


def test_a_forked_process_does_not_write_its_parents_counts() -> None:
    own = RequestCounter()
    own.note("GET", "parent", 200, 0.1)
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        own.note("GET", "child", 200, 0.1)
        os.write(writing, ",".join(key[2] for key in own._sums).encode())
        os._exit(0)
    os.waitpid(child, 0)
    assert os.read(reading, 1000) == b"child"
    os.close(reading)
    os.close(writing)
