"""Callers share the queue: by turns that acceptance hands out, claimed by one index scan."""

from collections import Counter
from datetime import timedelta
from itertools import pairwise
from typing import Any

import pytest
from django.db import connection
from django.db.models.functions import Now
from django.test.utils import CaptureQueriesContext

from benchmarks import fairness
from jobs.models import Job, Turn
from jobs.models.results import Finished
from jobs.models.turn import CLOCK, cost
from jobs.states import Priority, Status
from tests.job_rows import waiting_job
from tests.together import together

pytestmark = pytest.mark.django_db(transaction=True)


def accept(
    caller: str, count: int = 1, *, priority: int = Priority.ASYNC, share: float = 1.0, **rest: Any
) -> list[Job]:
    """Jobs of a megapixel each, as one submission."""
    turns = Turn.objects.take(caller, priority, [1.0] * count, share=share)
    fields = {"input_width": 1000, "input_height": 1000, "priority": priority, **rest}
    return [waiting_job(caller=caller, turn=turn, **fields) for turn in turns]


def claim() -> Job:
    job = Job.objects.claim("w")
    assert job is not None
    return job


def end(job: Job) -> None:
    assert Job.objects.succeed(job, Finished(f"results/{job.pk.hex}.png", 10, "png", 48, 32, "0" * 64))


def served(count: int) -> list[str]:
    """Whose jobs are claimed next, one after the other has ended."""
    callers = []
    for _ in range(count):
        job = claim()
        callers.append(job.caller)
        end(job)
    return callers


def test_a_newcomer_is_next_however_many_jobs_of_another_wait() -> None:
    accept("key:a", 100)
    running = claim()
    accept("key:b")
    assert running.caller == "key:a"
    assert claim().caller == "key:b"
    assert claim().caller == "key:a"


def test_where_nobody_works_yet_a_newcomer_waits_for_one_job_at_most() -> None:
    accept("key:a", 100)
    accept("key:b")
    assert "key:b" in served(2)


def test_newcomers_are_served_in_the_order_in_which_they_came() -> None:
    accept("key:a", 50)
    claim()
    for name in "bcdef":
        accept(f"key:{name}")
    assert served(5) == [f"key:{name}" for name in "bcdef"]


def test_callers_with_many_jobs_take_turns_from_when_the_later_one_came() -> None:
    accept("key:a", 100)
    assert served(40) == ["key:a"] * 40
    accept("key:b", 30)
    counts = Counter(served(40))
    assert abs(counts["key:a"] - counts["key:b"]) <= 1, "what a had before does not count"


def test_twice_the_share_is_twice_as_much() -> None:
    accept("key:a", 60)
    accept("key:b", 60, share=2.0)
    counts = Counter(served(45))
    assert abs(counts["key:b"] - 30) <= 1


def test_large_pictures_count_for_more_and_chains_for_each_member() -> None:
    assert cost(2000, 1000, 3, "m") == 6.0
    assert cost(1000, 1000, 1, "a+b+c") == 3.0
    assert 0 < cost(1, 1, 1, "m") < cost(1000, 1000, 1, "m") / 5
    for caller, each, count in (("key:a", 1.0, 40), ("key:b", 4.0, 10)):
        for turn in Turn.objects.take(caller, Priority.ASYNC, [each] * count):
            waiting_job(caller=caller, turn=turn)
    counts = Counter(served(25))
    assert abs(counts["key:a"] - 20) <= 1


def test_a_newcomer_is_not_behind_a_batch_that_is_still_being_written() -> None:
    """Turns are handed out before the rows are there."""
    turns = Turn.objects.take("key:a", Priority.ASYNC, [1.0] * 50)
    accept("key:b")
    for turn in turns:
        waiting_job(caller="key:a", turn=turn)
    assert "key:b" in served(2)


def test_a_caller_that_submits_one_after_the_other_gets_no_more_than_its_share() -> None:
    """It never has more than one waiting job, and is no newcomer each time."""
    accept("key:a", 100)
    accept("key:b")
    counts: Counter[str] = Counter()
    for _ in range(40):
        job = claim()
        if job.caller == "key:b":
            accept("key:b")
        counts[job.caller] += 1
        end(job)
    assert abs(counts["key:a"] - counts["key:b"]) <= 2


def test_a_caller_that_cancelled_its_jobs_does_not_pay_for_them() -> None:
    many = accept("key:a", 100)
    accept("key:b", 20)
    for job in many:
        Job.objects.cancel(job.pk)
    Turn.objects.filter(caller="key:a").update(at=Now() - timedelta(minutes=2))  # no longer under way
    served(3)
    accept("key:a")
    assert "key:a" in served(3)


