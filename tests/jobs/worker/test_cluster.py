"""Real clusters: a ticket becomes a result; priorities, cancellation, stopping."""

import os
import re
import signal
from collections.abc import Callable
from pathlib import Path

import numpy as np
import psutil
import pytest
from PIL import Image

from jobs.engine.backends import openvino_trial
from jobs.models import Job, Worker
from jobs.progress.wait import wait_for
from jobs.states import Priority, Status
from jobs.storage import file_names, files
from jobs.submission import submit as intake
from modelstore.models import Model
from modelstore.states import State
from tests.eventually import eventually
from tests.jobs.conftest import StartCluster, picture, stored_files, write_model
from tests.jobs.rig.apps import SLOW
from tests.stored import path_of

Submit = Callable[..., Job]


def ended(job: Job, seconds: float = 120) -> Job:
    """The job after its end."""

    def look() -> Job | None:
        found = Job.objects.get(pk=job.pk)
        return found if found.finished_at else None

    found = eventually(look, seconds=seconds, say=f"the end of job {job.pk}")
    assert found is not None
    return found


def test_a_submitted_picture_comes_back_twice_as_large(
    start_cluster: StartCluster, submit: Submit, data_dir: Path
) -> None:
    cluster = start_cluster()
    job = wait_for(submit(24, 16).id, 120)
    assert job.status == Status.COMPLETED, job.error
    with files.open_result(job) as file:
        assert Image.open(file).size == (48, 32)
    assert job.result_bytes == path_of(job.result_file).stat().st_size
    assert job.report["model"] == "tiny-x2"
    assert job.report["tiles"] == job.tiles_done == job.tiles_total == 1
    assert set(job.report["seconds"]) == {"load", "decode", "infer", "encode"}
    assert job.processing_seconds is not None
    eventually(lambda: len(stored_files(data_dir)) == 3)  # the preview comes last
    assert stored_files(data_dir) == sorted(file_names.names_of(Job.objects.get()))
    worker = Worker.objects.get()
    assert worker.id == job.worker
    assert worker.device == "cpu"
    eventually(lambda: Worker.objects.get().loaded_models == ["tiny-x2"], seconds=30)
    choices = Worker.objects.get().choices or {}
    assert choices.get("tiny-x2", "") == job.report["choice"], "why this backend, as far as there was a choice"
    cluster.terminate()
    assert cluster.wait() == 0
    assert cluster.members() == []
    assert not Worker.objects.exists()


def test_a_job_whose_model_is_fetched_again_waits_for_it_and_others_go_on(
    start_cluster: StartCluster, submit: Submit, tiny_weights: Path, data_dir: Path
) -> None:
    """Its file was found damaged after the job was accepted; that is nothing the job could help."""
    job = submit(24, 16, priority=Priority.SYNC)
    other = submit(24, 16, seed=2)
    Model.objects.update(state=State.REQUESTED)
    write_model(data_dir, tiny_weights, "tiny-other")
    Job.objects.filter(pk=other.pk).update(model="tiny-other")
    start_cluster()

    def put_aside() -> bool:
        found = Job.objects.get(pk=job.pk)
        return (found.status, found.error_code, found.attempts) == (Status.QUEUED, "model_not_available", 0)

    eventually(put_aside, seconds=120)
    assert ended(other).status == Status.COMPLETED
    Model.objects.filter(name="tiny-x2").update(state=State.READY)
    done = ended(job)
    assert (done.status, done.error, done.attempts) == (Status.COMPLETED, "", 1)


def test_a_job_whose_model_does_not_come_back_fails_with_the_reason(
    start_cluster: StartCluster, submit: Submit
) -> None:
    job = submit(24, 16)
    Model.objects.update(state=State.FAILED, error="no source has it")
    start_cluster()
    done = ended(job)
    assert (done.status, done.error_code, done.attempts) == (Status.FAILED, "model_not_available", 1)


