"""Who waits for a picture is told when nobody would make it, and nothing stays of what is refused."""

import io
from collections.abc import Callable
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command
from django.test import Client
from pytest_django.fixtures import Settings

from jobs.errors import PrecisionUnavailable
from jobs.models import Job, Worker
from jobs.states import Status
from jobs.submission import admission
from tests.eventually import eventually
from tests.jobs.conftest import StartCluster, picture, stored_files
from tests.jobs.submission.helpers import complete, write_worker
from tests.stored import path_of

Submit = Callable[..., Job]


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
    assert b"".join(answer.streaming_content) == path_of(done.result_file).read_bytes()  # type: ignore[attr-defined]


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
