"""A worker and a chain: the pixels of the composition, warm members, and a member that is damaged on the way."""

import numpy as np
import pytest
from PIL import Image

from jobs import actions
from jobs.engine.codec import decode
from jobs.engine.types import Limits, Weights
from jobs.models import Job, Worker
from jobs.options import JobOptions
from jobs.states import Status
from jobs.storage import files
from jobs.submission import submit as intake
from jobs.submission.request import Submission
from modelstore.models import Model
from modelstore.storage.paths import stored_file
from tests.eventually import eventually
from tests.jobs.conftest import StartCluster, picture
from tests.jobs.engine.conftest import difference
from tests.jobs.engine.test_chains import by_hand
from tests.jobs.worker.test_cluster import ended
from tests.stored import path_of


def send(text: str, width: int = 40, height: int = 30, **options: object) -> Job:
    return intake.submit(picture(width, height), Submission(text, JobOptions(**options)))  # type: ignore[arg-type]  # by name


def loaded() -> list[str]:
    """The models that the worker says it holds, the last used last; none before it says anything."""
    worker = Worker.objects.first()
    return list(worker.loaded_models) if worker else []


def test_the_result_is_that_of_the_networks_one_after_the_other(start_cluster: StartCluster, restorer: Model) -> None:
    start_cluster(PRECISION="fp32")  # left alone, a processor with bf16 may take it, which is right to 50 dB only
    job = ended(send("tiny-x1+tiny-x2"))
    assert job.status == Status.COMPLETED, job.error
    with files.open_result(job) as file:
        made = np.asarray(Image.open(file).convert("RGB"))
    source = decode(path_of(job.input_file), Limits()).frames[0].color
    chain = [Weights(name, stored_file(Model.objects.get(name=name))) for name in ("tiny-x1", "tiny-x2")]
    assert difference(made, by_hand(chain, source)) <= 1
    assert job.tiles_total == job.report["tiles"] == 2
    assert [member["model"] for member in job.report["members"]] == ["tiny-x1", "tiny-x2"]
    eventually(lambda: loaded() == ["tiny-x1", "tiny-x2"], seconds=30)


def test_the_members_of_a_warm_chain_are_loaded_before_the_first_job(
    start_cluster: StartCluster, restorer: Model
) -> None:
    start_cluster(WARM_MODELS="tiny-x2+tiny-x1,tiny-x1")
    eventually(lambda: loaded() == ["tiny-x2", "tiny-x1"], seconds=60)


@pytest.mark.parametrize("place", [0, 1])
def test_a_member_that_was_damaged_meanwhile_fails_the_job_by_its_name(
    start_cluster: StartCluster, restorer: Model, place: int
) -> None:
    job = send("tiny-x1+tiny-x2")
    name = ("tiny-x1", "tiny-x2")[place]
    path = stored_file(Model.objects.get(name=name))
    path.write_bytes(bytes(path.stat().st_size))
    start_cluster()
    job = ended(job)
    assert (job.status, job.error_code) == (Status.FAILED, "model_not_available")
    assert f"Model not available: {name}" in job.error
    assert not job.result_file


def test_a_job_of_a_chain_is_retried_as_a_whole(start_cluster: StartCluster, restorer: Model) -> None:
    job = send("tiny-x1+tiny-x2")
    Job.objects.cancel(job.pk)
    start_cluster()
    actions.retry(Job.objects.all(), job.pk)
    assert ended(job).status == Status.COMPLETED


def test_a_chain_is_tiled_as_its_estimate_says(start_cluster: StartCluster, restorer: Model) -> None:
    start_cluster()
    asked = Submission("tiny-x2+tiny-x1", JobOptions(tile_size=32))
    guess = intake.plan(picture(70, 50), asked)
    job = ended(intake.submit(picture(70, 50), asked))
    assert job.report["tiles"] == guess.tiles
