"""Filters of the job list that ask the database no question over all jobs."""

from collections.abc import Iterable
from datetime import timedelta
from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.db.models.functions import Now
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from jobs import chains
from jobs.models import ApiKey, Job
from jobs.states import Status
from modelstore.models import Model

Choices = Iterable[tuple[Any, Any]]


class ModelFilter(admin.SimpleListFilter):
    """By model. The choices are the models that we know: asking the jobs for theirs would read all of them.

    A job with a chain of models is none of a single one's; all chains are one choice, which an index serves.
    """

    title = _("model")
    parameter_name = "model"

    def lookups(self, request: HttpRequest, model_admin: Any) -> Choices:
        """Return the models by name, and the chains."""
        names = Model.objects.listed().order_by("name").values_list("name", flat=True)
        return [(chains.SEPARATOR, _("chains of models")), *((name, name) for name in names)]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Job]) -> QuerySet[Job]:
        """Apply the choice."""
        if self.value() == chains.SEPARATOR:
            return queryset.filter(model__contains=chains.SEPARATOR)
        return queryset.filter(model=self.value()) if self.value() else queryset


class AgeFilter(admin.SimpleListFilter):
    """By age, counted back from now."""

    title = _("created")
    parameter_name = "within"
    HOURS = {"1": _("in the last hour"), "24": _("in the last 24 hours"), "168": _("in the last 7 days")}

    def lookups(self, request: HttpRequest, model_admin: Any) -> Choices:
        """Return the ages."""
        return list(self.HOURS.items())

    def queryset(self, request: HttpRequest, queryset: QuerySet[Job]) -> QuerySet[Job]:
        """Apply the choice."""
        value = self.value()
        if value not in self.HOURS:
            return queryset
        return queryset.filter(created_at__gte=Now() - timedelta(hours=int(value)))


class ApiKeyFilter(admin.SimpleListFilter):
    """By the caller's key, or without one."""

    title = _("API key")
    parameter_name = "key"
    NONE = "none"
    #: Keys listed at most; the others' pages link to their jobs.
    MOST = 30

    def lookups(self, request: HttpRequest, model_admin: Any) -> Choices:
        """Return the newest keys by name."""
        keys = ApiKey.objects.order_by("-created_at").values_list("prefix", "name")[: self.MOST]
        chosen = [(prefix, f"{name} ({prefix}…)") for prefix, name in keys]
        return [(self.NONE, _("without a key")), *chosen] if chosen else []

    def queryset(self, request: HttpRequest, queryset: QuerySet[Job]) -> QuerySet[Job]:
        """Apply the choice."""
        if self.value() == self.NONE:
            return queryset.filter(api_key__isnull=True)
        return queryset.filter(api_key__prefix=self.value()) if self.value() else queryset


class ErrorFilter(admin.SimpleListFilter):
    """By the reason of failure. Operations links to it; only the chosen one is offered, so nothing asks for all."""

    title = _("reason of failure")
    parameter_name = "error_code"

    def lookups(self, request: HttpRequest, model_admin: Any) -> Choices:
        """Return the chosen one."""
        chosen = self.value()
        return [(chosen, chosen)] if chosen else []

    def queryset(self, request: HttpRequest, queryset: QuerySet[Job]) -> QuerySet[Job]:
        """Apply the choice."""
        return queryset.filter(status=Status.FAILED, error_code=self.value()) if self.value() else queryset