def test_who_was_idle_has_saved_nothing() -> None:
    accept("key:b")
    served(1)
    accept("key:a", 50)
    served(30)
    accept("key:b", 50)
    counts = Counter(served(20))
    assert abs(counts["key:a"] - counts["key:b"]) <= 1


def test_an_empty_queue_forgets_the_past() -> None:
    accept("key:a", 30)
    served(29)
    Turn.objects.keep_time()  # as the sweeper does
    served(1)
    accept("key:a", 10)
    accept("key:b", 10)
    counts = Counter(served(10))
    assert abs(counts["key:a"] - counts["key:b"]) <= 1


def test_a_job_that_comes_back_late_does_not_set_the_clock_back() -> None:
    """It was put aside while the others went on: newcomers must not get its age."""
    accept("key:late")
    aside = claim()
    accept("key:a", 60)
    Job.objects.release(aside, counted=False, pause=timedelta(minutes=1))
    served(40)
    Turn.objects.keep_time()  # as the sweeper does
    Job.objects.filter(pk=aside.pk).update(queued_at=Now())
    accept("key:b", 40)
    assert claim().pk == aside.pk
    accept("key:c", 40)
    counts = Counter(served(18))
    assert counts["key:a"] >= 5, "20 of its 60 jobs wait, no later than those of the others"


def test_jobs_that_are_given_back_or_lost_keep_their_turn() -> None:
    first, *_ = accept("key:a", 3)
    job = claim()
    assert job.pk == first.pk
    assert Job.objects.release(job, counted=False)
    assert claim().pk == first.pk
    Job.objects.filter(pk=first.pk).update(lease_until=Now() - timedelta(seconds=1))
    assert Job.objects.reclaim_lost().requeued == 1
    again = claim()
    assert (again.pk, again.turn) == (first.pk, first.turn)


def test_a_submission_of_many_pictures_is_one_statement() -> None:
    accept("key:a")
    with CaptureQueriesContext(connection) as found:
        turns = Turn.objects.take("key:a", 10, [2.0, 1.0, 4.0])
    assert len([query for query in found.captured_queries if "INSERT" in query["sql"]]) == 1
    assert [later - earlier for earlier, later in pairwise(turns)] == pytest.approx([2.0, 1.0])
    assert Turn.objects.get(caller="key:a").finish == pytest.approx(turns[0] + 7.0)


def test_two_submissions_of_one_caller_at_once_get_turns_one_behind_the_other() -> None:
    found = together(8, lambda _: Turn.objects.take("key:a", 10, [1.0] * 5))
    assert sorted(turn for turns in found for turn in turns) == pytest.approx(list(range(40)))


def test_the_next_turn_is_what_a_submission_then_gets() -> None:
    for caller in ("key:a", "key:b", "key:a", "key:a"):
        asked = Turn.objects.next(caller, Priority.ASYNC)
        assert accept(caller)[0].turn == pytest.approx(asked)
        if caller == "key:b":
            claim()


def test_the_jobs_before_a_new_one_are_those_that_will_be_claimed_before_it() -> None:
    accept("key:a", 10)
    accept("key:c", 4, priority=Priority.SYNC)
    accept("key:d", 4, priority=Priority.BATCH)
    end(claim())
    turn = Turn.objects.next("key:b", Priority.ASYNC)
    before = set(Job.objects.before(Priority.ASYNC, turn).values_list("pk", flat=True))
    (mine,) = accept("key:b")
    order = list(Job.objects.waiting().values_list("pk", flat=True))
    assert before == set(order[: order.index(mine.pk)])


# --- Waiting long


def wait(jobs: list[Job], hours: float) -> None:
    Job.objects.filter(pk__in=[job.pk for job in jobs]).update(queued_at=Now() - timedelta(hours=hours))


def test_a_job_that_waits_long_moves_up_by_one_class_at_a_time() -> None:
    (old,) = accept("key:a", priority=Priority.BATCH)
    accept("key:a", priority=Priority.BATCH)
    wait([old], 2)
    hour = timedelta(hours=1)
    assert [Turn.objects.promote(hour) for _ in range(3)] == [1, 0, 0]
    assert Job.objects.get(pk=old.pk).priority == Priority.ASYNC
    for above, moved in ((Priority.SYNC, 1), (Priority.HIGH, 1), (Priority.HIGH, 0)):
        Job.objects.filter(pk=old.pk).update(promoted_at=Now() - hour)
        assert Turn.objects.promote(hour) == moved
        assert Job.objects.get(pk=old.pk).priority == above


