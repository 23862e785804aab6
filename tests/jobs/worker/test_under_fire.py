"""What happens to jobs when processes, the database or the disk fail: each of them ends, exactly once."""

import os
import random
import signal
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import psutil
import pytest
from PIL import Image

from jobs.models import Job, UsageNote
from jobs.progress.wait import wait_for
from jobs.queue import liveness
from jobs.states import LIVE, Status
from jobs.storage import file_names, retention
from modelstore import notify
from tests.eventually import eventually
from tests.jobs.conftest import StartCluster, stored_files
from tests.jobs.rig.apps import HANGS, HANGS_WITH_GIL, POISON, SLOW
from tests.jobs.worker.test_cluster import ended
from tests.stored import path_of

Submit = Callable[..., Job]


def assert_settled(data_dir: Path) -> None:
    """No job is left in processing, each completed one has its whole result, and every file is named by a row."""
    eventually(partial(_is_settled, data_dir), say="the end of the last preview")


def _is_settled(data_dir: Path) -> bool:
    assert not Job.objects.filter(status__in=LIVE).exists()
    named = set()
    for job in Job.objects.all():
        named |= set(file_names.names_of(job))
        if job.status == Status.COMPLETED:
            path = path_of(job.result_file)
            assert path.stat().st_size == job.result_bytes
            with Image.open(path) as image:
                assert image.size == (job.result_width, job.result_height)
    return set(stored_files(data_dir)) <= named  # a preview may be missing: its worker was killed


def test_a_killed_worker_costs_one_attempt_and_the_job_completes(
    start_cluster: StartCluster, submit: Submit, data_dir: Path
) -> None:
    cluster = start_cluster(supervised=True)
    job = submit(SLOW, 16)
    eventually(lambda: Job.objects.get(pk=job.pk).status == Status.PROCESSING, seconds=60)
    assert cluster.kill("worker")
    done = ended(job)
    assert (done.status, done.attempts) == (Status.COMPLETED, 2)
    counted = [(note.completed, note.failed, note.input_pixels) for note in UsageNote.objects.all()]
    assert counted == [(1, 0, SLOW * 16)], "the lost attempt costs its caller nothing"
    assert_settled(data_dir)


@pytest.mark.skipif(not liveness.space(), reason="this system does not tell for certain who is dead")
@pytest.mark.parametrize("role", ["worker", "main"])
def test_a_dead_workers_job_does_not_wait_for_the_end_of_its_lease(
    role: str, start_cluster: StartCluster, submit: Submit, data_dir: Path
) -> None:
    """The lease is far longer than this test's patience; what is left of the host tells that its holder is gone."""
    cluster = start_cluster(supervised=True, JOB_LEASE_SECONDS="600", SWEEP_SECONDS="300")
    job = submit(SLOW, 16)
    eventually(lambda: Job.objects.get(pk=job.pk).status == Status.PROCESSING, seconds=60)
    first = Job.objects.get(pk=job.pk).worker
    assert cluster.kill(role)
    done = ended(job, 240)
    assert (done.status, done.attempts) == (Status.COMPLETED, 2)
    assert done.worker != first
    assert f"worker died in the middle of a job worker={first}" in cluster.output()
    assert_settled(data_dir)


@pytest.mark.parametrize("role", ["worker", "pusher", "monitor", "sentinel", "main"])
def test_a_process_killed_while_idle_is_not_noticed_for_long(
    role: str, start_cluster: StartCluster, submit: Submit, data_dir: Path
) -> None:
    cluster = start_cluster(supervised=True)
    eventually(lambda: cluster.kill(role), seconds=30)
    job = submit()
    assert ended(job, 60).status == Status.COMPLETED
    assert_settled(data_dir)


@pytest.mark.parametrize("role", ["sentinel", "main"])
def test_nobody_survives_the_process_that_held_the_cluster_together(role: str, start_cluster: StartCluster) -> None:
    cluster = start_cluster()
    assert len(cluster.members()) == 5
    assert cluster.kill(role)
    eventually(lambda: cluster.members() == [], seconds=30)
    assert cluster.wait() != 0


