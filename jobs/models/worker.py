"""Worker: a cluster process that says every few seconds that it lives and what it can do."""

from datetime import timedelta
from typing import Self

from django.conf import settings
from django.db import models
from django.db.models.functions import Now


class WorkerQuerySet(models.QuerySet["Worker"]):
    """The workers, by what they do."""

    def alive(self) -> Self:
        """Return the workers with a heartbeat within one lease, by the database's clock."""
        return self.filter(seen_at__gt=Now() - timedelta(seconds=settings.JOB_LEASE_SECONDS))

    def computing(self) -> Self:
        """Return the live inference workers that have a device, and so may claim the next job."""
        return self.alive().filter(cluster="gpu").exclude(device="")

    def forget_silent(self, seconds: float = 3600) -> int:
        """Delete the rows of workers that have not been heard for so long. Returns how many."""
        return self.filter(seen_at__lt=Now() - timedelta(seconds=seconds)).delete()[0]


class Worker(models.Model):
    """One worker process. Written by itself (jobs/worker/registration.py), read by health checks, admin and metrics."""

    id = models.CharField(primary_key=True, max_length=100)  # cluster@host:pid-start, also written into Job.worker
    cluster = models.CharField(max_length=50)
    host = models.CharField(max_length=200)
    pid = models.PositiveIntegerField()
    pid_space = models.CharField(
        max_length=200, blank=True
    )  # where the pid is valid, see queue/liveness.py; empty: untold
    pid_born = models.BigIntegerField(null=True, blank=True)  # when it began, in the kernel's ticks: pids come again
    device = models.CharField(max_length=50, blank=True)  # "cpu", "cuda:0"; empty in clusters that compute nothing
    device_name = models.CharField(max_length=200, blank=True)
    device_uuid = models.CharField(max_length=64, blank=True, db_default="")  # of a card: each process may say cuda:0
    device_note = models.CharField(max_length=500, blank=True, db_default="")  # what "auto" passed over, and why
    precision = models.CharField(max_length=8, blank=True, db_default="")  # of jobs that ask for none
    precisions = models.JSONField(
        null=True, blank=True
    )  # that jobs may ask for; NULL: an older worker, which is silent
    memory_total = models.BigIntegerField(null=True, blank=True)  # bytes of the device; of the host for a CPU
    memory_used = models.BigIntegerField(null=True, blank=True)
    memory_free = models.BigIntegerField(null=True, blank=True)  # what the engine would plan with now
    current_job = models.UUIDField(null=True, blank=True)
    loaded_models = models.JSONField(default=list, blank=True)  # names, the most recently used last
    choices = models.JSONField(
        null=True, blank=True
    )  # by loaded model: backend and precision on this CPU, and why; NULL: an older worker, which is silent
    jobs_done = models.PositiveIntegerField(default=0)
    version = models.CharField(max_length=50, blank=True)
    started_at = models.DateTimeField()
    seen_at = models.DateTimeField(db_index=True)

    objects = WorkerQuerySet.as_manager()

    class Meta:
        ordering = ["cluster", "host", "pid"]

    def __str__(self) -> str:
        return self.id
