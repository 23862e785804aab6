"""The cluster for what is not computing: downloads, webhooks, clean-up."""

import socket
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from django.db.models.functions import Now

from jobs.models import Chore, Job, Worker
from jobs.queue import dispatch
from jobs.states import Status
from modelstore import dispatch as model_dispatch
from modelstore.models import Model
from modelstore.states import Origin, State
from tests.eventually import eventually
from tests.jobs.conftest import StartCluster, stored_files
from tests.jobs.submission.helpers import complete
from tests.stored import path_of

Submit = Callable[..., Job]


@pytest.mark.parametrize("hangs", [{}, {"RIG_RESOLVER_HANGS": "1"}], ids=["it waits", "no signal reaches it"])
def test_a_download_is_given_back_when_the_cluster_stops(start_cluster: StartCluster, hangs: dict[str, str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:  # takes the connection and never answers
        Model.objects.create(
            name="far-away",
            origin=Origin.OFFICIAL,
            state=State.REQUESTED,
            requested_at=Now(),
            file_name="far-away.pth",
            size_bytes=1000,
            sha256="0" * 64,
            sources=[["github", "v1/far-away.pth"]],
        )
        model_dispatch.ring()
        cluster = start_cluster(
            ready=False,
            Q_CLUSTER_NAME="io",
            STOP_GRACE_SECONDS="1",
            MODEL_DOWNLOAD_STALL_SECONDS="600",
            MODEL_GITHUB_URL=f"http://127.0.0.1:{silent.getsockname()[1]}",
            **hangs,
        )
        eventually(lambda: Model.objects.get(name="far-away").state == State.DOWNLOADING, seconds=120)
        cluster.terminate()
        assert cluster.wait(240) == 0
    row = Model.objects.get(name="far-away")
    assert (row.state, row.attempts, row.token) == (State.REQUESTED, 0, None)


def test_the_service_cleans_up_by_itself(start_cluster: StartCluster, submit: Submit, data_dir: Path) -> None:
    old = complete(submit())
    Job.objects.update(finished_at=Now() - timedelta(hours=25))
    Chore.objects.create(name="cleanup", begun_at=Now() - timedelta(minutes=61))
    cluster = start_cluster(ready=False, Q_CLUSTER_NAME="io", CLEANUP_INTERVAL_MINUTES="60")
    eventually(lambda: not Job.objects.filter(pk=old.pk).exists(), seconds=120)
    eventually(lambda: not path_of(old.result_file).exists(), seconds=30)
    assert stored_files(data_dir) == []
    assert set(Worker.objects.values_list("cluster", flat=True)) == {"io"}
    # It computes nothing, so it has not even loaded what computes.
    workers = cluster.pids("worker")
    assert workers
    for pid in workers:
        assert "libtorch" not in Path(f"/proc/{pid}/maps").read_text()


def test_doorbells_that_nobody_needs_are_harmless(start_cluster: StartCluster, submit: Submit) -> None:
    gpu, io = start_cluster(), start_cluster(ready=False, Q_CLUSTER_NAME="io")
    for _ in range(3):
        dispatch.ring()
        dispatch.ring_webhooks()
    job = submit()
    eventually(lambda: Job.objects.get(pk=job.pk).status == Status.COMPLETED, seconds=120)
    for cluster in (gpu, io):
        assert cluster.process.poll() is None


def test_the_service_does_the_upkeep_of_other_rooms_by_itself(start_cluster: StartCluster, submit: Submit) -> None:
    from monitoring.models import JobEnd

    complete(submit())
    assert JobEnd.objects.exists()
    Chore.objects.create(name="upkeep", begun_at=Now() - timedelta(hours=1))
    start_cluster(ready=False, Q_CLUSTER_NAME="io")
    eventually(lambda: not JobEnd.objects.exists(), seconds=120)
