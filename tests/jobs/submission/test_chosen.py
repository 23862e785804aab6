"""The models of a submission: every member is checked like a single one, and nothing is written for what cannot run."""

from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from pytest_django.fixtures import Settings

from jobs import errors, model_usage
from jobs.models import Job
from jobs.options import JobOptions
from jobs.states import Status
from jobs.submission import submit
from jobs.submission.chosen import choose
from jobs.submission.request import Submission
from modelstore.errors import DenoiseUnsupported, ModelInUse, ModelNotReady, ModelUnknown
from modelstore.models import Model
from modelstore.storage.deletion import delete
from tests.jobs.conftest import picture, stored_files, write_model
from tests.jobs.submission.helpers import complete
from tests.tiny_models import write_tiny_weights

CHAIN = "tiny-x1+tiny-x2"


def chained(text: str = CHAIN, **options: Any) -> Submission:
    reuse = options.pop("reuse", None)
    return Submission(text, JobOptions(**options), reuse=reuse)


def test_a_chain_is_accepted_as_one_job(restorer: Model) -> None:
    job = submit.submit(picture(24, 16), chained())
    assert (job.status, job.model) == (Status.QUEUED, CHAIN)
    report = submit.plan(picture(24, 16), chained())
    assert (report.scale, report.output_width, report.output_height) == (2.0, 48, 32)
    assert (report.passes, report.tiles) == (2, 2)
    assert report.memory_bytes is not None


@pytest.mark.parametrize(
    ("text", "error", "words"),
    [
        ("tiny-x1+nobody", ModelUnknown, "^Model not found: nobody$"),
        ("nobody+tiny-x1", ModelUnknown, "^Model not found: nobody$"),
        ("tiny-x1+RealESRGAN_x4plus", ModelNotReady, "^Model not available: RealESRGAN_x4plus"),
        ("tiny-x1+", errors.ChainRefused, "lacks the name"),
        ("tiny-x1++tiny-x2", errors.ChainRefused, "lacks the name"),
        ("+".join(["tiny-x1"] * 4), errors.ChainRefused, "^4 models"),
        ("tiny-x1 tiny-x2", ModelUnknown, r"written tiny-x1\+tiny-x2; in an address .* tiny-x1%2Btiny-x2$"),
        ("tiny-x1\uff0btiny-x2", ModelUnknown, r"written tiny-x1\+tiny-x2;"),
        ("tiny-x1, tiny-x2", ModelUnknown, r"written tiny-x1\+tiny-x2;"),
        ("tiny-x1 nobody", ModelUnknown, '^Model not found: tiny-x1 nobody[.] Did you mean "tiny-x1"[?]$'),
        ("tiny-x1 + tiny-x2", ModelUnknown, r"written tiny-x1\+tiny-x2;"),
        ("tiny-x1%2Btiny-x2", ModelUnknown, "^Model not found: tiny-x1%2Btiny-x2$"),
    ],
)
def test_what_is_no_chain_is_refused_by_the_name_at_fault(
    restorer: Model, data_dir: Path, text: str, error: type[Exception], words: str
) -> None:
    call_command("migrate", verbosity=0)  # the official models' rows, which other tests of this database removed
    with pytest.raises(error, match=words):
        submit.submit(picture(), chained(text))
    assert not Job.objects.exists()
    assert stored_files(data_dir) == []


def test_scales_multiply_and_more_than_sixteen_needs_an_outscale(
    restorer: Model, data_dir: Path, tmp_path: Path
) -> None:
    write_model(data_dir, write_tiny_weights(tmp_path / "four.safetensors", scale=4), "tiny-x4")
    assert choose("tiny-x4+tiny-x4", JobOptions()).scales == (4, 4)
    with pytest.raises(errors.ChainRefused, match=r"tiny-x4\+tiny-x2\+tiny-x4 enlarges 32 times; at most 16"):
        submit.submit(picture(), chained("tiny-x4+tiny-x2+tiny-x4"))
    report = submit.plan(picture(10, 10), chained("tiny-x4+tiny-x2+tiny-x4", outscale=4.0))
    assert (report.output_width, report.passes) == (40, 3)


