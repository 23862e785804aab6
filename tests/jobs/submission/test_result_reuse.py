"""Equal work is answered from the result that is there, and other work is not."""

import json
from pathlib import Path
from typing import Any

import pytest
from pytest_django.fixtures import Settings

from jobs import errors
from jobs.models import WebhookMessage
from jobs.states import Status
from jobs.storage import file_names, files
from jobs.submission import submit
from tests.jobs.conftest import picture, stored_files
from tests.jobs.submission.helpers import Make, complete
from tests.stored import path_of


def test_equal_work_is_answered_from_the_existing_result(make_submission: Make) -> None:
    first = complete(submit.submit(picture(), make_submission()))
    again = submit.submit(picture(name="other.png"), make_submission(reuse=True))
    assert (again.status, again.reused_from, again.attempts) == (Status.COMPLETED, first.pk, 0)
    assert (again.result_width, again.result_sha256) == (48, first.result_sha256)
    files.remove(file_names.names_of(first))
    with files.open_result(again) as file:
        assert file.read() == b"pixel"
    with files.open_preview(again) as file:
        assert file.read() == b"pixel"


def test_an_existing_result_needs_no_worker_and_no_place_in_the_queue(
    make_submission: Make, settings: Settings
) -> None:
    def nobody() -> None:
        raise errors.NoWorker("nobody works")

    complete(submit.submit(picture(), make_submission()))
    settings.MAX_QUEUED_JOBS = 0
    wish = make_submission(reuse=True, require_worker=nobody)
    assert submit.submit(picture(), wish).status == Status.COMPLETED
    assert submit.submit_batch([picture()], make_submission(reuse=True)).jobs.get().status == Status.COMPLETED
    with pytest.raises(errors.NoWorker):
        submit.submit(picture(seed=2), wish)
    with pytest.raises(errors.NoWorker):
        submit.submit(picture(), make_submission(reuse=False, require_worker=nobody))
    with pytest.raises(errors.QueueFull):
        submit.submit_batch([picture(), picture(seed=2)], make_submission(reuse=True))


def test_a_result_whose_file_is_gone_does_not_stand_for_a_worker(make_submission: Make) -> None:
    def nobody() -> None:
        raise errors.NoWorker("nobody works")

    first = complete(submit.submit(picture(), make_submission()))
    path_of(first.result_file).unlink()
    with pytest.raises(errors.NoWorker):
        submit.submit(picture(), make_submission(reuse=True, require_worker=nobody))


@pytest.mark.parametrize("other", [{"reuse": False}, {"outscale": 3.0, "reuse": True}])
def test_other_work_is_computed(make_submission: Make, other: dict[str, Any]) -> None:
    complete(submit.submit(picture(), make_submission()))
    assert submit.submit(picture(), make_submission(**other)).status == Status.QUEUED


def test_a_setting_reuses_without_being_asked(make_submission: Make, settings: Settings) -> None:
    complete(submit.submit(picture(), make_submission()))
    settings.REUSE_RESULTS = True
    assert submit.submit(picture(), make_submission()).status == Status.COMPLETED
    assert submit.submit(picture(), make_submission(reuse=False)).status == Status.QUEUED


def test_a_result_that_was_cleaned_up_is_computed_anew(make_submission: Make, data_dir: Path) -> None:
    first = complete(submit.submit(picture(), make_submission()))
    path_of(first.result_file).unlink()
    again = submit.submit(picture(), make_submission(reuse=True))
    assert again.status == Status.QUEUED
    assert set(stored_files(data_dir)) == {first.input_file, first.preview_file, again.input_file}


def test_a_result_without_a_preview_is_a_result(make_submission: Make, data_dir: Path) -> None:
    first = complete(submit.submit(picture(), make_submission()))
    path_of(first.preview_file).unlink()
    again = submit.submit(picture(), make_submission(reuse=True))
    assert (again.status, again.preview_file) == (Status.COMPLETED, "")
    assert set(stored_files(data_dir)) == {first.input_file, first.result_file, again.input_file, again.result_file}


def test_another_file_under_the_models_name_is_other_work(make_submission: Make, model: Any) -> None:
    complete(submit.submit(picture(), make_submission()))
    type(model).objects.update(sha256="a" * 64)
    assert submit.submit(picture(), make_submission(reuse=True)).status == Status.QUEUED


def test_a_batch_that_reuses_results_tells_its_end_once_and_only_at_its_end(make_submission: Make) -> None:
    for seed in (1, 2):
        complete(submit.submit(picture(seed=seed), make_submission()))
    told = {"reuse": True, "webhook_url": "http://127.0.0.1:9/hook", "webhook_events": ("batch.completed",)}
    whole = submit.submit_batch([picture(seed=1), picture(seed=2)], make_submission(**told))
    (message,) = WebhookMessage.objects.filter(batch_id=whole.pk)
    assert json.loads(message.body)["data"]["counts"]["completed"] == 2
    part = submit.submit_batch([picture(seed=1), picture(seed=2), picture(seed=3)], make_submission(**told))
    assert not WebhookMessage.objects.filter(batch_id=part.pk).exists()
    complete(part.jobs.get(status=Status.QUEUED))
    assert WebhookMessage.objects.filter(batch_id=part.pk).count() == 1
