"""Claim and lease, as the rows of jobs, webhooks and models have them.

A worker claims a row by writing a token and a time until which the claim holds: the lease. It extends the lease by its
heartbeat; whoever does not hold the token has lost the row. When a lease runs out, the row is anybody's again. All
times are the database's clock.
"""

from datetime import datetime, timedelta
from typing import Any, ClassVar, Protocol, Self, TypeVar

from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

#: The columns of a row without a claim.
UNCLAIMED: dict[str, Any] = {"token": None, "lease_until": None}

Row = TypeVar("Row", bound=models.Model)


class Claimed(Protocol):
    """A row with the token of a claim."""

    pk: Any
    token: Any


class ClaimQuerySet(models.QuerySet[Row]):
    """Rows that one worker at a time holds. The verbs that change them stand in the subclasses."""

    #: The values that every claimed row has beside its token and lease.
    claimed: ClassVar[dict[str, Any]]

    def held(self, row: Claimed) -> Self:
        """Return the row if its claim still holds; nothing otherwise."""
        return self.filter(pk=row.pk, token=row.token, **self.claimed)

    def lapsed(self, as_of: datetime | None = None) -> Self:
        """Return claimed rows whose lease has run out, by now or ``as_of`` a time of the database's clock."""
        return self.filter(lease_until__lt=Now() if as_of is None else as_of, **self.claimed)


def lease(length: timedelta) -> Any:
    """Return the end of a lease that begins now, as an expression."""
    return Now() + length


def unheld() -> Q:
    """Return the condition of rows that nobody holds, or whose lease has run out."""
    return Q(lease_until__isnull=True) | Q(lease_until__lt=Now())
