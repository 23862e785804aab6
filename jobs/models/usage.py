"""The usage ledger: what each API key had computed on each day. It outlives the jobs and the keys.

A trigger (migration 0010) writes one ``UsageNote`` in the statement that ends a job, whoever ends it and however: so it
is there exactly as often as the job ends, and appending never makes two jobs wait for each other, as one counter's row
would until its COMMIT is on the disk. `fold` moves notes into the daily sums of ``UsageEntry``; readers add up both.

Megapixels and bytes are those of completed jobs. Device seconds are the networks' own time where the engine's report
tells it, otherwise (a job that failed or was cancelled) those from its claim to its end; an attempt that was lost with
its worker costs nothing. A job that took over an equal one's result counts as completed and reused, without a device.
"""

import sys
from collections.abc import Sequence
from dataclasses import dataclass, fields
from datetime import date

from django.db import connections, models, transaction

from jobs import chains
from jobs.models.api_key import ApiKey
from modelstore import notify

#: Notes of one fold: some tenths of a second of a transaction.
CHUNK = 20_000
#: Days that the tables hold are UTC's, by the database's clock.
_TODAY = "(statement_timestamp() AT TIME ZONE 'UTC')::date"


@dataclass(frozen=True)
class Sums:
    """The counters of a row, or of many added up."""

    completed: int = 0
    failed: int = 0
    cancelled: int = 0
    reused: int = 0  # of the completed: without computing
    input_pixels: int = 0  # of all frames
    output_pixels: int = 0
    device_ms: int = 0  # milliseconds, whole: sums of them are exact
    input_bytes: int = 0
    result_bytes: int = 0

    def __add__(self, other: "Sums") -> "Sums":
        return Sums(*(getattr(self, name) + getattr(other, name) for name in COUNTERS))


COUNTERS = tuple(field.name for field in fields(Sums))
#: What rows can be grouped by → the column.
GROUPS = {"day": "day", "model": "model", "device": "device", "key": "key_prefix"}
_SUMMED = ", ".join(f"sum({name})::bigint AS {name}" for name in COUNTERS)
_KEY = ("day", "key_prefix", "model", "device")
#: The model's name, or the length of a chain, of which callers could make up any number. No name has a blank.
_SHOWN = """CASE WHEN position('+' IN model) = 0 THEN model
    ELSE 'chain of ' || 1 + length(model) - length(replace(model, '+', '')) END"""


def _fold_sql() -> str:
    columns, counters = ", ".join((*_KEY, "api_key_id", "key_name", *COUNTERS)), ", ".join(COUNTERS)
    added = ", ".join(f"{name} = old.{name} + excluded.{name}" for name in COUNTERS)
    return f"""
        WITH taken AS (
            DELETE FROM jobs_usagenote WHERE id IN (
                SELECT id FROM jobs_usagenote ORDER BY id LIMIT %s FOR UPDATE SKIP LOCKED)
            RETURNING *),
        folded AS (
            INSERT INTO jobs_usage AS old ({columns})
            SELECT {", ".join(_KEY)}, (SELECT id FROM jobs_apikey WHERE prefix = key_prefix),
                (array_agg(key_name ORDER BY id DESC))[1], {_SUMMED}
            FROM taken GROUP BY {", ".join(_KEY)} ORDER BY {", ".join(_KEY)}
            ON CONFLICT ({", ".join(_KEY)}) DO UPDATE SET key_name = excluded.key_name, {added}),
        ever AS (
            INSERT INTO jobs_usagetotal AS old (model, device, {counters})
            SELECT {_SHOWN} AS shown, device, {_SUMMED} FROM taken GROUP BY shown, device ORDER BY shown, device
            ON CONFLICT (model, device) DO UPDATE SET {added})
        SELECT count(*) FROM taken
    """  # noqa: S608 - names of our own columns


_FOLD = _fold_sql()


@dataclass(frozen=True)
class UsageRow:
    """The sums of one group; ``key_prefix`` "" is all that was submitted without a key."""

    sums: Sums
    day: date | None = None
    model: str | None = None
    device: str | None = None
    key_prefix: str | None = None
    key_name: str | None = None  # one of those that it had in these days


