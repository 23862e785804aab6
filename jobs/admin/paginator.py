"""A paginator whose count has an end: COUNT(*) over a million rows takes longer than anybody reads."""

from functools import cached_property
from typing import Any

from django.core.exceptions import EmptyResultSet
from django.core.paginator import Paginator
from django.db import connections
from django.db.models import QuerySet


class AtLeast(int):
    """A count that stopped at its bound: "more than", in lists."""

    bounded = True


class BoundedPaginator(Paginator[Any]):
    """Counts up to ``BOUND`` rows. Older rows are reached by a filter, a date or a search, not by paging."""

    BOUND = 10_000

    @cached_property
    def count(self) -> int:
        """Return the number of rows, an ``AtLeast`` where there are more than ``BOUND``."""
        queryset: QuerySet[Any] = self.object_list  # type: ignore[assignment]  # a ChangeList gives nothing else
        rows = queryset.order_by().values("pk")[: self.BOUND + 1]
        try:
            sql, params = rows.query.sql_with_params()
        except EmptyResultSet:  # Django knows without asking: an empty list of ids
            return 0
        with connections[queryset.db].cursor() as cursor:
            cursor.execute(f"SELECT COUNT(*) FROM ({sql}) AS bounded", params)  # noqa: S608 - Django's own SQL
            counted = int(cursor.fetchone()[0])
        return AtLeast(self.BOUND) if counted > self.BOUND else counted
