"""Turn: whose turn it is. Start-time fair queueing (Goyal, Vin and Cheng 1996) between the callers of one priority.

A job's turn is given at its acceptance, in a virtual time that its class has for itself. It is the clock, or the finish
of the caller's job before it where that is later; its own finish lies its cost divided by the caller's share behind.
The claim takes the least turn. So a caller with a thousand jobs has turns far ahead, a newcomer is next, and whoever
has twice the share is served twice as much. The clock is the turn of what was claimed last.
"""

from collections.abc import Sequence
from datetime import timedelta
from itertools import accumulate, pairwise
from typing import Any

from django.db import connections, models
from django.db.models.functions import Now

from jobs import chains
from jobs.states import Priority

#: Megapixels that each job costs at least: opening and storing a picture is work, too.
LEAST_COST = 0.1
#: The caller of the rows that remember the clocks. No caller is called so: the names of all have a colon.
CLOCK = "clock"
#: Jobs of one class that one sweep promotes.
_PROMOTED_AT_ONCE = 1000


def _sql(text: str, **parts: str) -> str:
    """Return a statement with its parts in place."""
    return text.format(**parts)


#: The clock of a class: the greatest turn at work, which was claimed last; while none is at work, the least that waits;
#: where none waits either, all that was handed out, so that nobody's past counts any more; but what was handed out just
#: now may not be written yet. It never goes back: a turn may come late, of a job that was put aside, given back, or
#: passed over at its caller's limit.
_NOW = """GREATEST(
    (SELECT COALESCE(max(finish), 0) FROM jobs_turn WHERE caller = 'clock' AND priority = {priority}),
    COALESCE(
        (SELECT max(turn) FROM jobs_job WHERE status = 'processing' AND priority = {priority}),
        (SELECT turn FROM jobs_job
            WHERE status = 'queued' AND priority = {priority} AND queued_at <= statement_timestamp()
            ORDER BY turn, queued_at, id LIMIT 1),
        (SELECT max(CASE WHEN at > statement_timestamp() - interval '1 minute' THEN begin ELSE finish END)
            FROM jobs_turn WHERE priority = {priority}),
        0))"""
#: The finish of the caller's last job, from its row ``t``. Who has none waiting may have cancelled: then it is at most
#: a job behind the clock, once what was handed out must have been written.
_FINISH = """CASE WHEN t.at > statement_timestamp() - interval '1 minute' OR EXISTS (
            SELECT FROM jobs_job WHERE status = 'queued' AND priority = %(priority)s AND caller = %(caller)s)
        THEN t.finish ELSE LEAST(t.finish, {now} + t.step) END"""
_TAKE = _sql(
    """
    INSERT INTO jobs_turn AS t (caller, priority, begin, finish, step, at)
    SELECT %(caller)s, %(priority)s, clock.now, clock.now + %(length)s, %(step)s, statement_timestamp()
    FROM (SELECT {now} AS now) AS clock
    ON CONFLICT (caller, priority) DO UPDATE SET step = EXCLUDED.step, at = EXCLUDED.at,
        begin = GREATEST(EXCLUDED.begin, {finish}), finish = GREATEST(EXCLUDED.begin, {finish}) + %(length)s
    RETURNING begin, CASE WHEN %(alone)s THEN set_config('synchronous_commit', 'off', true) END
    """,
    now=_sql(_NOW, priority="%(priority)s"),
    finish=_sql(_FINISH, now="EXCLUDED.begin"),
)
_NEXT = _sql(
    """
    SELECT GREATEST(clock.now, {finish}) FROM (SELECT {now} AS now) AS clock
    LEFT JOIN jobs_turn AS t ON t.caller = %(caller)s AND t.priority = %(priority)s
    """,
    now=_sql(_NOW, priority="%(priority)s"),
    finish=_sql(_FINISH, now="clock.now"),
)
#: Nothing is written, and no row locked, where a clock stands still.
_KEEP = _sql(
    """
    INSERT INTO jobs_turn AS t (caller, priority, begin, finish, step, at)
    SELECT 'clock', priority, now, now, 0, statement_timestamp() FROM (
        SELECT priority, {now} AS now FROM unnest(%(priorities)s::smallint[]) AS class (priority)) AS clock
    WHERE NOT EXISTS (
        SELECT FROM jobs_turn WHERE caller = 'clock' AND jobs_turn.priority = clock.priority AND finish >= clock.now)
    ON CONFLICT (caller, priority) DO UPDATE SET
        begin = GREATEST(t.begin, EXCLUDED.begin), finish = GREATEST(t.finish, EXCLUDED.finish), at = EXCLUDED.at
    """,
    now=_sql(_NOW, priority="class.priority"),
)
_PROMOTE = _sql(
    """
    WITH aged AS (
        SELECT id, caller, turn FROM jobs_job
        WHERE status = 'queued' AND priority = %(old)s AND queued_at <= statement_timestamp() - %(wait)s
            AND COALESCE(promoted_at, queued_at) <= statement_timestamp() - %(wait)s
        ORDER BY turn, queued_at, id LIMIT %(most)s FOR UPDATE SKIP LOCKED),
    begin AS (
        SELECT aged.caller, min(aged.turn) AS before, GREATEST({now}, COALESCE(max(t.finish), 0)) AS after
        FROM aged LEFT JOIN jobs_turn AS t ON t.caller = aged.caller AND t.priority = %(new)s
        GROUP BY aged.caller),
    moved AS (
        UPDATE jobs_job SET priority = %(new)s, promoted_at = statement_timestamp(),
            turn = begin.after + aged.turn - begin.before
        FROM aged JOIN begin ON begin.caller = aged.caller WHERE jobs_job.id = aged.id
        RETURNING jobs_job.caller, jobs_job.turn, api_key_id, GREATEST(
            %(least)s, input_width::float8 * input_height * input_frames / 1e6
                * (1 + length(model) - length(replace(model, '+', '')))) AS cost),
    kept AS (
        INSERT INTO jobs_turn AS t (caller, priority, begin, finish, step, at)
        SELECT caller, %(new)s, min(turn), max(turn + cost / COALESCE(share, 1)), max(cost / COALESCE(share, 1)),
            statement_timestamp()
        FROM moved LEFT JOIN jobs_apikey ON jobs_apikey.id = api_key_id GROUP BY caller
        ON CONFLICT (caller, priority) DO UPDATE SET begin = EXCLUDED.begin,
            finish = GREATEST(t.finish, EXCLUDED.finish), step = EXCLUDED.step, at = EXCLUDED.at)
    SELECT count(*) FROM moved
    """,
    now=_sql(_NOW, priority="%(new)s"),
)


