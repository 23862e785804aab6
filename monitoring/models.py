"""The tables of the monitoring room: what happened, counted, so that figures survive restarts and clean-up.

``JobEnd`` is a ledger that a database trigger writes in the transaction that ends a job (migration 0002): whoever ends
it, however it is ended, it is written exactly once, and appending never makes two jobs wait for each other, as one
shared counter row would. ``monitoring.ledger`` folds the ledger into the figures: one row per hour for the charts, and
one of all time (its hour is ``ALL_TIME``), so that totals stay cheap to read however long the service runs.
"""

from datetime import UTC, datetime

from django.contrib.postgres.fields import ArrayField
from django.db import models

from jobs import chains
from monitoring.buckets import BUCKETS

ALL_TIME = datetime(1970, 1, 1, tzinfo=UTC)


class JobEnd(models.Model):
    """One end of a job that is not yet part of the figures. A retried job ends more than once."""

    at = models.DateTimeField()
    job_id = models.UUIDField()
    status = models.CharField(max_length=16)
    model = models.CharField(max_length=chains.LONGEST)
    error_code = models.CharField(max_length=50, blank=True)
    reused = models.BooleanField(default=False)  # completed from an earlier result, without inference
    input_pixels = models.BigIntegerField(default=0)
    queue_seconds = models.FloatField(null=True)  # entered the queue to claimed; null: never claimed
    processing_seconds = models.FloatField(null=True)
    report = models.JSONField(default=dict)  # the engine's Report

    def __str__(self) -> str:
        return f"{self.job_id} {self.status}"


class JobFigure(models.Model):
    """Jobs that ended in one hour (or ever), by what they were and how they ended."""

    hour = models.DateTimeField()
    model = models.CharField(max_length=100)  # "chain of 2" for all chains of two
    device = models.CharField(max_length=100, blank=True)  # name of the device; empty: it never ran
    status = models.CharField(max_length=16)
    error_code = models.CharField(max_length=50, blank=True)
    jobs = models.BigIntegerField(default=0)
    reused = models.BigIntegerField(default=0)
    tiles = models.BigIntegerField(default=0)
    input_pixels = models.BigIntegerField(default=0)
    timed = models.BigIntegerField(default=0)  # jobs that have processing seconds
    seconds = models.FloatField(default=0)  # their sum

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["hour", "model", "device", "status", "error_code"], name="job_figure_once"),
        ]
        permissions = [("view_operations", "Can see the Operations page")]

    def __str__(self) -> str:
        return f"{self.hour:%Y-%m-%d %H}h {self.model} {self.status}: {self.jobs}"


class SpanFigure(models.Model):
    """The durations of one span of completed jobs in one hour (or ever): a histogram over ``BUCKETS``."""

    hour = models.DateTimeField()
    model = models.CharField(max_length=100)
    span = models.CharField(max_length=16)  # queue, decode, load, infer, encode, total
    count = models.BigIntegerField(default=0)
    seconds = models.FloatField(default=0)
    buckets = ArrayField(models.BigIntegerField(), size=len(BUCKETS) + 1)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["hour", "model", "span"], name="span_figure_once")]

    def __str__(self) -> str:
        return f"{self.hour:%Y-%m-%d %H}h {self.model} {self.span}: {self.count}"


class RequestFigure(models.Model):
    """HTTP requests answered in one hour (or ever), by route and status."""

    hour = models.DateTimeField()
    method = models.CharField(max_length=8)
    route = models.CharField(max_length=200)  # the URL pattern, never the path: the number of paths has no bound
    status = models.PositiveSmallIntegerField()
    count = models.BigIntegerField(default=0)
    seconds = models.FloatField(default=0)
    buckets = ArrayField(models.BigIntegerField(), size=len(BUCKETS) + 1)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["hour", "method", "route", "status"], name="request_figure_once")
        ]

    def __str__(self) -> str:
        return f"{self.hour:%Y-%m-%d %H}h {self.method} {self.route} {self.status}: {self.count}"