def test_a_backlog_that_moves_up_shares_with_those_who_are_there() -> None:
    accept("key:a", 100, priority=Priority.ASYNC)
    served(50)
    batch = accept("key:b", 40, priority=Priority.BATCH)
    wait(batch, 2)
    assert Turn.objects.promote(timedelta(hours=1)) == 40
    accept("key:c", 5)
    counts = Counter(served(15))
    assert counts["key:c"] == 5
    assert abs(counts["key:a"] - counts["key:b"]) <= 1
    promoted = list(Job.objects.filter(caller="key:b").order_by("turn"))
    assert [job.pk for job in promoted] == [job.pk for job in batch], "in their order"
    assert accept("key:b")[0].turn > promoted[-1].turn


def test_two_backlogs_that_move_up_share_with_each_other() -> None:
    wait(accept("key:a", 30, priority=Priority.BATCH), 2)
    wait(accept("key:b", 30, priority=Priority.BATCH, share=2.0), 2)
    Turn.objects.promote(timedelta(hours=1))
    counts = Counter(served(30))
    assert abs(counts["key:b"] - 20) <= 1


# --- Clocks and rows


def test_clocks_never_go_back_and_stand_still_without_writing() -> None:
    accept("key:a", 5)
    served(3)
    Turn.objects.keep_time()
    clock = Turn.objects.get(caller=CLOCK, priority=Priority.ASYNC)
    assert clock.finish >= 2.0
    Turn.objects.keep_time()
    again = Turn.objects.get(caller=CLOCK, priority=Priority.ASYNC)
    assert (again.finish, again.at) == (clock.finish, clock.at)


def test_rows_that_say_no_more_than_the_clock_are_forgotten() -> None:
    accept("key:a")
    accept("key:b", 3)
    served(3)
    Turn.objects.keep_time()
    Turn.objects.exclude(caller=CLOCK).update(at=Now() - timedelta(hours=2))
    Turn.objects.forget()
    assert list(Turn.objects.exclude(caller=CLOCK).values_list("caller", flat=True)) == ["key:b"], "one job waits"
    assert Turn.objects.filter(caller=CLOCK).exists()


def test_the_turns_survive_a_clock_that_steps() -> None:
    """Virtual time knows no clock; an hour forward promotes early, an hour back does nothing."""
    accept("key:a", 20)
    for hours in (-1, 1):
        Turn.objects.update(at=Now() + timedelta(hours=hours))
        accept("key:b", 5)
        accept("key:a", 5)
    counts = Counter(served(20))
    assert abs(counts["key:a"] - counts["key:b"]) <= 1


def test_ten_thousand_jobs_of_one_caller_do_not_hold_up_the_others() -> None:
    turns = Turn.objects.take("key:a", Priority.ASYNC, [1.0] * 10_000)
    row = {
        "model": "m", "input_file": "inputs/x.png", "input_sha256": "", "input_bytes": 1, "input_format": "png",
        "input_width": 1, "input_height": 1, "created_at": Now(), "queued_at": Now(), "caller": "key:a",
    }  # fmt: skip
    Job.objects.bulk_create([Job(turn=turn, **row) for turn in turns], batch_size=1000)
    assert claim().caller == "key:a"
    accept("key:b", 3)
    assert served(5).count("key:b") >= 2
    assert Job.objects.filter(status=Status.QUEUED).count() > 9_990


def test_a_crowd_gets_what_a_fluid_would_give_it() -> None:
    """The simulation of benchmarks/fairness.py, smaller."""
    crowd = fairness.made_up(12, 400, seed=1)
    work = sum(caller.jobs * caller.megapixels for caller in crowd)
    everybody = [*crowd, *fairness.newcomers(10, work / 2, seed=1)]
    fair = fairness.simulate(everybody, 2, fair=True)
    assert min(fairness.indexes(everybody, fair)) >= 0.95
    largest = max(caller.megapixels for caller in crowd)
    assert max(fair.waits) <= 2 * largest, "a newcomer waits for a running job, or for another newcomer"
    fifo = fairness.simulate(everybody, 2, fair=False)
    assert min(fairness.indexes(everybody, fifo)) < 0.9
    assert sum(fair.waits) < sum(fifo.waits) / 10