def test_a_worker_killed_with_its_sentinels_lock_does_not_silence_the_cluster(
    start_cluster: StartCluster, submit: Submit, tmp_path: Path
) -> None:
    cluster = start_cluster(supervised=True, RIG_DIE_WITH_LOCK=str(tmp_path / "died"))
    # So slow that the main process sees the worker at work: one that it saw idle and then dead is another case.
    assert ended(submit(SLOW, 16)).status == Status.COMPLETED
    assert ended(submit(seed=2), 120).status == Status.COMPLETED
    assert "the sentinel does not replace dead workers" in cluster.output(), cluster.output()


def test_a_poison_picture_fails_after_three_dead_workers_and_others_complete(
    start_cluster: StartCluster, submit: Submit, data_dir: Path
) -> None:
    start_cluster(supervised=True)
    poison, others = submit(POISON, 16), [submit(seed=seed) for seed in range(3)]
    assert all(ended(job).status == Status.COMPLETED for job in others)
    failed = ended(poison)
    assert (failed.status, failed.error_code, failed.attempts) == (Status.FAILED, "worker_lost", 3)
    assert failed.error == "the worker died 3 times while it worked on this job"
    assert_settled(data_dir)


@pytest.mark.parametrize("width", [HANGS, HANGS_WITH_GIL], ids=["in C", "in C, with Python's lock"])
def test_a_hung_call_is_ended_at_the_hard_limit(
    width: int, start_cluster: StartCluster, submit: Submit, data_dir: Path
) -> None:
    cluster = start_cluster(
        supervised=True, JOB_TIMEOUT_SECONDS="2", JOB_TIMEOUT_SECONDS_PER_MEGAPIXEL="0", JOB_LEASE_SECONDS="5"
    )
    pid = cluster.pids("worker")[-1]
    hung = submit(width, 16)
    failed = ended(hung, 60)
    assert (failed.status, failed.error_code) == (Status.FAILED, "timeout")
    assert "limit of 2 s" in failed.error
    assert ended(submit(seed=2), 120).status == Status.COMPLETED
    assert not psutil.pid_exists(pid)
    assert_settled(data_dir)


def test_a_worker_frozen_beyond_its_lease_is_fenced_out_when_it_resumes(
    start_cluster: StartCluster, submit: Submit, data_dir: Path
) -> None:
    frozen = start_cluster()
    job = submit(SLOW, 16)
    eventually(lambda: Job.objects.get(pk=job.pk).status == Status.PROCESSING, seconds=60)
    first = Job.objects.get(pk=job.pk)
    assert frozen.kill("main", signal.SIGSTOP)  # or it would kill the worker: the whole host is frozen
    pid = frozen.kill("worker", signal.SIGSTOP)
    assert pid
    start_cluster()
    done = ended(job)
    assert done.status == Status.COMPLETED
    assert done.attempts == 2
    assert done.worker != first.worker
    assert first.token
    assert first.token.hex not in done.result_file
    accepted = path_of(done.result_file).read_bytes()
    os.kill(pid, signal.SIGCONT)
    eventually(lambda: f"job lost job={job.pk}" in frozen.output(), seconds=60, say="the frozen worker's defeat")
    again = Job.objects.get(pk=job.pk)
    assert (again.result_file, again.finished_at, again.attempts) == (done.result_file, done.finished_at, 2)
    assert path_of(done.result_file).read_bytes() == accepted
    assert_settled(data_dir)


def test_a_full_disk_fails_the_job_by_name_and_leaves_nothing(
    start_cluster: StartCluster, submit: Submit, data_dir: Path
) -> None:
    cluster = start_cluster()
    worker = psutil.Process(cluster.pids("worker")[-1])
    unlimited = worker.rlimit(psutil.RLIMIT_FSIZE)
    worker.rlimit(psutil.RLIMIT_FSIZE, (20_000, unlimited[1]))
    job = submit(400, 400)
    failed = ended(job)
    assert (failed.status, failed.error_code) == (Status.FAILED, "storage_full")
    assert failed.error == "the disk is full: the result could not be written"
    assert_settled(data_dir)
    worker.rlimit(psutil.RLIMIT_FSIZE, unlimited)
    Job.objects.retry(job.pk)
    assert ended(job).status == Status.COMPLETED
    assert_settled(data_dir)


