"""Real clusters: who comes late with one picture is not behind somebody's thousand; who is limited leaves room."""

from collections.abc import Callable
from itertools import pairwise

import pytest

from jobs.auth import api_keys, callers
from jobs.models import Job
from jobs.states import Priority, Status
from tests.eventually import eventually
from tests.jobs.conftest import StartCluster
from tests.jobs.rig.apps import SLOW
from tests.jobs.worker.test_cluster import ended

Submit = Callable[..., Job]


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("priority", [Priority.ASYNC, Priority.BATCH])
def test_a_newcomer_starts_after_one_running_job_of_each_device_at_most(
    workers: int, priority: Priority, start_cluster: StartCluster, submit: Submit
) -> None:
    start_cluster(RIG_WORKERS=str(workers))
    for seed in range(3 + 4 * workers):  # more than the workers take in advance
        submit(SLOW, 16, seed=seed, caller="key:many", priority=priority)
    eventually(lambda: Job.objects.filter(status=Status.PROCESSING).count() >= workers, seconds=60)
    new = submit(24, 16, seed=50, caller="key:new", priority=priority)
    done = ended(new)
    assert done.status == Status.COMPLETED
    assert done.started_at is not None
    meanwhile = Job.objects.filter(caller="key:many", started_at__gt=done.created_at, started_at__lt=done.started_at)
    assert meanwhile.count() <= workers, "a worker may have been claiming when it came"
    many = Job.objects.filter(caller="key:many")  # by their times: a busy machine may look when all have ended
    assert many.exclude(started_at__lt=done.started_at).exists(), "and some of the many still waited"


def test_a_caller_at_its_limit_leaves_a_worker_to_the_others(start_cluster: StartCluster, submit: Submit) -> None:
    key, _ = api_keys.issue("limited", ["upscale"], max_running_jobs=1)
    start_cluster(RIG_WORKERS="2")
    mine = [submit(SLOW, 16, seed=seed, api_key=key, caller=callers.of_key(key)) for seed in range(3)]
    other = [submit(SLOW, 16, seed=10 + seed, caller="key:other") for seed in range(2)]
    spans = sorted((job.started_at, job.finished_at) for job in map(ended, mine) if job.started_at)
    assert len(spans) == 3
    for (_begin, end), (begin, _end) in pairwise(spans):
        assert end is not None
        assert begin >= end, "one after the other"
    first, last = spans[0][0], spans[-1][1]
    assert last is not None
    assert any(job.started_at and first <= job.started_at < last for job in map(ended, other)), "beside them"
