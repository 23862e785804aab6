"""Requests for models, and waiting for them: shared by the API, the admin and the page."""

import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from django.db import connection, transaction

from modelstore import dispatch
from modelstore.errors import ModelUnknown
from modelstore.models import Model
from modelstore.states import PENDING, State
from modelstore.storage import weights

#: Seconds between two polls of the rows. A download takes seconds to minutes, so half a second does not matter.
POLL_SECONDS = 0.5
#: Calls of one process that may wait at a time; the others are answered at once with 202. A download may take minutes,
#: and every call that waits for it holds a thread of the web server.
MOST_WAITING = 8

_places = threading.BoundedSemaphore(MOST_WAITING)


@dataclass(frozen=True)
class DownloadsState:
    """The models that were asked for, each in one of three lists, in the order asked."""

    downloaded: list[str] = field(default_factory=list)
    errors: dict[str, str] = field(default_factory=dict)
    downloading: list[str] = field(default_factory=list)
    notes: dict[str, str] = field(default_factory=dict)  # of the downloaded: sources that failed before one succeeded


def order(names: Sequence[str], provider: str = "") -> None:
    """Ask for every model that is not here. One that is here, or on its way, is left alone: no traffic.

    :param provider: asked first; the other providers' sources follow when it fails. Empty: the default.
    :raises ModelUnknown: naming every name that is no model; then nothing is asked for.
    """
    found = {model.name: model for model in Model.objects.listed().filter(name__in=names)}
    unknown = [name for name in names if name not in found]
    if unknown:
        raise ModelUnknown(*unknown)
    for model in found.values():
        if model.state == State.READY and not weights.is_available(model):
            weights.report_damage(model)  # the file was deleted by hand: this requests it again
            continue
        with transaction.atomic():
            if Model.objects.request(model.name, provider):
                dispatch.ring()


def outcome(names: Sequence[str]) -> DownloadsState:
    """Return the present progress of the requested models. One query."""
    rows = {model.name: model for model in Model.objects.filter(name__in=names)}
    result = DownloadsState()
    for name in names:
        model = rows.get(name)
        if model is None:
            result.errors[name] = "the model was deleted"
        elif model.state == State.READY:
            result.downloaded.append(name)
            if model.notes:
                result.notes[name] = model.notes
        elif model.state in PENDING:
            result.downloading.append(name)
        else:
            result.errors[name] = model.error or "the download was cancelled"
    return result


def wait_for(names: Sequence[str], seconds: float) -> DownloadsState:
    """Wait until none of the models is on its way any more, at most ``seconds``; not at all beyond MOST_WAITING calls.

    No transaction may be open: whoever waits holds no connection of the database.
    """
    deadline = time.monotonic() + seconds
    result = outcome(names)
    if not result.downloading or not _places.acquire(blocking=False):
        return result
    try:
        while result.downloading and (remaining := deadline - time.monotonic()) > 0:
            if not connection.in_atomic_block:
                connection.close()
            time.sleep(min(POLL_SECONDS, remaining))
            result = outcome(names)
        return result
    finally:
        _places.release()
