"""Who is dead is known by the kernel's word, never guessed."""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from datetime import timedelta

import pytest
from django.db.models.functions import Now
from pytest_django.fixtures import Settings

from jobs.models import Job, Worker
from jobs.models.results import Reclaimed
from jobs.queue import liveness, sweeper
from jobs.states import Status
from tests.eventually import eventually
from tests.job_rows import waiting_job

pytestmark = pytest.mark.skipif(not liveness.space(), reason="this system does not tell for certain who is dead")

SAY_SPACE = "import sys; sys.path.insert(0, '.'); import django; django.setup(); from jobs.queue import liveness; "


@pytest.fixture
def child() -> "Iterator[subprocess.Popen[bytes]]":
    """A living process."""
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    yield process
    process.kill()
    process.communicate()


def born(process: "subprocess.Popen[bytes]") -> int:
    birth = liveness.born(process.pid)
    assert birth is not None
    return birth


def holds_a_job(process: "subprocess.Popen[bytes]", **facts: object) -> Job:
    """A job held by a worker with that process's pid, for a lease that is far from its end."""
    values = {"pid_space": liveness.space(), "pid_born": born(process), **facts}
    worker = Worker.objects.create(
        id=f"gpu@here:{process.pid}", cluster="gpu", host="here", pid=process.pid, started_at=Now(), seen_at=Now(),
        **values,
    )  # fmt: skip
    waiting_job()
    job = Job.objects.claim(worker.id)
    assert job is not None
    return job


def test_a_process_is_dead_from_its_end_on_whether_its_parent_took_note_or_not(
    child: "subprocess.Popen[bytes]",
) -> None:
    birth = born(child)
    assert not liveness.is_dead(child.pid, birth)
    child.kill()
    eventually(lambda: liveness.is_dead(child.pid, birth), seconds=30, say="the end of an unnoted process")
    child.wait()
    assert liveness.is_dead(child.pid, birth)


def test_a_frozen_process_lives(child: "subprocess.Popen[bytes]") -> None:
    birth = born(child)
    child.send_signal(signal.SIGSTOP)
    os.waitid(os.P_PID, child.pid, os.WSTOPPED)
    assert not liveness.is_dead(child.pid, birth)


def test_another_process_with_the_same_pid_is_not_the_one_that_was_meant(child: "subprocess.Popen[bytes]") -> None:
    assert liveness.is_dead(child.pid, born(child) - 1)


def test_processes_of_one_host_share_a_space_and_those_of_a_container_have_another() -> None:
    say = [sys.executable, "-c", SAY_SPACE + "print(liveness.space())"]

    def answer(*prefix: str) -> str:
        done = subprocess.run([*prefix, *say], capture_output=True, text=True, check=False)
        if prefix and done.returncode and "unshare" in done.stderr:
            pytest.skip(f"no namespaces here: {done.stderr.strip()}")
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    assert answer() == liveness.space()
    if shutil.which("unshare") is None:
        pytest.skip("unshare is not here")
    inside = answer("unshare", "--user", "--map-root-user", "--pid", "--fork", "--mount-proc")
    assert inside
    assert inside != liveness.space()
    # A new namespace that still sees the old one's /proc must not judge by it.
    assert answer("unshare", "--user", "--map-root-user", "--pid", "--fork") == ""


@pytest.mark.django_db(transaction=True)
def test_the_sweep_frees_the_job_of_a_dead_worker_before_its_lease_ends_and_counts_the_attempt(
    settings: Settings, child: "subprocess.Popen[bytes]"
) -> None:
    settings.JOB_LEASE_SECONDS, settings.JOB_MAX_ATTEMPTS = 600, 2
    job = holds_a_job(child)
    assert sweeper.sweep() == Reclaimed()
    assert Job.objects.get().token == job.token
    child.kill()
    child.wait()
    assert sweeper.sweep() == Reclaimed(requeued=1)
    assert (Job.objects.get().status, Job.objects.get().attempts) == (Status.QUEUED, 1)
    assert Job.objects.claim(f"gpu@here:{child.pid}")
    assert sweeper.sweep() == Reclaimed(failed=1)
    assert Job.objects.get().error_code == "worker_lost"


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    "facts",
    [{"pid_space": "elsewhere"}, {"pid_space": ""}, {"pid_born": None}],
    ids=["of another host or container", "that did not say where", "that did not say when"],
)
def test_a_worker_whose_death_cannot_be_told_keeps_its_job_until_the_lease_ends(
    facts: dict[str, object], settings: Settings, child: "subprocess.Popen[bytes]"
) -> None:
    settings.JOB_LEASE_SECONDS = 600
    holds_a_job(child, **facts)
    child.kill()
    child.wait()
    assert sweeper.sweep() == Reclaimed()
    Job.objects.update(lease_until=Now() - timedelta(seconds=1))
    assert sweeper.sweep() == Reclaimed(requeued=1)
