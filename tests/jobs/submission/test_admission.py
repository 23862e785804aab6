"""Workers that cannot compute take no jobs; who waits for a picture is told when nobody would make it."""

import io
import os
import re
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command
from django.db.models.functions import Now
from django.test import Client
from pytest_django.fixtures import Settings

from jobs.errors import PrecisionUnavailable
from jobs.models import Job, Worker
from jobs.states import Status
from jobs.storage import files
from jobs.submission import admission
from tests.eventually import eventually
from tests.jobs.conftest import StartCluster, picture, stored_files
from tests.jobs.rig.apps import LOSES_DEVICE
from tests.jobs.submission.test_submit import complete

Submit = Callable[..., Job]


def write_worker(device: str) -> Worker:
    """A worker of this host that was heard just now."""
    import socket

    row: Worker = Worker.objects.create(
        id=f"gpu@test:{device}", cluster="gpu", host=socket.gethostname(), pid=1, device=device, started_at=Now(),
        seen_at=Now(),
    )  # fmt: skip
    return row


def test_a_worker_without_its_device_takes_no_job(start_cluster: StartCluster, submit: Submit) -> None:
    job = submit()
    cluster = start_cluster(ready=False, DEVICE="cuda:99")
    eventually(lambda: "worker cannot compute" in cluster.output(), seconds=120, say="the complaint")
    eventually(lambda: Worker.objects.filter(cluster="gpu", device="").exists(), seconds=30)
    assert not Worker.objects.computing().exists()
    eventually(lambda: cluster.output().count("worker cannot compute") >= 2, seconds=120, say="another look")
    job.refresh_from_db()
    assert (job.status, job.attempts) == (Status.QUEUED, 0)
    cluster.terminate()
    cluster.wait()
    assert cluster.members() == []


def test_a_worker_that_loses_its_device_while_warming_takes_no_job(
    start_cluster: StartCluster, submit: Submit, tmp_path: Path
) -> None:
    job = submit()
    lost = tmp_path / "lost"
    cluster = start_cluster(WARM_MODELS=job.model, RIG_LOSES_DEVICE_WARMING=str(lost))
    eventually(lambda: "worker's device is lost" in cluster.output(), seconds=120)
    eventually(lambda: Job.objects.get(pk=job.pk).finished_at, seconds=120)
    job.refresh_from_db()
    assert (job.status, job.attempts) == (Status.COMPLETED, 1)
    assert cluster.output().index("worker's device is lost") < cluster.output().index("job claimed")


def test_a_precision_that_no_worker_has_is_refused_by_name(
    start_cluster: StartCluster, submit: Submit, client: Client
) -> None:
    """Only a worker knows what its device computes in; the web process reads it in the worker's row."""
    submit(precision="fp16")  # nobody lives who could say that he cannot
    Job.objects.all().delete()
    start_cluster()
    eventually(lambda: Worker.objects.computing().exists(), seconds=60)
    worker = Worker.objects.computing().get()
    offered = worker.precisions or []
    assert {"fp32", worker.precision} <= set(offered)
    assert "fp16" not in offered  # no CPU has it
    for call in ("upscale", "jobs"):
        answer = client.post(f"/api/v1/{call}", {"image": picture(), "model": "tiny-x2", "precision": "fp16"})
        assert (answer.status_code, answer.json()["code"]) == (422, "precision_unavailable")
        assert "computes in fp16 here; there" in answer.json()["detail"]
    assert not Job.objects.exists()
    answer = client.post("/api/v1/upscale", {"image": picture(), "model": "tiny-x2", "precision": "fp32"})
    assert answer.status_code == 200


def test_a_job_is_left_to_the_worker_that_has_its_precision(start_cluster: StartCluster, submit: Submit) -> None:
    """A host with a card is busy; the one without takes the job and cannot do it, and must not use up its attempts."""
    card = write_worker("cuda:0")
    Worker.objects.filter(pk=card.pk).update(precisions=["fp32", "fp16"], seen_at=Now() + timedelta(hours=1))
    start_cluster()
    job = submit(precision="fp16")

    def left() -> bool:
        job.refresh_from_db()
        return (job.status, job.error_code, job.attempts) == (Status.QUEUED, "precision_unavailable", 0)

    eventually(left, seconds=120)
    card.delete()
    eventually(lambda: Job.objects.get(pk=job.pk).finished_at, seconds=120)
    job.refresh_from_db()
    assert (job.status, job.error_code, job.attempts) == (Status.FAILED, "precision_unavailable", 1)


