"""Rows that only the service writes."""

from typing import Any

from django.contrib.admin.options import IncorrectLookupParameters
from django.db.models import QuerySet
from django.http import HttpRequest


class ReadOnly:
    """A page, or a part of one, that neither adds nor changes."""

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


class LookedAt(ReadOnly):
    """A page that does not delete either: the clean-up does."""

    def as_listed(self, request: HttpRequest) -> QuerySet[Any] | None:
        """Return the rows of all pages that the list shows; None for a filter that nobody knows."""
        try:
            listed: QuerySet[Any] = self.get_changelist_instance(request).get_queryset(request)  # type: ignore[attr-defined]  # ModelAdmin's, beside this class
        except IncorrectLookupParameters:
            return None
        return listed

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False
