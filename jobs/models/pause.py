"""Pause: a kind of worker takes nothing up any more; the service goes on accepting."""

from django.db import models
from django.db.models.functions import Now


class PauseQuerySet(models.QuerySet["Pause"]):
    """Pausing and going on."""

    def begin(self, cluster: str, *, reason: str = "", by: str = "") -> "Pause":
        """Pause; a pause that is on keeps its beginning, and its reason unless there is another one."""
        self.bulk_create(
            [Pause(cluster=cluster, since=Now(), reason=reason, by=by)],
            update_conflicts=True, unique_fields=["cluster"], update_fields=["reason", "by"] if reason else ["by"],
        )  # fmt: skip
        return self.get(cluster=cluster)

    def end(self, cluster: str) -> bool:
        """Go on; False when there was no pause. The caller rings."""
        return bool(self.filter(cluster=cluster).delete()[0])

    def is_on(self, cluster: str) -> bool:
        """Return whether those workers take nothing up."""
        return self.filter(cluster=cluster).exists()


class Pause(models.Model):
    """One row while the workers of that kind are paused."""

    cluster = models.CharField(primary_key=True, max_length=20)  # dispatch.GPU or dispatch.IO
    since = models.DateTimeField()
    reason = models.CharField(max_length=200, blank=True)  # for callers and staff
    by = models.CharField(max_length=150, blank=True)  # user name; "" for a command

    objects = PauseQuerySet.as_manager()

    class Meta:
        permissions = [("pause_queue", "Can pause and resume the queues")]

    def __str__(self) -> str:
        return f"{self.cluster} since {self.since:%Y-%m-%d %H:%M} UTC"
