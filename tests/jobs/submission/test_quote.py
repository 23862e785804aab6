"""The quote: what a picture takes of a device and in money, and submissions that refuse what is dearer."""

from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from pytest_django.fixtures import Settings

from jobs.errors import BatchRejected, TooExpensive
from jobs.models import Job
from jobs.progress import eta
from jobs.states import Status
from jobs.submission import submit
from tests.jobs.conftest import picture, stored_files
from tests.jobs.submission.helpers import Make, complete

Measured = Callable[..., None]


@pytest.fixture
def measured(make_submission: Make, monkeypatch: pytest.MonkeyPatch) -> Measured:
    """Let a job of 24×16 pixels have taken 4 seconds, of these ``device`` on the device."""
    monkeypatch.setattr(eta, "_measured", {})

    def measure(device: float = 2.0) -> None:
        complete(submit.submit(picture(seed=99), make_submission()))
        report = {"device": "cpu", "seconds": {"infer": device}}
        Job.objects.update(report=report, processing_seconds=4.0)

    return measure


@pytest.fixture
def tariff(settings: Settings) -> Settings:
    """A price for each second of a device."""
    settings.TARIFF_PER_DEVICE_SECOND = Decimal("0.0004")
    settings.TARIFF_PER_OUTPUT_MEGAPIXEL = None
    settings.TARIFF_CURRENCY = "CHF"
    return settings


def test_a_quote_is_the_devices_part_of_measured_jobs(make_submission: Make, measured: Measured) -> None:
    assert submit.plan(picture(), make_submission()).device_seconds is None, "nothing was measured yet"
    measured()
    plan = submit.plan(picture(), make_submission())
    assert plan.seconds == pytest.approx(4.0)
    assert plan.device_seconds == pytest.approx(2.0)
    larger = submit.plan(picture(48, 32), make_submission())
    assert larger.device_seconds == pytest.approx(8.0), "four times the pixels"


def test_without_a_tariff_there_is_no_price(make_submission: Make, measured: Measured) -> None:
    measured()
    plan = submit.plan(picture(), make_submission())
    assert (plan.price, plan.currency) == (None, None)


def test_prices_are_exact_decimals(make_submission: Make, measured: Measured, tariff: Settings) -> None:
    plan = submit.plan(picture(), make_submission())
    assert (plan.price, plan.currency) == (None, "CHF"), "nothing was measured yet"
    measured(device=0.7)
    assert submit.plan(picture(), make_submission()).price == Decimal("0.000280")
    tariff.TARIFF_PER_OUTPUT_MEGAPIXEL = Decimal("0.1")  # 48×32 pixels come out
    assert submit.plan(picture(), make_submission()).price == Decimal("0.000434")
    tariff.TARIFF_PER_DEVICE_SECOND = None
    assert submit.plan(picture(), make_submission()).price == Decimal("0.000154")


def test_a_price_by_megapixels_needs_no_measurement(make_submission: Make, model: Any, tariff: Settings) -> None:
    tariff.TARIFF_PER_DEVICE_SECOND = Decimal(0)
    tariff.TARIFF_PER_OUTPUT_MEGAPIXEL = Decimal(1000)
    plan = submit.plan(picture(), make_submission())
    assert (plan.device_seconds, plan.price) == (None, Decimal("1.536000"))


def test_what_is_dearer_than_its_caller_wants_is_refused_and_leaves_nothing(
    make_submission: Make, measured: Measured, data_dir: Path
) -> None:
    measured()
    files = stored_files(data_dir)
    for refused in (submit.submit, submit.plan):
        with pytest.raises(TooExpensive, match=r"about 2 seconds of a device; max_device_seconds is 1\.5"):
            refused(picture(), make_submission(max_device_seconds=1.5))
    assert Job.objects.count() == 1
    assert stored_files(data_dir) == files
    assert submit.submit(picture(), make_submission(max_device_seconds=2.0)).status == Status.QUEUED


def test_a_batch_names_its_dear_pictures_and_takes_the_others(make_submission: Make, measured: Measured) -> None:
    measured()
    batch = submit.submit_batch([picture(), picture(100, 100, name="big.png")], make_submission(max_device_seconds=3))
    assert [(each["filename"], each["code"]) for each in batch.rejected] == [("big.png", "too_expensive")]
    assert batch.jobs.count() == 1
    with pytest.raises(BatchRejected):
        submit.submit_batch([picture()], make_submission(max_device_seconds=0))


def test_where_nothing_was_measured_the_picture_is_accepted(make_submission: Make, measured: Measured) -> None:
    assert submit.submit(picture(), make_submission(max_device_seconds=0)).status == Status.QUEUED


def test_a_result_that_is_there_already_costs_nothing(make_submission: Make, measured: Measured) -> None:
    measured()
    again = submit.submit(picture(seed=99), make_submission(max_device_seconds=0, reuse=True))
    assert again.status == Status.COMPLETED
    with pytest.raises(TooExpensive):
        submit.submit(picture(seed=99), make_submission(max_device_seconds=0, reuse=False))


def test_a_call_that_is_repeated_finds_its_job_although_it_became_dearer(
    make_submission: Make, measured: Measured
) -> None:
    call = {"max_device_seconds": 1, "idempotency_key": "k"}
    first = submit.submit(picture(), make_submission(**call))
    complete(first)
    Job.objects.update(report={"device": "cpu", "seconds": {"infer": 2.0}}, processing_seconds=4.0)
    eta._measured.clear()
    assert submit.submit(picture(), make_submission(**call)).pk == first.pk
