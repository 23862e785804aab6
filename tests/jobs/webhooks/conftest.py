"""A receiver, and the settings that let webhooks reach loopback."""

from collections.abc import Iterator

import pytest
from pytest_django.fixtures import Settings

from tests.jobs.webhooks.receiver import Receiver, start_receiver, stop_receiver


@pytest.fixture
def receiver(settings: Settings) -> Iterator[Receiver]:
    """A running receiver; webhooks may reach it."""
    settings.WEBHOOK_ALLOW_PRIVATE = True
    settings.WEBHOOK_TIMEOUT_SECONDS = 10.0
    running = start_receiver()
    yield running
    stop_receiver(running)
