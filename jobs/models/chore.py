"""Chore: when something periodic was last begun, so that it is begun once however many processes and hosts look."""

from datetime import timedelta

from django.db import models
from django.db.models.functions import Now


class ChoreQuerySet(models.QuerySet["Chore"]):
    """Taking turns."""

    def take_turn(self, name: str, every: timedelta) -> bool:
        """Whether ``name`` is due; True for one caller per period, by the database's clock.

        A chore that was never seen counts as just done: a start is not the moment for heavy work.
        """
        if self.filter(name=name, begun_at__lte=Now() - every).update(begun_at=Now()):
            return True
        if not self.filter(name=name).exists():
            self.bulk_create([Chore(name=name, begun_at=Now())], ignore_conflicts=True)
        return False


class Chore(models.Model):
    """One periodic task of the service."""

    name = models.CharField(primary_key=True, max_length=50)
    begun_at = models.DateTimeField()

    objects = ChoreQuerySet.as_manager()

    def __str__(self) -> str:
        return self.name
