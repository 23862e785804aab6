"""Postgres dies by kill -9: what was accepted is there afterwards, what was only claimed is claimed again."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import psutil
import pytest
from django.core.management import call_command
from django.db import OperationalError, connection
from pytest_django import DjangoDbBlocker

from jobs.models import Job, UsageEntry
from jobs.models.results import Beat, Finished
from jobs.options import JobOptions
from jobs.states import Status
from jobs.submission.request import Submission
from jobs.submission.submit import submit
from tests.frozen import postmaster
from tests.jobs.conftest import picture, write_model
from upscaler_site.postgres.embedded import EmbeddedPostgres
from upscaler_site.postgres.url import database_from

pytestmark = pytest.mark.processes


class Durable:
    """A server that waits for its disk where it is asked to, and writes nothing unasked."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.server = EmbeddedPostgres(directory, {"autovacuum": "off", "bgwriter_lru_maxpages": "0"})

    def freeze_wal_writer(self) -> None:
        """Keep what no COMMIT waits for from the disk: the WAL writer would bring it there within 0.6 s."""
        (writer,) = [
            child for child in postmaster(self.directory).children() if "walwriter" in " ".join(child.cmdline())
        ]
        writer.suspend()

    def die_and_start(self) -> None:
        first = postmaster(self.directory)
        for process in [first, *first.children()]:
            process.kill()
        psutil.wait_procs([first], 30)
        self.server.start_again()


@pytest.fixture
def durable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, django_db_blocker: DjangoDbBlocker) -> Iterator[Durable]:
    """Django's own connection leads to this server while the test runs."""
    found = Durable(tmp_path / "database")
    with found.server as url, django_db_blocker.unblock():
        for name, value in database_from(url).items():
            monkeypatch.setitem(connection.settings_dict, name, value)
        connection.close()
        call_command("migrate", verbosity=0, skip_checks=True)
        yield found
        connection.close()


def result(job: Job) -> Finished:
    assert job.token is not None
    return Finished(f"results/{job.token.hex}.png", 10, "png", 48, 32, "0" * 64, tiles_done=1, tiles_total=1)


def test_no_accepted_job_and_no_result_is_lost_and_a_lost_claim_is_repaired(
    durable: Durable, data_dir: Path, tiny_weights: Path
) -> None:
    model = write_model(data_dir, tiny_weights)
    durable.freeze_wal_writer()
    first, second, third = (submit(picture(seed=seed), Submission(model.name, JobOptions())) for seed in range(3))
    done = Job.objects.claim("w")
    assert done is not None
    assert done.pk == first.pk
    assert Job.objects.succeed(done, result(done))
    UsageEntry.objects.fold()  # its COMMIT does not wait for the disk
    lost = Job.objects.claim("w")
    assert lost is not None
    assert lost.pk == second.pk
    assert Job.objects.heartbeat(lost, tiles_done=1, tiles_total=2) == Beat(held=True, cancel=False)

    durable.die_and_start()
    with pytest.raises(OperationalError):
        Job.objects.count()
    connection.close()

    assert Job.objects.get(pk=first.pk).result_file == result(done).result_file
    assert Job.objects.get(pk=third.pk).status == Status.QUEUED
    today = UsageEntry.objects.today()
    (usage,) = UsageEntry.objects.added_up(today - timedelta(days=1), today, most=1)
    assert usage.sums.completed == 1, "folded or not, the end is counted once"
    back = Job.objects.get(pk=second.pk)
    assert (back.status, back.attempts, back.token) == (Status.QUEUED, 0, None), "this claim was on the disk"
    assert Job.objects.heartbeat(lost, tiles_done=2, tiles_total=2) == Beat(held=False, cancel=False)
    assert not Job.objects.succeed(lost, result(lost)), "its worker has lost it"
    again = Job.objects.claim("v")
    assert again is not None
    assert again.pk == second.pk
    assert Job.objects.succeed(again, result(again))


@pytest.mark.parametrize("end", ["succeed", "fail", "give_up", "release", "cancel", "retry"])
def test_every_other_verb_is_on_the_disk_when_it_returns(
    end: str, durable: Durable, data_dir: Path, tiny_weights: Path
) -> None:
    model = write_model(data_dir, tiny_weights)
    durable.freeze_wal_writer()
    submit(picture(), Submission(model.name, JobOptions()))
    job = Job.objects.claim("w")
    assert job is not None
    match end:
        case "succeed":
            assert Job.objects.succeed(job, result(job))
        case "fail":
            assert Job.objects.fail(job, "broken", "broken")
        case "give_up":
            assert Job.objects.give_up(job)
        case "release":
            assert Job.objects.release(job, counted=True)
        case "cancel":
            assert Job.objects.cancel(job.pk).cancel_requested
        case "retry":
            assert Job.objects.fail(job, "broken", "broken")
            assert Job.objects.retry(job.pk)
    before = Job.objects.values().get()
    durable.die_and_start()
    connection.close()
    assert Job.objects.values().get() == before