def test_an_idle_worker_gives_back_what_a_large_picture_took(start_cluster: StartCluster, submit: Submit) -> None:
    if openvino_trial.trouble():
        pytest.skip(openvino_trial.trouble())
    cluster = start_cluster(ENGINE_BACKEND="openvino")
    worker = psutil.Process(cluster.pids("worker")[-1])
    before = worker.memory_info().rss
    assert ended(submit(1600, 1200)).status == Status.COMPLETED

    def look() -> bool:
        peak = int(re.findall(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{worker.pid}/status").read_text())[0]) * 1024
        kept, took = worker.memory_info().rss - before, peak - before
        assert took > 200_000_000, "the picture is too small for this test"
        assert kept < took / 2, f"{kept} of {took} bytes are kept"
        return True

    eventually(look)


def test_weights_that_rot_without_a_trace_never_make_a_picture(
    start_cluster: StartCluster, submit: Submit, tiny_weights: Path, data_dir: Path
) -> None:
    """Size, time and inode stay as they were; the network is loaded anew for a blend, as for another precision."""
    write_model(data_dir, tiny_weights, "tiny-partner")
    Model.objects.filter(name="tiny-x2").update(denoise_partner="tiny-partner")
    start_cluster()
    assert ended(submit(24, 16)).status == Status.COMPLETED
    path = data_dir / "models" / "tiny-x2.safetensors"
    rot(path)
    done = ended(submit(24, 16, denoise_strength=0.5))
    assert (done.status, done.error_code) == (Status.FAILED, "model_not_available")
    assert "import it again" in done.error
    assert Model.objects.get(name="tiny-x2").state == State.FAILED
    assert Model.objects.get(name="tiny-partner").state == State.READY
    assert not path.exists()


def rot(path: Path) -> None:
    """Negate the last numbers of a file, as a bad disk does it: nothing but reading them tells."""
    status = path.stat()
    with path.open("r+b") as file:
        file.seek(-64, os.SEEK_END)
        numbers = -np.frombuffer(file.read(), np.float32)
        file.seek(-64, os.SEEK_END)
        file.write(numbers.tobytes())
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


def test_sync_goes_before_async_before_batch_and_first_come_first_served_inside(
    start_cluster: StartCluster, submit: Submit
) -> None:
    batch = [submit(seed=i, priority=Priority.BATCH) for i in range(3)]
    later = [submit(seed=10 + i) for i in range(2)]
    sync = submit(seed=20, priority=Priority.SYNC)
    start_cluster()
    for job in batch:
        ended(job)
    order = list(Job.objects.order_by("started_at").values_list("pk", flat=True))
    assert order == [sync.pk, *(job.pk for job in later), *(job.pk for job in batch)]


def test_a_sync_request_behind_a_batch_waits_for_the_running_job_only(
    start_cluster: StartCluster, submit: Submit
) -> None:
    start_cluster()
    batch = [submit(SLOW, 16, seed=i, priority=Priority.BATCH) for i in range(6)]
    eventually(lambda: Job.objects.filter(status=Status.PROCESSING).exists(), seconds=60)
    sync = submit(24, 16, seed=50, priority=Priority.SYNC)
    done = wait_for(sync.id, 120)
    assert done.status == Status.COMPLETED
    assert done.started_at is not None
    assert Job.objects.filter(pk__in=[job.pk for job in batch], started_at__lt=done.started_at).count() == 1


def test_a_waiting_job_is_cancelled_at_once_and_never_runs(start_cluster: StartCluster, submit: Submit) -> None:
    waiting, other = submit(), submit(seed=2)
    assert Job.objects.cancel(waiting.pk).status == Status.CANCELLED
    start_cluster()
    assert ended(other).status == Status.COMPLETED
    assert Job.objects.get(pk=waiting.pk).started_at is None


def test_a_running_job_is_cancelled_between_tiles_and_leaves_no_file(
    start_cluster: StartCluster, submit: Submit, data_dir: Path
) -> None:
    start_cluster()
    job = submit(3000, 2000, tile_size=32, tile_pad=8)
    eventually(lambda: Job.objects.get(pk=job.pk).tiles_done > 0, seconds=60, say="a first tile")
    Job.objects.cancel(job.pk)
    assert ended(job, 30).status == Status.CANCELLED
    eventually(lambda: stored_files(data_dir) == [job.input_file], seconds=30)
    with_retry = Job.objects.retry(job.pk)
    assert (with_retry.status, with_retry.attempts, with_retry.cancel_requested) == (Status.QUEUED, 0, False)


def test_sigterm_lets_a_short_job_finish(start_cluster: StartCluster, submit: Submit) -> None:
    cluster = start_cluster(STOP_GRACE_SECONDS="60")
    job = submit(SLOW, 16)
    eventually(lambda: Job.objects.get(pk=job.pk).status == Status.PROCESSING, seconds=60)
    cluster.terminate()
    assert cluster.wait(240) == 0
    assert Job.objects.get(pk=job.pk).status == Status.COMPLETED


def test_sigterm_hands_a_long_job_back_within_the_grace_and_costs_no_attempt(
    start_cluster: StartCluster, submit: Submit, data_dir: Path
) -> None:
    cluster = start_cluster(STOP_GRACE_SECONDS="1")
    job = submit(3000, 2000, tile_size=32, tile_pad=8)
    eventually(lambda: Job.objects.get(pk=job.pk).tiles_done > 0, seconds=60, say="a first tile")
    cluster.terminate()
    assert cluster.wait(240) == 0
    back = Job.objects.get(pk=job.pk)
    assert (back.status, back.attempts, back.token) == (Status.QUEUED, 0, None)
    assert stored_files(data_dir) == [job.input_file]
    assert cluster.members() == []


def test_a_second_sigterm_hands_the_job_back_now(start_cluster: StartCluster, submit: Submit) -> None:
    cluster = start_cluster(STOP_GRACE_SECONDS="3600")
    job = submit(3000, 2000, tile_size=32, tile_pad=8)
    eventually(lambda: Job.objects.get(pk=job.pk).tiles_done > 0, seconds=60, say="a first tile")
    cluster.terminate()
    eventually(lambda: "stopping cluster processes" in cluster.output(), seconds=60)
    assert Job.objects.get(pk=job.pk).status == Status.PROCESSING
    cluster.terminate()
    assert cluster.wait(240) == 0
    assert Job.objects.get(pk=job.pk).status == Status.QUEUED


def test_sigterm_to_the_whole_group_stops_in_order(start_cluster: StartCluster, submit: Submit) -> None:
    import os

    cluster = start_cluster(STOP_GRACE_SECONDS="60")
    job = submit(SLOW, 16)
    eventually(lambda: Job.objects.get(pk=job.pk).status == Status.PROCESSING, seconds=60)
    os.killpg(cluster.process.pid, signal.SIGTERM)
    assert cluster.wait(240) == 0
    assert Job.objects.get(pk=job.pk).status == Status.COMPLETED


@pytest.mark.usefixtures("model")
def test_two_clusters_share_a_batch_evenly(
    start_cluster: StartCluster, make_submission: Callable[..., intake.Submission]
) -> None:
    start_cluster()
    start_cluster()
    uploads = [picture(SLOW, 16, seed=i) for i in range(4)]
    batch = intake.submit_batch(uploads, make_submission())
    eventually(lambda: batch.jobs.filter(status=Status.COMPLETED).count() == 4, seconds=120)
    per_worker = [
        batch.jobs.filter(worker=worker).count() for worker in set(batch.jobs.values_list("worker", flat=True))
    ]
    assert sorted(per_worker) == [2, 2]
