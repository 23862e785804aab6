"""A receiver, jobs as rows, and the settings that let webhooks reach loopback."""

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import pytest
from pytest_django.fixtures import Settings

from tests.job_rows import waiting_job
from tests.jobs.webhooks.receiver import Receiver, start_receiver, stop_receiver

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
    return waiting_job
