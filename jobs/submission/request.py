"""A submission: everything that a caller asks of a picture, of the right shape, not yet checked for its meaning."""

from collections.abc import Callable
from dataclasses import dataclass, replace

from django.conf import settings

from jobs.engine.types import Header
from jobs.models.api_key import ApiKey
from jobs.options import JobOptions
from jobs.states import Priority
from jobs.submission.target_size import TargetSize


@dataclass(frozen=True)
class Submission:
    """Everything about a call but its picture."""

    model: str
    options: JobOptions
    priority: Priority = Priority.ASYNC
    target: TargetSize | None = None  # instead of options.outscale
    api_key: ApiKey | None = None
    caller: str = ""  # jobs/auth/callers.py
    request_id: str = ""
    webhook_url: str = ""
    webhook_events: tuple[str, ...] = ()
    reuse: bool | None = None  # None: the setting REUSE_RESULTS
    max_device_seconds: float | None = None  # refuse dearer pictures
    retain_hours: int | None = None  # None: the key's, or the service's
    delete_after_download: bool | None = None  # None: no
    idempotency_key: str = ""  # "" is none
    require_worker: Callable[[], None] | None = None  # asked before anything is written; raises NoWorker

    def options_for(self, header: Header) -> JobOptions:
        """Return the options for one picture: a size that was asked for is a factor there.

        :raises SizeUnreachable: when no factor from 1 to 16 reaches it.
        """
        return replace(self.options, outscale=self.target.outscale(header)) if self.target else self.options

    @property
    def retention(self) -> int | None:
        """Hours that the ended job stays; None: as long as any. A key's own may be above a limit that came later."""
        asked = self.retain_hours
        if asked is None and self.api_key is not None:
            asked = self.api_key.retain_hours
        return None if asked is None else min(asked, settings.MAX_RETAIN_HOURS)

    @property
    def reuses(self) -> bool:
        """True if a stored result may be the answer."""
        return bool(settings.REUSE_RESULTS) if self.reuse is None else self.reuse