def cost(width: int, height: int, frames: int, model: str) -> float:
    """Return what a job counts for: megapixels of all frames, for each member of the chain; LEAST_COST or more."""
    return max(LEAST_COST, width * height * frames / 1e6 * len(chains.split(model)))


class TurnQuerySet(models.QuerySet["Turn"]):
    """The clocks."""

    def take(self, caller: str, priority: int, costs: Sequence[float], *, share: float = 1.0) -> list[float]:
        """Hand out the turns of a caller's next jobs, in the order of their costs; one statement for any number.

        For outside of the transaction that writes the jobs: callers would wait for each other's disk. Who then writes
        none has lost a place in the queue, and no more.
        """
        lengths = [each / share for each in costs]
        place = {"caller": caller, "priority": priority, "length": sum(lengths), "step": lengths[-1]}
        begin = self._number(_TAKE, {**place, "alone": not connections[self.db].in_atomic_block})
        return [begin + before for before in accumulate(lengths[:-1], initial=0.0)]

    def next(self, caller: str, priority: int) -> float:
        """Return the turn that a job of this caller would get now."""
        return self._number(_NEXT, {"caller": caller, "priority": priority})

    def keep_time(self) -> None:
        """Remember how late it is in each class."""
        with connections[self.db].cursor() as cursor:
            cursor.execute(_KEEP, {"priorities": [int(each) for each in Priority]})

    def promote(self, wait: timedelta) -> int:
        """Raise the priority of jobs that waited for so long by one class, and count anew. Returns how many.

        Those of one caller begin at the other class's clock and keep their distances, so that they share there as well.
        """
        classes = sorted(int(each) for each in Priority)
        count = 0
        for old, new in reversed(list(pairwise(classes))):  # the highest first: one class a sweep
            values = {"old": old, "new": new, "wait": wait, "most": _PROMOTED_AT_ONCE, "least": LEAST_COST}
            count += int(self._number(_PROMOTE, values))
        return count

    def forget(self) -> int:
        """Delete the rows whose finish has passed: they say no more than the clock. Returns how many."""
        clock = models.OuterRef("priority")
        now = Turn.objects.filter(caller=CLOCK, priority=clock).values("finish")
        passed = self.exclude(caller=CLOCK).filter(finish__lte=models.Subquery(now), at__lt=Now() - timedelta(hours=1))
        return passed.delete()[0]

    def _number(self, sql: str, parameters: dict[str, Any]) -> float:
        with connections[self.db].cursor() as cursor:
            cursor.execute(sql, parameters)
            return float(cursor.fetchone()[0])


class Turn(models.Model):
    """The finish of one caller in one class; and the class's clock, under the name of CLOCK."""

    caller = models.CharField(max_length=60)
    priority = models.SmallIntegerField()
    begin = models.FloatField()  # the virtual time at which the jobs begin that were handed their turns last
    finish = models.FloatField()  # at which they end
    step = models.FloatField()  # what the last of them takes
    at = models.DateTimeField()  # last time that turns were handed out, database clock

    objects = TurnQuerySet.as_manager()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["caller", "priority"], name="turn_once")]

    def __str__(self) -> str:
        return f"{self.caller} in {self.priority}: {self.finish:g}"
