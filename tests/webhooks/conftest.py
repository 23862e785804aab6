"""A receiver, jobs as rows, and the settings that let webhooks reach loopback."""

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import pytest
from pytest_django.fixtures import Settings

from tests.webhooks.receiver import Receiver, start_receiver, stop_receiver

if TYPE_CHECKING:
    from jobs.models import Job


@pytest.fixture
def receiver(settings: Settings) -> Iterator[Receiver]:
    """A running receiver; webhooks may reach it."""
    settings.WEBHOOK_ALLOW_PRIVATE = True
    settings.WEBHOOK_TIMEOUT_SECONDS = 10.0
    running = start_receiver()
    yield running
    stop_receiver(running)


@pytest.fixture
def make_job() -> "Callable[..., Job]":
    """Writes a waiting job."""
    from django.db.models.functions import Now

    from jobs.models import Job  # this file is loaded before Django is set up

    def make(**fields: Any) -> Job:
        values: dict[str, Any] = {
            "model": "tiny-x2",
            "input_file": "inputs/x.png",
            "input_name": "x.png",
            "input_sha256": "0" * 64,
            "input_bytes": 100,
            "input_format": "png",
            "input_width": 8,
            "input_height": 8,
            "created_at": Now(),
            "queued_at": Now(),
        }
        job = Job.objects.create(**(values | fields))
        job.refresh_from_db()
        return job

    return make