class UsageQuerySet(models.QuerySet["UsageEntry"]):
    """The ledger's verbs and its one question."""

    def fold(self, at_most: int = sys.maxsize) -> int:
        """Move the notes into the daily sums; return how many. Safe anywhere, any time, in many processes.

        :param at_most: about how many, where somebody waits: after a restore there may be a million.

        Each chunk is one statement: a note is in one place or the other. Notes that another process is moving are
        passed over; the rows of the sums are taken in one order, so that two never wait for each other in a ring.
        """
        folded = 0
        while folded < at_most:
            with transaction.atomic(self.db), connections[self.db].cursor() as cursor:
                notify.not_waiting_for_the_disk()  # a crash undoes all of a fold, or nothing
                cursor.execute(_FOLD, [CHUNK])
                found = int(cursor.fetchone()[0])
            folded += found
            if found < CHUNK:
                break
        return folded

    def added_up(
        self, first: date, last: date, groups: Sequence[str] = (), *, key_prefix: str | None = None, most: int
    ) -> list[UsageRow]:
        """Return the sums of the days from ``first`` to ``last``, both included, in the order of their groups.

        :param groups: any of GROUPS. :param key_prefix: of one key; None: everybody's.
        :param most: rows to return at most.
        """
        columns = [GROUPS[group] for group in groups]
        shown = [*columns, *(['max(key_name COLLATE "C") AS key_name'] if "key" in groups else [])]
        where = "day BETWEEN %s AND %s"
        parameters: list[date | str] = [first, last]
        if key_prefix is not None:
            where += " AND key_prefix = %s"
            parameters.append(key_prefix)
        wanted = ", ".join((*_KEY, "key_name", *COUNTERS))
        sql = f"""
            SELECT {", ".join((*shown, _SUMMED))} FROM (
                SELECT {wanted} FROM jobs_usage WHERE {where}
                UNION ALL SELECT {wanted} FROM jobs_usagenote WHERE {where}) AS both_of_them
            {f"GROUP BY {', '.join(columns)} ORDER BY {', '.join(columns)}" if columns else "HAVING count(*) > 0"}
            LIMIT %s
        """  # noqa: S608 - names of our own columns
        with connections[self.db].cursor() as cursor:
            cursor.execute(sql, [*parameters, *parameters, most])
            rows = cursor.fetchall()
        names = [*columns, *(["key_name"] if "key" in groups else [])]
        count = len(names)
        return [UsageRow(Sums(*row[count:]), **dict(zip(names, row[:count], strict=True))) for row in rows]

    def today(self) -> date:
        """Return the day that it is in UTC by the database's clock."""
        with connections[self.db].cursor() as cursor:
            cursor.execute(f"SELECT {_TODAY}")
            found: date = cursor.fetchone()[0]
        return found

    def forget(self, days: int) -> int:
        """Delete the sums of days that lie more than ``days`` before today; return how many rows."""
        self.fold()
        with connections[self.db].cursor() as cursor:
            cursor.execute(f"DELETE FROM jobs_usage WHERE day < {_TODAY} - %s", [days])  # noqa: S608 - our own expression
            return int(cursor.rowcount)

    def forget_name(self, key_prefix: str, instead: str = "") -> int:
        """Put ``instead`` in the place of a key's name wherever the ledger has it; return in how many rows.

        The sums stay, under the key's prefix. Notes first: that waits for a fold that is moving them, whose sums then
        lose the name, too.
        """
        with transaction.atomic(self.db):
            notes = UsageNote.objects.filter(key_prefix=key_prefix).exclude(key_name=instead)
            replaced = notes.update(key_name=instead)
            return replaced + self.filter(key_prefix=key_prefix).exclude(key_name=instead).update(key_name=instead)


class _Counted(models.Model):
    """The counters."""

    completed = models.BigIntegerField(default=0)
    failed = models.BigIntegerField(default=0)
    cancelled = models.BigIntegerField(default=0)
    reused = models.BigIntegerField(default=0)
    input_pixels = models.BigIntegerField(default=0)
    output_pixels = models.BigIntegerField(default=0)
    device_ms = models.BigIntegerField(default=0)
    input_bytes = models.BigIntegerField(default=0)
    result_bytes = models.BigIntegerField(default=0)

    class Meta:
        abstract = True

    @property
    def sums(self) -> Sums:
        """All of them together."""
        return Sums(*(getattr(self, name) for name in COUNTERS))


class _OfDay(_Counted):
    """The names of notes and of daily sums."""

    day = models.DateField()  # UTC, by the database's clock
    key_prefix = models.CharField(max_length=16, blank=True)  # of the key, also when it is gone; "": no key
    key_name = models.CharField(max_length=100, blank=True)
    model = models.CharField(max_length=chains.LONGEST)  # a name, or a chain of names
    device = models.CharField(max_length=32, blank=True)  # its kind, such as cuda or cpu; "": none worked on it

    class Meta:
        abstract = True


class UsageNote(_OfDay):
    """One end of a job that is not in the daily sums yet. A retried job ends more than once. It lives for minutes."""

    def __str__(self) -> str:
        return f"{self.day} {self.key_name} {self.model}"


class UsageEntry(_OfDay):
    """One day of one key, with one model on one kind of device."""

    #: Without a constraint: no fold may fail, and no key be undeletable, because the one happens during the other.
    api_key = models.ForeignKey(ApiKey, null=True, on_delete=models.SET_NULL, related_name="+", db_constraint=False)

    objects = UsageQuerySet.as_manager()

    class Meta:
        db_table = "jobs_usage"
        verbose_name = "usage entry"
        verbose_name_plural = "usage"
        ordering = ["-day", "-key_prefix", "-model", "-device"]  # as the index has them, read backwards
        constraints = [models.UniqueConstraint(fields=list(_KEY), name="usage_once")]
        indexes = [models.Index(fields=["key_prefix", "day"], name="usage_of_key")]

    def __str__(self) -> str:
        return f"{self.day} {self.key_name} {self.model}"


class UsageTotal(_Counted):
    """All that was ever computed by one model on one kind of device, for counters that must never fall."""

    model = models.CharField(max_length=100)  # "chain of 2" for all chains of two
    device = models.CharField(max_length=32, blank=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["model", "device"], name="usage_total_once")]

    def __str__(self) -> str:
        return f"{self.model} {self.device}"
