"""Folds the ledger of ended jobs into the figures, exactly once, from whichever process comes first.

Reading a row, adding it up and deleting it is one transaction, and an advisory lock lets one process fold at a time;
the others go on with what is there, because readers (monitoring/stats.py) add the unfolded rest themselves.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from django.db import connection, transaction
from django.utils import timezone

from jobs import chains
from jobs.states import Status
from monitoring.buckets import bucket_of, empty
from monitoring.models import ALL_TIME, JobEnd, JobFigure, RequestFigure, SpanFigure

#: Any number that no other advisory lock of this database uses.
LOCK = 7_205_331_017
CHUNK = 2000
#: The longest chart shows thirty days.
KEPT_DAYS = 31
SPANS = ("queue", "decode", "load", "infer", "encode", "total")

UPSERT_JOBS = """
INSERT INTO monitoring_jobfigure AS f
    (hour, model, device, status, error_code, jobs, reused, tiles, input_pixels, timed, seconds)
VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)
ON CONFLICT (hour, model, device, status, error_code) DO UPDATE SET
    jobs = f.jobs + excluded.jobs, reused = f.reused + excluded.reused, tiles = f.tiles + excluded.tiles,
    input_pixels = f.input_pixels + excluded.input_pixels, timed = f.timed + excluded.timed,
    seconds = f.seconds + excluded.seconds
"""
UPSERT_SPANS = """
INSERT INTO monitoring_spanfigure AS f (hour, model, span, count, seconds, buckets)
VALUES (%s, %s, %s, %s, %s, %s::bigint[])
ON CONFLICT (hour, model, span) DO UPDATE SET
    count = f.count + excluded.count,
    seconds = f.seconds + excluded.seconds,
    buckets = ARRAY(SELECT a + b FROM unnest(f.buckets, excluded.buckets) WITH ORDINALITY AS u(a, b, n) ORDER BY n)
"""


@dataclass
class JobSums:
    """The counts of one row of JobFigure."""

    jobs: int = 0
    reused: int = 0
    tiles: int = 0
    input_pixels: int = 0
    timed: int = 0
    seconds: float = 0.0


@dataclass
class SpanSums:
    """The counts of one row of SpanFigure."""

    count: int = 0
    seconds: float = 0.0
    buckets: list[int] = field(default_factory=empty)


@dataclass
class Figures:
    """Ends of jobs, added up by hour."""

    jobs: dict[tuple[datetime, str, str, str, str], JobSums] = field(default_factory=dict)
    spans: dict[tuple[datetime, str, str], SpanSums] = field(default_factory=dict)

    def add(self, end: JobEnd) -> None:
        """Count one end of a job, in its hour and for all time."""
        report = end.report if isinstance(end.report, dict) else {}
        device = str(report.get("device_name") or "")[:100]
        model = _shown(end.model)
        for hour in (end.at.replace(minute=0, second=0, microsecond=0), ALL_TIME):
            sums = self.jobs.setdefault((hour, model, device, end.status, end.error_code), JobSums())
            sums.jobs += 1
            sums.reused += end.reused
            if end.reused:
                continue  # its report is that of the job whose result was reused, which is counted already
            sums.tiles += int(_number(report.get("tiles")) or 0)
            sums.input_pixels += end.input_pixels
            if end.status == Status.COMPLETED and end.processing_seconds is not None:
                sums.timed += 1
                sums.seconds += end.processing_seconds
            for span, seconds in _spans(end, report):
                entry = self.spans.setdefault((hour, model, span), SpanSums())
                entry.count += 1
                entry.seconds += seconds
                entry.buckets[bucket_of(seconds)] += 1


def added_up(ends: Iterable[JobEnd]) -> Figures:
    """Return the figures of these ends."""
    figures = Figures()
    for end in ends:
        figures.add(end)
    return figures


def fold(at_most: int = 10 * CHUNK) -> int:
    """Move up to ``at_most`` ends into the figures. Returns how many; 0 also where another process is at it."""
    folded = 0
    while folded < at_most:
        taken = _fold_chunk()
        folded += taken
        if taken < CHUNK:
            break
    return folded


def upkeep() -> None:
    """Fold all new jobs and delete hours that no chart shows. Readers fold too, but there may be none for months."""
    while fold():
        continue
    old = timezone.now() - timedelta(days=KEPT_DAYS)
    for figures in (JobFigure, SpanFigure, RequestFigure):
        figures.objects.filter(hour__gt=ALL_TIME, hour__lt=old).delete()


def _fold_chunk() -> int:
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_xact_lock(%s)", [LOCK])
        if not cursor.fetchone()[0]:
            return 0
        ends = list(JobEnd.objects.order_by("id")[:CHUNK])
        if not ends:
            return 0
        figures = added_up(ends)
        cursor.executemany(
            UPSERT_JOBS,
            [
                (*key, s.jobs, s.reused, s.tiles, s.input_pixels, s.timed, s.seconds)
                for key, s in sorted(figures.jobs.items())
            ],
        )
        if figures.spans:
            cursor.executemany(
                UPSERT_SPANS, [(*key, s.count, s.seconds, s.buckets) for key, s in sorted(figures.spans.items())]
            )
        JobEnd.objects.filter(id__in=[end.id for end in ends]).delete()
    return len(ends)


def _spans(end: JobEnd, report: dict[str, Any]) -> Iterator[tuple[str, float]]:
    """Yield the time spans of a completed job; a failed one would make a span look short or endless."""
    if end.status != Status.COMPLETED:
        return
    seconds = report.get("seconds")
    measured = seconds if isinstance(seconds, dict) else {}
    values = {"queue": end.queue_seconds, "total": end.processing_seconds} | {
        name: _number(measured.get(name)) for name in ("decode", "load", "infer", "encode")
    }
    for span in SPANS:
        value = values[span]
        if value is not None:
            yield span, max(0.0, value)


def _shown(model: str) -> str:
    """Return the name under which a job counts. A chain counts by its length: callers could make up any number of them.

    No model can have that name: none has a blank.
    """
    members = chains.split(model)
    return model if len(members) == 1 else f"chain of {len(members)}"


def _number(value: object) -> float | None:
    """Return a number of a stored report, None for anything else: the report may be older or newer than the code."""
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None