def test_a_size_between_two_members_beyond_the_limit_is_refused_before_anything_is_written(
    restorer: Model, data_dir: Path, settings: Settings
) -> None:
    settings.MAX_OUTPUT_PIXELS = 48 * 32 - 1
    small = {"outscale": 1.0}
    submit.submit(picture(24, 16), chained("tiny-x1+tiny-x2", **small))
    before = Job.objects.count(), stored_files(data_dir)
    with pytest.raises(errors.ImageTooManyPixels, match="between two models the image would be 48×32 px, 1536 pixels"):
        submit.submit(picture(24, 16), chained("tiny-x2+tiny-x1", **small))
    assert (Job.objects.count(), stored_files(data_dir)) == before


def test_the_denoise_strength_needs_a_member_with_a_partner(restorer: Model, data_dir: Path, tmp_path: Path) -> None:
    with pytest.raises(DenoiseUnsupported, match=r"^tiny-x1\+tiny-x2 has no denoise strength"):
        submit.submit(picture(), chained(denoise_strength=0.5))
    write_model(data_dir, write_tiny_weights(tmp_path / "wdn.safetensors", seed=5), "wdn")
    write_model(data_dir, write_tiny_weights(tmp_path / "pair.safetensors", seed=6), "pair", denoise_partner="wdn")
    half = choose("tiny-x1+pair", JobOptions(denoise_strength=0.5))
    assert [name for name, _ in half.partners] == ["wdn"]
    assert choose("tiny-x1+pair", JobOptions()).partners == ()
    Model.objects.filter(name="wdn").update(sha256="0" * 64, size_bytes=1)
    with pytest.raises(ModelNotReady, match="wdn"):
        submit.submit(picture(), chained("tiny-x1+pair", denoise_strength=0.5))


# --- reuse


def test_an_equal_chain_is_answered_from_its_result_and_no_other_is(restorer: Model) -> None:
    first = complete(submit.submit(picture(), chained()))
    again = submit.submit(picture(), chained(reuse=True))
    assert (again.status, again.reused_from) == (Status.COMPLETED, first.pk)
    for other in ("tiny-x2+tiny-x1", "tiny-x2", "tiny-x1", "tiny-x1+tiny-x1+tiny-x2"):
        assert submit.submit(picture(), chained(other, reuse=True)).status == Status.QUEUED


@pytest.mark.parametrize("member", ["tiny-x1", "tiny-x2"])
def test_a_member_whose_file_changed_answers_no_chain_from_before(restorer: Model, member: str) -> None:
    """An import may bring another file under the same name."""
    complete(submit.submit(picture(), chained()))
    Model.objects.filter(name=member).update(sha256="1" * 64)
    assert submit.submit(picture(), chained(reuse=True)).status == Status.QUEUED


# --- members are in use


def test_no_member_of_an_unfinished_chain_can_be_deleted(restorer: Model, data_dir: Path, tmp_path: Path) -> None:
    for name in ("tiny-x", "x1", "tinyxx1"):  # parts of a name, and a LIKE pattern's "any character"
        write_model(data_dir, write_tiny_weights(tmp_path / f"{name}.safetensors"), name)
    job = submit.submit(picture(), chained("tiny-x1+tiny-x2+tiny-x1"))
    for name in ("tiny-x1", "tiny-x2"):
        with pytest.raises(ModelInUse, match="1 unfinished job needs it"):
            delete(name)
    for name in ("tiny-x", "x1", "tinyxx1"):
        assert model_usage.unfinished_jobs(name) == 0
        delete(name)
    Job.objects.cancel(job.pk)
    delete("tiny-x1")


@pytest.mark.parametrize("text", ["a_b", "a_b+c", "c+a_b", "c+a_b+d"])
def test_a_model_is_found_wherever_it_stands_in_a_chain(db: None, make_job: Any, text: str) -> None:
    make_job(model=text)
    assert model_usage.unfinished_jobs("a_b") == 1
    assert model_usage.unfinished_jobs("axb") == 0
