"""Deletes ended jobs: rows first, then files, so that no row ever lacks its files.

A process that is killed between the two leaves files that no row names, which the clean-up finds (retention.py).
"""

from dataclasses import dataclass, field
from typing import Self

from django.db import transaction

from audit.log import record
from audit.models import Action
from jobs.models.job import Job
from jobs.models.job_queryset import JobQuerySet
from jobs.storage import file_names, files
from jobs.storage.files import Removed

#: Rows of one transaction.
CHUNK = 500


@dataclass
class Deleted:
    """Jobs that were deleted, and what became of their files."""

    jobs: int = 0
    files: Removed = field(default_factory=Removed)

    def __iadd__(self, other: Self) -> Self:
        self.jobs += other.jobs
        self.files += other.files
        return self


def delete_ended(
    jobs: JobQuerySet, *, action: Action = Action.DELETED, wait: bool = True, leftovers: bool = True
) -> Deleted:
    """Delete those of ``jobs`` that have ended, in chunks of CHUNK rows, each in a transaction of its own.

    The rows are locked before they go: a retry between the look and the deletion would lose its input.

    :param jobs: unsliced; in the order in which they are to go. No transaction may be open.
    :param action: what the audit log calls it.
    :param wait: whether to wait for rows that somebody else has locked; otherwise they are passed over.
    :param leftovers: whether to delete at once what lost attempts of these jobs left behind, which reads two
        directories per job; otherwise the clean-up finds it.
    """
    deleted = Deleted()
    while True:
        with transaction.atomic():
            rows = list(jobs.ended().select_for_update(skip_locked=not wait, of=("self",))[:CHUNK])
            if not rows:
                return deleted
            Job.objects.filter(pk__in=[job.pk for job in rows]).delete()
            record(action, "job", [job.pk for job in rows])
        deleted.jobs += len(rows)
        deleted.files += files.remove(name for job in rows for name in file_names.names_of(job))
        # After its sources: who is making one looks for them when it is done (pyramid/making.py).
        deleted.files += files.remove(name for job in rows for name in files.made_of(job))
        for job in rows if leftovers else ():
            files.remove_strays(job.pk, keep=None)
        if len(rows) < CHUNK:
            return deleted
