"""Rows that only the service writes."""

from typing import Any

from django.http import HttpRequest


class ReadOnly:
    """A page, or a part of one, that neither adds nor changes."""

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


class LookedAt(ReadOnly):
    """A page that does not delete either: the clean-up does."""

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False
