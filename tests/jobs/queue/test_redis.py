"""Jobs whose bells ring over a real Redis, which is killed, frozen, emptied and started again in the middle of them."""

import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from django.db import connection
from django.db.models.functions import Now
from pytest_django.fixtures import Settings

from jobs.models import Job
from jobs.progress.wait import wait_for
from jobs.queue import pooler
from jobs.states import Status
from modelstore import dispatch as model_dispatch
from modelstore import notify
from modelstore.models import Model
from modelstore.states import Origin, State
from tests.eventually import eventually
from tests.jobs.conftest import StartCluster, stored_files
from tests.jobs.queue.test_pooler import WARNING
from tests.jobs.worker.test_cluster import ended
from tests.jobs.worker.test_under_fire import assert_settled
from tests.redis_server import RedisServer
from upscaler_site.conf.broker import broker_from

pytestmark = pytest.mark.processes

Submit = Callable[..., Job]
CLUSTERS = "upscaler:queue_tickets"
EVENTS = "upscaler:job_events"


@pytest.fixture
def broker(redis_server: RedisServer, settings: Settings, environment: dict[str, str]) -> RedisServer:
    """The broker of this process and of the clusters that it starts."""
    settings.BROKER = broker_from(redis_server.url, "upscaler")
    environment["BROKER_URL"] = redis_server.url
    return redis_server


@pytest.fixture
def statements(transactional_db: None) -> Iterator[Callable[[], str]]:
    """Have Postgres log the statements of connections that begin from now on; a function returns them."""
    from tests import conftest

    if conftest._postgres is None:
        pytest.skip("DATABASE_URL names a Postgres of which this test has no log")
    log = conftest._postgres.cluster.places.root / "server.log"
    begin = log.stat().st_size
    with connection.cursor() as cursor:
        cursor.execute(f"ALTER DATABASE \"{connection.settings_dict['NAME']}\" SET log_statement = 'all'")
    connection.close()  # this process's own is to begin anew
    yield lambda: log.read_bytes()[begin:].decode(errors="replace")
    with connection.cursor() as cursor:
        cursor.execute(f'ALTER DATABASE "{connection.settings_dict["NAME"]}" RESET log_statement')


def listens_or_notifies(statements: str) -> list[str]:
    return re.findall(r"LISTEN \"\w+\"|pg_notify\('\w+', .*", statements)


def test_a_job_is_rung_for_and_its_end_told_over_redis_alone(
    broker: RedisServer, start_cluster: StartCluster, submit: Submit, statements: Callable[[], str]
) -> None:
    cluster = start_cluster()
    eventually(lambda: broker.listeners(CLUSTERS) == 1, say="the cluster's subscription")
    with broker.spy() as spy:
        spy.subscribe(CLUSTERS, EVENTS)
        eventually(lambda: broker.listeners(EVENTS) == 1, say="the spy's subscription")
        job = submit()
        assert wait_for(job.pk, 120).status == Status.COMPLETED
        told: list[tuple[str, str]] = []

        def all_told() -> bool:
            message = spy.get_message(timeout=0.1)
            if message:
                told.append((message["channel"].decode(), message["data"].decode()))
            return told.count((EVENTS, str(job.pk))) >= 2

        eventually(all_told, say="start and end")
    assert (CLUSTERS, "gpu") in told
    said = statements()
    assert "UPDATE jobs_job SET" in said
    assert listens_or_notifies(said) == []
    assert "Redis does not answer" not in cluster.output()


def test_the_io_cluster_is_rung_for_over_redis(broker: RedisServer, start_cluster: StartCluster) -> None:
    start_cluster(ready=False, Q_CLUSTER_NAME="io", SWEEP_SECONDS="300", MODEL_GITHUB_URL="http://127.0.0.1:9")
    eventually(lambda: broker.listeners(CLUSTERS) == 1, seconds=120, say="the cluster's subscription")
    for number in range(3):  # it looks by itself every five minutes only
        Model.objects.create(
            name=f"far-away-{number}", origin=Origin.OFFICIAL, state=State.REQUESTED, requested_at=Now(),
            file_name=f"{number}.pth", size_bytes=1, sha256="0" * 64, sources=[["github", "v1/far-away.pth"]],
        )  # fmt: skip
        model_dispatch.ring()
        eventually(lambda: not Model.objects.filter(state=State.REQUESTED).exists(), say="the attempt")


@pytest.mark.parametrize("fault", [RedisServer.kill, RedisServer.freeze])
def test_the_io_cluster_finds_its_work_without_redis(
    fault: Callable[[RedisServer], None], broker: RedisServer, start_cluster: StartCluster
) -> None:
    start_cluster(ready=False, Q_CLUSTER_NAME="io", SWEEP_SECONDS="300", MODEL_GITHUB_URL="http://127.0.0.1:9")
    eventually(lambda: broker.listeners(CLUSTERS) == 1, seconds=120, say="the cluster's subscription")
    fault(broker)
    row = Model.objects.create(
        name="far-away", origin=Origin.OFFICIAL, state=State.REQUESTED, requested_at=Now(),
        file_name="far-away.pth", size_bytes=1, sha256="0" * 64, sources=[["github", "v1/far-away.pth"]],
    )  # fmt: skip
    model_dispatch.ring()
    eventually(lambda: Model.objects.get(pk=row.pk).state != State.REQUESTED, say="the attempt")


