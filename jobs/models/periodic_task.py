"""Chore: when something periodic was last begun, so that it is begun once however many processes and hosts look."""

from datetime import datetime, timedelta

from django.db import models
from django.db.models.functions import Now


class ChoreQuerySet(models.QuerySet["Chore"]):
    """Taking turns."""

    def take_turn(self, name: str, every: timedelta) -> bool:
        """Return whether ``name`` is due; True for one caller per period, by the database's clock.

        A chore that was never seen counts as just done: a start is not the moment for heavy work.
        """
        if self.filter(name=name, begun_at__lte=Now() - every).update(begun_at=Now()):
            return True
        if not self.filter(name=name).exists():
            self.bulk_create([Chore(name=name, begun_at=Now())], ignore_conflicts=True)
        return False

    def mark(self, name: str) -> tuple[datetime, timedelta | None]:
        """Note that ``name`` is done now. Return the database's time, and how long ago it was done before, if ever.

        For one caller at a time: whoever marks holds a lock of its own.
        """
        row = self.filter(name=name).annotate(now=Now()).values_list("now", "begun_at").first()
        if row is None:
            self.bulk_create([Chore(name=name, begun_at=Now())], ignore_conflicts=True)
            return self.get(name=name).begun_at, None
        now, before = row
        self.filter(name=name).update(begun_at=now)
        return now, now - before


class Chore(models.Model):
    """One periodic task of the service."""

    name = models.CharField(primary_key=True, max_length=50)
    begun_at = models.DateTimeField()

    objects = ChoreQuerySet.as_manager()

    def __str__(self) -> str:
        return self.name
