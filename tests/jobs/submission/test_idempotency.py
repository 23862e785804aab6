"""A call that is repeated with its Idempotency-Key is one call."""

from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest
from pytest_django.fixtures import Settings

from jobs import errors
from jobs.models import Job
from jobs.options import JobOptions
from jobs.submission import idempotency, submit
from jobs.submission.request import Submission
from jobs.submission.target_size import TargetSize
from tests.jobs.conftest import picture, stored_files
from tests.jobs.submission.helpers import Make, text
from tests.together import together


def test_a_repeated_call_gets_the_first_job(make_submission: Make, data_dir: Path) -> None:
    first = submit.submit(picture(), make_submission(idempotency_key="k"))
    again = submit.submit(picture(), make_submission(idempotency_key="k"))
    assert again.pk == first.pk
    assert stored_files(data_dir) == [first.input_file]


def test_a_repetition_is_answered_even_when_the_queue_is_full(make_submission: Make, settings: Settings) -> None:
    first = submit.submit(picture(), make_submission(idempotency_key="k"))
    settings.MAX_QUEUED_JOBS = 1
    assert submit.submit(picture(), make_submission(idempotency_key="k")).pk == first.pk


@pytest.mark.parametrize("other", [{"seed": 2}, {"options": {"tile_size": 64}}])
def test_a_key_used_for_something_else_is_refused(make_submission: Make, other: dict[str, Any]) -> None:
    submit.submit(picture(), make_submission(idempotency_key="k"))
    with pytest.raises(errors.IdempotencyConflict):
        submit.submit(
            picture(seed=other.get("seed", 1)), make_submission(idempotency_key="k", **other.get("options", {}))
        )
    with pytest.raises(errors.IdempotencyConflict):
        submit.submit_batch([picture()], make_submission(idempotency_key="k"))
    assert Job.objects.count() == 1


@pytest.mark.parametrize(
    "other",
    [
        {"reuse": True},
        {"reuse": False},
        {"webhook_url": "https://example.org/other"},
        {"webhook_events": ("job.completed",)},
    ],
)
def test_a_key_used_with_another_wish_beside_the_options_is_refused(
    make_submission: Make, other: dict[str, Any]
) -> None:
    first = {"idempotency_key": "k", "webhook_url": "https://example.org/a"}
    submit.submit(picture(), make_submission(**first))
    with pytest.raises(errors.IdempotencyConflict):
        submit.submit(picture(), make_submission(**(first | other)))
    assert Job.objects.count() == 1


def test_every_field_of_a_submission_counts_or_is_named_as_one_that_does_not() -> None:
    """So that a wish which is added later cannot be forgotten here."""
    plain = Submission("m", JobOptions())
    values: dict[str, Any] = {
        "model": "other",
        "options": JobOptions(quality=5),
        "webhook_url": "https://example.org",
        "webhook_events": ("job.failed",),
        "reuse": False,
        "target": TargetSize(longest_side=100),
        "max_device_seconds": 5.0,
        "retain_hours": 2,
        "delete_after_download": True,
    }
    usual = idempotency.fingerprint_of(plain, "job", ["a"])
    for field in fields(Submission):
        if field.name in idempotency._NOT_COMPARED:
            continue
        assert field.name in values, f"{field.name} is new: give a value here, or say that it does not count"
        changed = replace(plain, **{field.name: values[field.name]})
        assert idempotency.fingerprint_of(changed, "job", ["a"]) != usual, field.name


def test_the_order_of_events_makes_no_other_call() -> None:
    one, two = (
        Submission("m", JobOptions(), webhook_url="https://example.org", webhook_events=events)
        for events in (("job.failed", "job.completed"), ("job.completed", "job.failed"))
    )
    assert idempotency.fingerprint_of(one, "job", []) == idempotency.fingerprint_of(two, "job", [])


def test_ten_simultaneous_calls_with_one_key_make_one_job(make_submission: Make, data_dir: Path) -> None:
    found = together(10, lambda _: submit.submit(picture(), make_submission(idempotency_key="k")))
    job = Job.objects.get()
    assert [each.pk for each in found] == [job.pk] * 10
    assert stored_files(data_dir) == [job.input_file]


def test_an_expired_key_may_be_used_again(make_submission: Make, settings: Settings) -> None:
    from datetime import timedelta

    from django.db.models.functions import Now

    from jobs.models import IdempotencyKey

    first = submit.submit(picture(), make_submission(idempotency_key="k"))
    IdempotencyKey.objects.update(created_at=Now() - timedelta(hours=settings.IDEMPOTENCY_TTL_HOURS, seconds=1))
    second = submit.submit(picture(seed=2), make_submission(idempotency_key="k"))
    assert second.pk != first.pk
    assert submit.submit(picture(seed=2), make_submission(idempotency_key="k")).pk == second.pk


def test_callers_do_not_meet_each_others_keys(make_submission: Make) -> None:
    from jobs.models import ApiKey

    keys = [ApiKey.objects.create(name=name, prefix=name, digest=name, scopes=["upscale"]) for name in ("a", "b")]
    jobs = [submit.submit(picture(), make_submission(idempotency_key="k", api_key=key)) for key in keys]
    assert jobs[0].pk != jobs[1].pk
    assert list(Job.objects.visible_to(keys[0])) == [jobs[0]]
    assert Job.objects.visible_to(None).count() == 2


def test_a_repeated_batch_is_one_batch(make_submission: Make) -> None:
    first = submit.submit_batch([picture(), text()], make_submission(idempotency_key="k"))
    again = submit.submit_batch([picture(), text()], make_submission(idempotency_key="k"))
    assert first.pk == again.pk
    assert Job.objects.count() == 1