def test_a_worker_bounds_the_plans_that_cudnn_keeps(monkeypatch: pytest.MonkeyPatch) -> None:
    """Torch reads it from the environment, once, before its first convolution; an operator's own value stays."""
    from jobs.worker import runtime

    name = "TORCH_CUDNN_V8_API_LRU_CACHE_LIMIT"
    for before, after in (("", "500"), ("7", "7")):
        monkeypatch.setenv(name, before)
        if not before:
            monkeypatch.delenv(name)
        monkeypatch.setattr(runtime, "_upscaler", None)
        runtime.upscaler()
        assert os.environ[name] == after


@pytest.mark.django_db
def test_workers_of_one_kind_are_enough_and_older_ones_do_not_say() -> None:
    """During a deployment workers of the version before run beside the new web process."""
    Worker.objects.filter(pk=write_worker("cpu").pk).update(precisions=["fp32"])
    admission.require_precision(None)
    admission.require_precision("fp32")
    with pytest.raises(PrecisionUnavailable, match="there is fp32"):
        admission.require_precision("fp16")
    card = write_worker("cuda:0")
    admission.require_precision("fp16")
    Worker.objects.filter(pk=card.pk).update(precisions=["fp32", "fp16"])
    admission.require_precision("fp16")
    with pytest.raises(PrecisionUnavailable, match="there are fp16, fp32"):
        admission.require_precision("bf16")


def test_a_worker_that_lost_its_device_ends_and_a_fresh_one_tries_again(
    start_cluster: StartCluster, submit: Submit
) -> None:
    cluster = start_cluster()
    job, other = submit(LOSES_DEVICE), submit(seed=2)
    eventually(lambda: Job.objects.filter(finished_at__isnull=False).count() == 2, seconds=240)
    job.refresh_from_db()
    other.refresh_from_db()
    assert (job.status, job.error_code, job.attempts) == (Status.FAILED, "device_lost", 3)
    assert other.status == Status.COMPLETED
    workers = set(re.findall(r"job claimed job=\S+ worker=(\S+)", cluster.output()))
    assert len(workers) >= 3, cluster.output()


def test_the_probe_of_a_container_counts_workers_with_a_device_only(db: None) -> None:
    write_worker("")
    with pytest.raises(CommandError):
        call_command("worker_health", "gpu")
    write_worker("cpu")
    call_command("worker_health", "gpu", stdout=io.StringIO())


def send(**headers: str) -> tuple[int, dict[str, str], str]:
    answer = Client(headers=headers).post("/api/v1/upscale", {"image": picture(), "model": "tiny-x2"})
    return answer.status_code, answer.json(), answer.headers.get("Retry-After", "")


@pytest.fixture
def no_grace(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(admission, "GRACE_SECONDS", 0.0)
    monkeypatch.setattr(admission, "START_SECONDS", 0.0)


def test_who_waits_is_told_that_nobody_works_and_nothing_stays(model: object, no_grace: None, data_dir: Path) -> None:
    write_worker("")
    status, body, retry_after = send()
    assert (status, body["code"], retry_after) == (503, "no_worker", "10")
    assert not Job.objects.exists()
    assert stored_files(data_dir) == []


def test_who_waits_gets_the_stored_result_although_nobody_works(
    submit: Submit, no_grace: None, settings: Settings
) -> None:
    done = complete(submit())
    settings.REUSE_RESULTS = True
    answer = Client().post("/api/v1/upscale", {"image": picture(), "model": "tiny-x2"})
    assert answer.status_code == 200
    assert b"".join(answer.streaming_content) == files.path_of(done.result_file).read_bytes()  # type: ignore[attr-defined]


def test_who_does_not_wait_is_accepted_without_a_worker(model: object, no_grace: None) -> None:
    assert send(prefer="respond-async")[0] == 202
    assert Job.objects.get().status == Status.QUEUED


def test_a_service_that_just_started_waits_for_its_workers(model: object, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(admission, "START_SECONDS", 1e9)
    asked = []

    def looks() -> bool:
        asked.append(1)
        if len(asked) == 2:
            write_worker("cpu")
        return False

    admission.require_worker(looks)
    assert len(asked) == 2
