"""RateBucket: how much of a limit a caller has used, counted in the database for all web processes."""

from datetime import timedelta
from typing import Any

from django.db import connections, models
from django.db.models import F
from django.db.models.functions import Now


class RateBucketQuerySet(models.QuerySet["RateBucket"]):
    """The verbs of the buckets."""

    def take(self, key: str, *, count: int, period: float) -> tuple[bool, float]:
        """Take one from the bucket of ``key``, which holds ``count`` and refills evenly over ``period`` seconds.

        Returns (taken, seconds until the bucket is full again). The generic cell rate algorithm in one
        atomic statement: the row holds only when the bucket will be full. Zero rows: it is empty, nothing changed.
        """
        step = timedelta(microseconds=int(period * 1_000_000 / count))
        full = timedelta(seconds=period)
        sql = """
            INSERT INTO jobs_ratebucket AS bucket (key, full_at) VALUES (%s, statement_timestamp() + %s)
            ON CONFLICT (key) DO UPDATE SET full_at = GREATEST(bucket.full_at, statement_timestamp()) + %s
            WHERE GREATEST(bucket.full_at, statement_timestamp()) + %s <= statement_timestamp() + %s
            RETURNING EXTRACT(EPOCH FROM full_at - statement_timestamp())
        """
        found = self._one(sql, [key, step, step, step, full])
        if found is not None:
            return True, found
        seconds = "SELECT EXTRACT(EPOCH FROM full_at - statement_timestamp()) FROM jobs_ratebucket WHERE key = %s"
        return False, self._one(seconds, [key]) or 0.0

    def give_back(self, key: str, *, count: int, period: float) -> None:
        """Put back into the bucket of ``key`` what one `take` with the same numbers took."""
        step = timedelta(microseconds=int(period * 1_000_000 / count))
        self.filter(key=key).update(full_at=F("full_at") - step)

    def forget(self) -> int:
        """Delete the buckets that are full: no row says the same. Returns how many."""
        return self.filter(full_at__lt=Now()).delete()[0]

    def _one(self, sql: str, parameters: list[Any]) -> float | None:
        with connections[self.db].cursor() as cursor:
            cursor.execute(sql, parameters)
            row = cursor.fetchone()
        return None if row is None else float(row[0])


class RateBucket(models.Model):
    """One limit of one caller."""

    key = models.CharField(max_length=100, primary_key=True)
    full_at = models.DateTimeField(db_index=True)

    objects = RateBucketQuerySet.as_manager()

    def __str__(self) -> str:
        return self.key