def test_a_job_that_nobody_rang_for_is_found_all_the_same(
    start_cluster: StartCluster, submit: Submit, monkeypatch: pytest.MonkeyPatch
) -> None:
    start_cluster()
    monkeypatch.setattr(notify, "_notify", lambda channel, payload: None)  # dies between the COMMIT and its bell
    assert ended(submit()).status == Status.COMPLETED


def test_nothing_is_lost_or_done_twice_while_everything_is_killed(
    start_cluster: StartCluster, submit: Submit, data_dir: Path
) -> None:
    clusters = [start_cluster(supervised=True, RIG_WORKERS="2", JOB_MAX_ATTEMPTS="10", ready=False) for _ in range(2)]
    jobs = [submit(160, 160, seed=seed, tile_size=32) for seed in range(60)]
    for cluster in clusters:
        cluster.wait_ready()
    dice = random.Random(5)
    roles = ["worker", "worker", "worker", "pusher", "monitor", "sentinel", "main"]
    kills = 0
    limit = time.monotonic() + 240  # a busy machine is slow to start again what was killed
    while time.monotonic() < limit and kills < 20:
        if not Job.objects.filter(status__in=LIVE).exists():
            jobs += [submit(160, 160, seed=len(jobs) + more, tile_size=32) for more in range(10)]
        kills += dice.choice(clusters).kill(dice.choice(roles)) is not None
        time.sleep(1)
    assert kills >= 5
    more = [submit(seed=1000 + i) for i in range(3)]
    for job in [*jobs, *more]:
        assert ended(job, 120).status == Status.COMPLETED
    assert_settled(data_dir)
    accepted = [line for cluster in clusters for line in cluster.output().splitlines() if " job completed job=" in line]
    ids = [line.split("job completed job=")[1].split()[0] for line in accepted]
    assert len(ids) == len(set(ids))
    assert retention.cleanup(orphan_seconds=0).orphans == 0


def test_the_database_may_restart_in_the_middle(start_cluster: StartCluster, submit: Submit, data_dir: Path) -> None:
    from django.db import connection

    server = embedded_server()
    if server is None:
        pytest.skip("DATABASE_URL names a Postgres that this test cannot restart")
    cluster = start_cluster(supervised=True)
    running = submit(SLOW, 16)
    waiting = [submit(seed=seed) for seed in range(5)]
    eventually(lambda: Job.objects.get(pk=running.pk).status == Status.PROCESSING, seconds=60)
    connection.close()
    server.restart()
    for job in [running, *waiting]:
        done = eventually(partial(_ended_or_unreachable, job), seconds=120)
        assert done is not None
        assert done.status == Status.COMPLETED
    assert wait_for(submit(seed=77).id, 60).status == Status.COMPLETED
    assert cluster.starts == 1, cluster.output()
    assert_settled(data_dir)


def _ended_or_unreachable(job: Job) -> Job | None:
    from django.db import OperationalError, connection

    try:
        found = Job.objects.get(pk=job.pk)
    except OperationalError:
        connection.close()
        return None
    return found if found.finished_at else None


class embedded_server:  # noqa: N801 - see __new__
    """The test run's own Postgres, when it has one."""

    def __new__(cls) -> "embedded_server | None":  # type: ignore[misc]
        from tests import conftest

        return super().__new__(cls) if conftest._postgres is not None else None

    def restart(self) -> None:
        """Every connection breaks. Not as a crash does it: this server does not wait for its disk."""
        import subprocess

        from tests import conftest
        from upscaler_site.postgres.guard import as_user

        assert conftest._postgres is not None
        server = conftest._postgres.cluster
        program, data = str(server.programs / "pg_ctl"), str(server.places.data)
        subprocess.run(
            [program, "-D", data, "-w", "-m", "fast", "-l", str(server.places.log), "restart"],
            check=True,
            cwd="/",
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            **as_user(server.system_user),
        )
