"""Whether anybody would work on a picture, as it is asked. Who waits for one is told at once when nobody would."""

import os
import time
from collections.abc import Callable

import psutil
from django.db import connection

from jobs.errors import NoWorker, PrecisionUnavailable
from jobs.models.worker import Worker
from jobs.progress.hub import hub

#: A cluster that is started anew is back within this.
GRACE_SECONDS = 5.0
#: Web server and workers start together, and the workers take longer: they load torch and warm a model.
START_SECONDS = 120.0
_LOOK_SECONDS = 0.5


def require_worker(has_left: Callable[[], bool] = lambda: False) -> None:
    """Return as soon as an inference worker with a device is alive; outside of any transaction.

    A worker that was killed counts for one more lease: its supervisor is starting another.

    :raises NoWorker: there is none, after the grace of a service that runs or that has just been started.
    """
    until = time.monotonic() + max(GRACE_SECONDS, START_SECONDS - _age_seconds())
    while not Worker.objects.computing().exists():
        if hub.draining:  # this process ends and nobody will wait in it: the row is what counts
            return
        if time.monotonic() >= until or has_left():
            raise NoWorker("no inference worker is running, so this picture would wait for one; POST /jobs accepts it")
        if not connection.in_atomic_block:
            connection.close()  # nobody waits with a connection
        time.sleep(_LOOK_SECONDS)


def require_precision(precision: str | None) -> None:
    """Return where a living worker computes in that precision, or where none lives that could say so.

    :raises PrecisionUnavailable: no living worker does.
    """
    offers = list(Worker.objects.computing().values_list("precisions", flat=True)) if precision else []
    known = sorted({each for offer in offers for each in offer or ()})
    if not offers or None in offers or precision in known:
        return
    raise PrecisionUnavailable(f"precision: no worker computes in {precision} here; there {_are(known)}")


def _are(precisions: list[str]) -> str:
    return f"{'is' if len(precisions) == 1 else 'are'} {', '.join(precisions)}"


def _age_seconds() -> float:
    return max(0.0, time.time() - psutil.Process(os.getpid()).create_time())
