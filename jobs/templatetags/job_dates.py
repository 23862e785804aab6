"""The date hierarchy of the job list, from the first and the last date alone.

Django's own asks for the distinct dates of all rows, which reads a million of them; the first and the last come from
the ends of an index. The price: a day without jobs is offered too.
"""

import calendar
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any

from django import template
from django.db.models import Max, Min
from django.utils import formats
from django.utils.dates import MONTHS

register = template.Library()
FIELD = "created_at"


@dataclass(frozen=True)
class Choice:
    """A year, month or day that can be chosen."""

    title: str
    link: str


@dataclass
class Hierarchy:
    """The step back, where there is one, and the choices of the next level."""

    back: Choice | None = None
    chosen: str = ""
    choices: list[Choice] = field(default_factory=list)


@register.simple_tag
def job_dates(changes: Any) -> Hierarchy:
    """Return the hierarchy for a ChangeList of jobs."""
    year, month, day = (_chosen(changes, part) for part in ("year", "month", "day"))
    found = changes.root_queryset.order_by().aggregate(first=Min(FIELD), last=Max(FIELD))
    if found["first"] is None:
        return Hierarchy()
    return hierarchy(found["first"], found["last"], year, month, day, lambda **parts: _link(changes, **parts))


def hierarchy(
    first: datetime, last: datetime, year: int | None, month: int | None, day: int | None, link: Any
) -> Hierarchy:
    """Return what to offer where ``first`` and ``last`` are the ends, and year, month, day are chosen or None.

    A level with only one choice is passed over. ``link`` gives the address of a choice of these parts.
    """
    back = Choice("", link()) if year else None
    if year is None and first.year == last.year:
        year = first.year
        if (first.month, first.year) == (last.month, last.year):
            month = first.month
    if year is None:
        years = range(last.year, first.year - 1, -1)
        return Hierarchy(back, "", [Choice(str(y), link(year=y)) for y in years])
    if month is None:
        low = first.month if year == first.year else 1
        high = last.month if year == last.year else 12
        months = [Choice(str(MONTHS[m]), link(year=year, month=m)) for m in range(low, high + 1)]
        return Hierarchy(back, str(year) if back else "", months)
    if day is not None:
        back = Choice(formats.date_format(date(year, month, 1), "YEAR_MONTH_FORMAT"), link(year=year, month=month))
        return Hierarchy(back, formats.date_format(date(year, month, day), "DATE_FORMAT"), [])
    days = range(1, calendar.monthrange(year, month)[1] + 1)
    inside = [d for d in days if first.date() <= date(year, month, d) <= last.date()]
    choices = [
        Choice(formats.date_format(date(year, month, d), "MONTH_DAY_FORMAT"), link(year=year, month=month, day=d))
        for d in inside
    ]
    return Hierarchy(back, formats.date_format(date(year, month, 1), "YEAR_MONTH_FORMAT") if back else "", choices)


def _chosen(changes: Any, part: str) -> int | None:
    value = changes.params.get(f"{FIELD}__{part}")
    try:
        return int(value)
    except (TypeError, ValueError):
        return None


def _link(changes: Any, **parts: int) -> str:
    link: str = changes.get_query_string({f"{FIELD}__{part}": n for part, n in parts.items()}, [f"{FIELD}__"])
    return link
