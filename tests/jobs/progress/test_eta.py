"""What was measured is found by an index; the queue is walked once for one poll."""

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from jobs.models import Job
from jobs.progress import eta, throughput
from jobs.progress.eta import Forecast
from modelstore.models import Model
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


def member(name: str, tiles: int, seconds: float) -> dict[str, object]:
    return {"model": name, "tiles": tiles, "seconds": {"load": 0.0, "infer": seconds}}


def test_the_time_left_of_a_chain_knows_that_its_members_are_not_equally_fast() -> None:
    """Half of the tiles is a hundredth of the time where the restorer is quick."""
    members = [member("tiny-x1", 4, 0.1), member("tiny-x2", 4, 9.9)]
    made.completed(model="tiny-x1+tiny-x2", report={**made.REPORT, "members": members, "seconds": {"infer": 10.0}})
    speed = throughput.measured("tiny-x1+tiny-x2")
    assert speed is not None
    whole = speed.seconds(48, 32)
    assert speed.left(whole, 0.0) == pytest.approx(whole)
    assert speed.left(whole, 0.25) == pytest.approx(0.995 * whole)
    assert speed.left(whole, 0.5) == pytest.approx(0.99 * whole)
    assert speed.left(whole, 0.75) == pytest.approx(0.495 * whole)
    assert speed.left(whole, 1.0) == pytest.approx(0.0)


@pytest.mark.parametrize("members", [None, [], [{}], "text", [{"tiles": 0, "seconds": {"infer": 0}}] * 2, [7]])
def test_a_report_that_tells_nothing_of_members_gives_an_even_course(members: object) -> None:
    made.completed(model="a+b", report={**made.REPORT, "members": members})
    speed = throughput.measured("a+b")
    assert speed is not None
    assert speed.left(8.0, 0.5) == pytest.approx(4.0)


def test_a_chain_that_nobody_used_is_estimated_from_its_members(restorer: Model) -> None:
    """Behind a doubling the restorer has four times the pixels."""
    for name, infer in (("tiny-x1", 1.0), ("tiny-x2", 2.0)):
        made.completed(model=name, report={**made.REPORT, "seconds": {"infer": infer}})
    for chain, seconds in (("tiny-x1+tiny-x2", 3.0), ("tiny-x2+tiny-x1", 6.0), ("tiny-x2+tiny-x2", 10.0)):
        speed = throughput.measured(chain)
        assert speed is not None
        assert speed.seconds(48, 32) - speed.fixed_seconds == pytest.approx(seconds)
    assert throughput.measured("tiny-x1+unknown") is None
    assert throughput.measured("tiny-x1+tiny-x2", device="cuda:0") is None


def ran(model: str, side: int, seconds: float, **options: float) -> None:
    """A job of a square picture that took so long, all but a tenth of it in the network."""
    report = {**made.REPORT, "seconds": {"infer": 0.9 * seconds}}
    job = made.completed(model=model, report=report)
    Job.objects.filter(pk=job.pk).update(
        input_width=side, input_height=side, processing_seconds=seconds, options=options
    )


def test_a_second_pass_counts_with_the_pixels_of_the_first(restorer: Model) -> None:
    ran("tiny-x2", 400, 4.0)
    speed = throughput.measured("tiny-x2")
    assert speed is not None
    own = speed.seconds(400, 400) - speed.fixed_seconds
    assert speed.seconds(400, 400, outscale=4.0) - speed.fixed_seconds == pytest.approx(5 * own)
    assert speed.seconds(400, 400, outscale=1.5) - speed.fixed_seconds == pytest.approx(own)
    assert speed.seconds(400, 400, 3) - speed.fixed_seconds == pytest.approx(3 * own)


def test_jobs_that_took_two_passes_do_not_make_a_model_slow(restorer: Model) -> None:
    ran("tiny-x2", 400, 20.0, outscale=4.0)
    speed = throughput.measured("tiny-x2")
    assert speed is not None
    assert speed.seconds(400, 400) == pytest.approx(2.0 + 18.0 / 5)


def test_what_every_job_costs_is_told_from_what_its_pixels_cost(restorer: Model) -> None:
    for side in (10, 20, 40, 400):
        ran("tiny-x2", side, 0.5 + side * side * 1e-5)
    speed = throughput.measured("tiny-x2")
    assert speed is not None
    assert speed.fixed_seconds == pytest.approx(0.5)
    assert speed.seconds(1200, 1000) == pytest.approx(12.5)


def test_small_pictures_say_nothing_of_large_ones(restorer: Model) -> None:
    for _ in range(5):
        ran("tiny-x2", 64, 0.3)
    speed = throughput.measured("tiny-x2")
    assert speed is not None
    assert speed.foretells(300, 300)
    assert not speed.foretells(1200, 1000)
    assert not speed.foretells(300, 300, outscale=4.0)


def test_what_runs_is_waited_for(client: Client) -> None:
    made.completed()
    Job.objects.update(processing_seconds=4.0, report={})
    eta._measured.clear()
    assert eta.seconds_before(Job.objects.waiting()) == 0.0
    Job.objects.filter(pk=made.processing().pk).update(tiles_done=1, tiles_total=4)
    assert eta.seconds_before(Job.objects.waiting()) == pytest.approx(3.0)
    waiting = made.queued()
    assert Forecast([waiting]).seconds_left(waiting) == pytest.approx(7.0)
    assert eta.seconds_before(Job.objects.waiting()) == pytest.approx(7.0)


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