def test_nothing_is_lost_or_done_twice_while_redis_is_killed_frozen_and_emptied(
    broker: RedisServer, start_cluster: StartCluster, submit: Submit, data_dir: Path
) -> None:
    clusters = [start_cluster(RIG_WORKERS="2") for _ in range(2)]
    jobs: list[Job] = []

    def batch() -> None:
        """Submit some, and see some of all end, whatever Redis does."""
        before = Job.objects.filter(status=Status.COMPLETED).count()
        jobs.extend(submit(48, 32, seed=len(jobs) + number) for number in range(6))
        eventually(lambda: Job.objects.filter(status=Status.COMPLETED).count() >= before + 3, seconds=180)

    batch()
    broker.flush()
    batch()
    broker.kill()
    batch()
    broker.start()
    batch()
    broker.freeze()
    batch()
    broker.thaw()
    batch()
    for job in jobs:
        assert ended(job).status == Status.COMPLETED
    assert_settled(data_dir)
    assert set(Job.objects.values_list("attempts", flat=True)) == {1}
    for cluster in clusters:
        assert cluster.starts == 1
        # Two outages, each of them told once by each of its threads: a pusher's two, and two workers' one.
        assert 1 <= cluster.output().count("Redis does not answer") <= 8


def test_without_a_broker_the_same_is_said_to_postgres(
    start_cluster: StartCluster, submit: Submit, statements: Callable[[], str]
) -> None:
    start_cluster()
    assert wait_for(submit().pk, 120).status == Status.COMPLETED
    said = " ".join(listens_or_notifies(statements()))
    for part in (
        'LISTEN "queue_tickets"',
        'LISTEN "job_events"',
        "pg_notify('queue_tickets'",
        "pg_notify('job_events'",
    ):
        assert part in said, part


def test_a_service_whose_redis_was_never_there_works(
    broker: RedisServer, start_cluster: StartCluster, submit: Submit
) -> None:
    broker.kill()
    before = time.thread_time()
    job = submit()
    assert time.thread_time() - before < 5
    cluster = start_cluster()
    assert wait_for(job.pk, 120).status == Status.COMPLETED
    assert wait_for(submit(seed=2).pk, 120).status == Status.COMPLETED
    assert "Redis does not answer" in cluster.output()
    broker.start()
    eventually(lambda: broker.listeners(CLUSTERS) == 1, say="the cluster's subscription")
    assert wait_for(submit(seed=3).pk, 120).status == Status.COMPLETED


def test_clusters_work_through_a_pooler_that_gives_each_transaction_another_server_process(
    broker: RedisServer,
    pooled: Callable[[str], str],
    start_cluster: StartCluster,
    submit: Submit,
    environment: dict[str, str],
    data_dir: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    url = pooled("transaction")
    clusters = [
        start_cluster(DATABASE_URL=url, RIG_WORKERS="2"),
        start_cluster(DATABASE_URL=url, ready=False, Q_CLUSTER_NAME="io"),
    ]
    eventually(lambda: broker.listeners(CLUSTERS) == 2, seconds=120, say="both clusters' subscriptions")
    for job in [submit(seed=seed) for seed in range(20)]:
        assert ended(job).status == Status.COMPLETED
    assert_settled(data_dir)
    assert set(Job.objects.values_list("attempts", flat=True)) == {1}
    for cluster in clusters:
        assert WARNING not in cluster.output()
    pooler.warn_of_pooler()
    assert WARNING not in caplog.text
    # Clean-up reads its rows in parts, by what may be another server process each time.
    cleaning = os.environ | environment | {"DATABASE_URL": url}
    subprocess.run([sys.executable, "manage.py", "cleanup_jobs", "--hours", "0"], env=cleaning, check=True)
    assert Job.objects.count() == 0
    assert stored_files(data_dir) == []


def test_progress_is_told_over_redis_and_not_over_postgres(
    broker: RedisServer, submit: Submit, settings: Settings
) -> None:
    told: list[str] = []
    with broker.spy() as spy:
        spy.subscribe(EVENTS)
        submit()
        job = Job.objects.claim("worker")
        assert job is not None
        Job.objects.heartbeat(job, tiles_done=1, tiles_total=4)
        job.tiles_done, job.tiles_total = 1, 4
        Job.objects.heartbeat(job, tiles_done=1, tiles_total=4)  # nothing new
        assert notify.trouble(60) == ""
        settings.BROKER = None
        Job.objects.heartbeat(job, tiles_done=2, tiles_total=4)

        def heard() -> bool:
            message = spy.get_message(timeout=0.1)
            if message:
                told.append(message["data"].decode())
            return message is None and len(told) >= 2

        eventually(heard, say="claim and progress")
    assert told == [str(job.pk)] * 2
