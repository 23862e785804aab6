"""The kinds of work of each cluster, and how it is told from the rows that some of it waits.

The rows are the queue: nothing else says that work waits. Looking may name work that somebody else has just begun; its
function then finds nothing to do.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

from django.conf import settings
from django.db.models.functions import Now

from jobs.models.api_key import ApiKey
from jobs.models.job import Job
from jobs.models.pause import Pause
from jobs.models.periodic_task import Chore
from jobs.models.webhook import WebhookMessage
from jobs.queue import dispatch
from modelstore.models import Model
from modelstore.states import State

logger = logging.getLogger(__name__)

UPKEEP_PERIOD = timedelta(minutes=5)


@dataclass(frozen=True)
class Work:
    """One kind of work: the dotted path of its function, and how many workers it has use for, ``most`` at most."""

    function: str
    waiting: Callable[[int], int]


def waiting_in(cluster: str, most: int) -> list[str]:
    """Return the dotted paths of what waits for the workers of that cluster, ``most`` at most."""
    found: list[str] = []
    if Pause.objects.is_on(cluster):
        return found
    for work in _WORK[cluster]:
        if len(found) < most:
            found += [work.function] * work.waiting(most - len(found))
    return found


def _jobs(most: int) -> int:
    # As the claim reads it: the begin of a short index. Who is at its limit is asked only where somebody waits.
    if not Job.objects.waiting().filter(queued_at__lte=Now()).exists():
        return 0
    return len(Job.objects.claimable().values_list("pk")[:most])


def _webhooks(_most: int) -> int:
    return int(WebhookMessage.objects.due().exists())  # one run delivers many


def _models(most: int) -> int:
    return len(Model.objects.filter(state=State.REQUESTED).values_list("pk")[:most])


def _expired(_most: int) -> int:
    return int(Job.objects.expired().exists() or Job.objects.done_with_inputs().exists())


def _erasures(_most: int) -> int:
    return int(ApiKey.objects.filter(erase_until__isnull=False).exists())


def _cleanup(_most: int) -> int:
    minutes = settings.CLEANUP_INTERVAL_MINUTES
    return int(bool(minutes) and Chore.objects.take_turn("cleanup", timedelta(minutes=minutes)))


def _upkeep(_most: int) -> int:
    return int(Chore.objects.take_turn("upkeep", UPKEEP_PERIOD))


_WORK = {
    dispatch.GPU: [Work("jobs.worker.tasks.run_next", _jobs)],
    dispatch.IO: [
        Work("jobs.worker.tasks.deliver_webhooks", _webhooks),
        Work("modelstore.tasks.download_waiting", _models),
        Work("jobs.worker.tasks.expire", _expired),
        Work("jobs.erasure.go_on", _erasures),
        Work("jobs.worker.tasks.cleanup", _cleanup),
        Work("jobs.worker.tasks.keep_up", _upkeep),
    ],
}
