"""What was measured is found by an index; the queue is walked once for one poll."""

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from jobs.models import Job
from jobs.progress import eta, throughput
from jobs.progress.eta import Forecast
from tests.jobs import made

pytestmark = pytest.mark.django_db


def test_one_poll_walks_the_queue_once_and_a_new_job_is_seen_at_once() -> None:
    made.completed()
    eta._measured.clear()
    first = made.queued()
    with CaptureQueriesContext(connection) as found:
        once, again = Forecast([first]).seconds_left(first), Forecast([first]).seconds_left(first)
    assert once == again
    assert once is not None
    walks = [query for query in found.captured_queries if 'ORDER BY "jobs_job"."priority" DESC' in query["sql"]]
    assert len(walks) == 1
    second = made.queued()
    behind = Forecast([second]).seconds_left(second)
    assert behind is not None
    assert behind > once


def test_the_time_left_is_unknown_until_a_job_of_the_model_was_measured(client: Client) -> None:
    eta._measured.clear()
    waiting = made.queued()
    assert client.get(f"/api/v1/jobs/{waiting.pk}").json()["eta_seconds"] is None
    waiting.delete()
    made.completed()
    Job.objects.update(processing_seconds=4.0, report={})
    eta._measured.clear()
    waiting = made.queued()
    assert client.get(f"/api/v1/jobs/{waiting.pk}").json()["eta_seconds"] == pytest.approx(4.0)


def test_the_measured_jobs_of_a_model_are_found_by_their_index() -> None:
    made.completed()
    with CaptureQueriesContext(connection) as found:
        assert throughput.measured("tiny-x2") is not None
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL enable_seqscan = off")
        cursor.execute("EXPLAIN " + found.captured_queries[0]["sql"])
        plan = "\n".join(row[0] for row in cursor.fetchall())
    assert "job_measured" in plan, plan
    assert "Sort" not in plan, plan
