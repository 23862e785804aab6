"""Jobs that go once their caller has the result (``delete_after_download``).

A byte counts when it was handed to the connection. Whether it arrived, this service cannot know: the last pieces may
lie in the buffers of the system, and all of them in those of a proxy. So the job stays for DOWNLOAD_GRACE_SECONDS, in
which a caller whose line broke can fetch the rest, and goes then by its row (retention.py).
"""

import logging
from collections.abc import Iterable
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.db import DatabaseError, InterfaceError

from audit.log import record
from audit.models import Action
from jobs.errors import one_line
from jobs.models.job import Job
from jobs.storage.retention import expire

logger = logging.getLogger(__name__)


def record_download(jobs: Iterable[Job], what: str, **detail: Any) -> None:
    """Record, before the first byte is sent, that these jobs' pictures are downloaded (AUDIT_DOWNLOADS).

    :param what: result, input, archive.
    """
    if settings.AUDIT_DOWNLOADS:
        record(Action.DOWNLOADED, "job", [job.pk for job in jobs], what=what, **detail)


def note(job: Job, first: int, length: int) -> None:
    """Note that these bytes of the job's result were handed over. Raises nothing: the answer is under way.

    Parts that were fetched one by one, or after a break, count together.
    """
    grace = timedelta(seconds=settings.DOWNLOAD_GRACE_SECONDS)
    try:
        if Job.objects.hand_over(job, first, length, grace=grace):
            logger.info("result delivered, the job goes job=%s in=%.0fs", job.pk, grace.total_seconds())
            if not grace:
                expire()
    except (DatabaseError, InterfaceError) as error:
        # The job stays until its time is over: too long rather than too short.
        logger.warning("delivery not noted job=%s error=%s", job.pk, one_line(error))


def note_whole(jobs: Iterable[Job]) -> None:
    """Note that these jobs' whole results were handed over, as an archive does at its end."""
    for job in jobs:
        if job.delete_after_download:
            note(job, 0, job.result_bytes or 0)
