"""Announces changes of jobs: to whoever registered, in the transaction that makes them; to waiting requests, after it.

The rooms above (webhooks) register when the app is ready; this room imports none of them. Over Postgres, where a
message costs a transaction, progress is told to no waiting request: those that watch it look at their rows once a
second, as often as it is written.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING

from modelstore import notify

if TYPE_CHECKING:
    from jobs.models.job import Job

#: The channel that announces every change of a job's status; the payload is the job's id, and only a hint.
CHANNEL = "job_events"

#: Called with the job as its row now is, and whether its batch may end with it. Jobs without a webhook concern nobody.
OnChange = Callable[["Job", bool], None]
#: Called with the job as its row now is, and the number of tiles that were done before.
OnProgress = Callable[["Job", int], None]

_on_change: list[OnChange] = []
_on_progress: list[OnProgress] = []


def register(*, on_change: OnChange, on_progress: OnProgress) -> None:
    """Call these at every change from now on, in its transaction: what they raise undoes the change."""
    _on_change.append(on_change)
    _on_progress.append(on_progress)


def announce(job: "Job", *, may_end_batch: bool = True) -> None:
    """Announce a change of status. Needs the transaction of the change.

    :param job: as its row now is.
    :param may_end_batch: False for all but the last of jobs that end together, so that their batch ends once.
    """
    tell_waiters(job.pk)
    call_registered(job, may_end_batch=may_end_batch)


def announce_progress(job: "Job", tiles_before: int) -> None:
    """Tell the registered that more tiles are done than ``tiles_before``. Needs the transaction of the change."""
    if not notify.over_postgres():
        tell_waiters(job.pk)
    for call in _on_progress:
        call(job, tiles_before)


def tell_waiters(job_id: object) -> None:
    """Tell whoever waits for the job that its status has changed, when that is committed."""
    notify.after_commit(CHANNEL, str(job_id))


def concerns_registered(job: "Job") -> bool:
    """Return whether the registered have anything to do with this job's changes."""
    return bool(job.webhook_url)


def call_registered(job: "Job", *, may_end_batch: bool = True) -> None:
    """Announce a change to the registered alone: where the statement that made it has sent the notification."""
    for call in _on_change:
        call(job, may_end_batch)
