"""Allowance: the megapixels that a caller with a daily limit has submitted today. Kept when its jobs go."""

from django.db import connections, models


class AllowanceQuerySet(models.QuerySet["Allowance"]):
    """Counting. A day is one of UTC, by the database's clock; another one begins at nothing, whichever way it lies."""

    def used(self, caller: str) -> tuple[float, int]:
        """Return the megapixels of this day so far, and the seconds until it ends."""
        sql = """
            SELECT COALESCE((SELECT megapixels FROM jobs_allowance WHERE caller = %s AND day = today.day), 0),
                EXTRACT(EPOCH FROM (today.day + 1)::timestamp - today.now)
            FROM (SELECT now, now::date AS day FROM (SELECT statement_timestamp() AT TIME ZONE 'UTC' AS now) AS t) today
        """
        with connections[self.db].cursor() as cursor:
            cursor.execute(sql, [caller])
            megapixels, seconds = cursor.fetchone()
        return float(megapixels), max(1, round(seconds))

    def add(self, caller: str, megapixels: float) -> None:
        """Count what was accepted, in the transaction of its acceptance."""
        sql = """
            INSERT INTO jobs_allowance AS old (caller, day, megapixels)
            VALUES (%s, (statement_timestamp() AT TIME ZONE 'UTC')::date, %s)
            ON CONFLICT (caller) DO UPDATE SET day = EXCLUDED.day, megapixels = EXCLUDED.megapixels
                + CASE WHEN old.day = EXCLUDED.day THEN old.megapixels ELSE 0 END
        """
        with connections[self.db].cursor() as cursor:
            cursor.execute(sql, [caller, megapixels])

    def forget(self) -> int:
        """Delete the counts of other days. Returns how many."""
        sql = "DELETE FROM jobs_allowance WHERE abs(day - (statement_timestamp() AT TIME ZONE 'UTC')::date) > 1"
        with connections[self.db].cursor() as cursor:
            cursor.execute(sql)
            return int(cursor.rowcount)


class Allowance(models.Model):
    """One caller's day."""

    caller = models.CharField(max_length=60, primary_key=True)
    day = models.DateField()
    megapixels = models.FloatField()

    objects = AllowanceQuerySet.as_manager()

    def __str__(self) -> str:
        return f"{self.caller} on {self.day}: {self.megapixels:g} megapixels"
