"""The time at which an ended job goes, and its input before it: asked for with the job, written when it ends.

A job without a wish goes by the clean-up's age (RESULT_TTL_HOURS). Deleting stands in jobs/storage/retention.py.
"""

from datetime import timedelta
from typing import TYPE_CHECKING, Any, Self

from django.db import connections, models
from django.db.models import DateTimeField, DurationField, ExpressionWrapper, F, Func
from django.db.models.functions import Now

from jobs.states import TERMINAL
from modelstore.claims import ClaimQuerySet

if TYPE_CHECKING:
    from jobs.models.job import Job


class ByteRanges(models.Field[Any, Any]):
    """Ranges of bytes of a file, as Postgres keeps and joins them."""

    def db_type(self, connection: Any) -> str:  # noqa: ARG002 - Django's signature
        """Return the column's type."""
        return "int8multirange"


def at_the_end() -> ExpressionWrapper[Any]:
    """Return the time at which a job that ends now goes, for an UPDATE; NULL where nobody asked for one."""
    hours = Func(F("retain_hours"), template="make_interval(hours => %(expressions)s)", output_field=DurationField())
    return ExpressionWrapper(Now() + hours, DateTimeField())


class ExpiryQuerySet(ClaimQuerySet["Job"]):
    """The verbs of a job's last days."""

    def expired(self) -> Self:
        """Return the ended jobs whose own time is over."""
        return self.filter(status__in=sorted(TERMINAL), expires_at__lte=Now())

    def aged(self, age: timedelta) -> Self:
        """Return the jobs that ended so long ago and have no time of their own."""
        return self.filter(expires_at__isnull=True, finished_at__lte=Now() - age)

    def done_with_inputs(self) -> Self:
        """Return the ended jobs whose input is to be deleted."""
        return self.filter(status__in=sorted(TERMINAL), drop_input=True)

    def forget_inputs(self, ids: list[Any]) -> int:
        """Take the input's name out of these ended jobs; the file is the caller's to delete. Return how many."""
        ended = self.filter(pk__in=ids, status__in=sorted(TERMINAL))
        return ended.update(input_file="", drop_input=False)

    def hand_over(self, job: "Job", first: int, length: int, *, grace: timedelta) -> bool:
        """Note that these bytes of the result were handed to its caller; when all were, let the job go after ``grace``.

        For jobs with ``delete_after_download``; others, and results that are not the row's any more, are left alone.
        Return whether the whole result is handed over now.
        """
        sql = """
            WITH seen AS (
                SELECT id, COALESCE(delivered, '{}'::int8multirange) + int8multirange(int8range(%(first)s, %(end)s))
                    AS ranges
                FROM jobs_job
                WHERE id = %(id)s AND status = 'completed' AND delete_after_download AND result_sha256 = %(sha256)s
                FOR UPDATE)
            UPDATE jobs_job SET delivered = seen.ranges,
                expires_at = CASE WHEN seen.ranges @> int8range(0, result_bytes)
                    THEN LEAST(expires_at, statement_timestamp() + %(grace)s) ELSE expires_at END
            FROM seen WHERE jobs_job.id = seen.id
            RETURNING seen.ranges @> int8range(0, result_bytes)
        """
        end = first + length
        values: dict[str, Any] = {"id": job.pk, "first": first, "end": end, "grace": grace, "sha256": job.result_sha256}
        with connections[self.db].cursor() as cursor:
            cursor.execute(sql, values)
            row = cursor.fetchone()
        return row is not None and bool(row[0])
