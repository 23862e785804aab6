"""The usage ledger, read-only: filters, their sum, and what they leave as a CSV file."""

import csv
from collections.abc import Iterator
from datetime import date, timedelta
from typing import Any

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet, Sum
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, StreamingHttpResponse
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _t
from django.utils.translation import gettext_lazy as _

from jobs.admin import formatting
from jobs.admin.filters import ApiKeyFilter, Choices, ModelFilter
from jobs.admin.paginator import BoundedPaginator
from jobs.admin.read_only import LookedAt
from jobs.models.usage import COUNTERS, Sums, UsageEntry

#: Kinds of devices, as reports name them.
_DEVICES = ("cpu", "cuda", "xpu", "mps", "openvino-gpu", "vulkan")
_HEADER = (
    "day", "key", "key_name", "model", "device", "jobs_completed", "jobs_failed", "jobs_cancelled", "jobs_reused",
    "input_megapixels", "output_megapixels", "device_seconds", "input_bytes", "result_bytes",
)  # fmt: skip


class DaysFilter(admin.SimpleListFilter):
    """By day, or by periods that bills are made of. Days are UTC's, by the database's clock."""

    title = _("days")
    parameter_name = "days"
    PERIODS = {
        "today": _("today"),
        "yesterday": _("yesterday"),
        "month": _("this month"),
        "last-month": _("last month"),
        "year": _("this year"),
    }

    def lookups(self, request: HttpRequest, model_admin: Any) -> Choices:
        """Return the periods, and a single day where one is chosen."""
        value = self.value()
        day = [(value, value)] if value and value not in self.PERIODS else []
        return [*self.PERIODS.items(), *day]

    def queryset(self, request: HttpRequest, queryset: QuerySet[UsageEntry]) -> QuerySet[UsageEntry]:
        """Apply the choice."""
        value = self.value()
        if not value:
            return queryset
        days = _days(value, UsageEntry.objects.today())
        return queryset.filter(day__range=days) if days else queryset.none()


def _days(period: str, today: date) -> tuple[date, date] | None:
    """Return the first and the last day of a period, or of a single day, YYYY-MM-DD; None for anything else."""
    month = today.replace(day=1)
    periods = {
        "today": (today, today),
        "yesterday": (today - timedelta(days=1),) * 2,
        "month": (month, today),
        "last-month": ((month - timedelta(days=1)).replace(day=1), month - timedelta(days=1)),
        "year": (today.replace(month=1, day=1), today),
    }
    if period in periods:
        first, last = periods[period]
        return first, last
    try:
        return (date.fromisoformat(period),) * 2
    except ValueError:
        return None


class KeyFilter(ApiKeyFilter):
    """By key, also one that is gone: its prefix stands in the list."""

    def lookups(self, request: HttpRequest, model_admin: Any) -> Choices:
        """Return the newest keys, and the chosen one."""
        known = list(super().lookups(request, model_admin))
        value = self.value()
        return known if not value or value in dict(known) else [*known, (value, value)]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        """Apply the choice."""
        if self.value() == self.NONE:
            return queryset.filter(key_prefix="")
        return queryset.filter(key_prefix=self.value()) if self.value() else queryset


class DeviceFilter(admin.SimpleListFilter):
    """By kind of device."""

    title = _("device")
    parameter_name = "device"
    NONE = "none"

    def lookups(self, request: HttpRequest, model_admin: Any) -> Choices:
        """Return the kinds that there are."""
        return [(self.NONE, _("none")), *((kind, kind) for kind in _DEVICES)]

    def queryset(self, request: HttpRequest, queryset: QuerySet[UsageEntry]) -> QuerySet[UsageEntry]:
        """Apply the choice."""
        if not self.value():
            return queryset
        return queryset.filter(device="" if self.value() == self.NONE else self.value())


@admin.register(UsageEntry)
class UsageAdmin(LookedAt, admin.ModelAdmin[UsageEntry]):
    """One line per day, key, model and kind of device. What ended a moment ago is folded in before it is shown."""

    list_display = (
        "day_link", "key", "model", "kind", "completed", "failed", "cancelled", "reused", "input_mp", "output_mp",
        "device_time", "stored",
    )  # fmt: skip
    list_display_links = None
    list_filter = (DaysFilter, KeyFilter, ModelFilter, DeviceFilter)
    search_fields = ("key_name", "key_prefix", "model")
    search_help_text = _("Name or prefix of a key, or part of a model's name or of a chain")
    sortable_by = ()
    list_per_page = 100
    paginator = BoundedPaginator
    show_full_result_count = False
    show_facets = admin.ShowFacets.NEVER
    actions = None

    def get_urls(self) -> list[URLPattern]:
        """Add the address of the file."""
        own = path("export/", self.admin_site.admin_view(self.export), name="jobs_usageentry_export")
        return [own, *super().get_urls()]

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        if request.method == "GET":
            UsageEntry.objects.fold()
        response = super().changelist_view(request, extra_context)
        context = getattr(response, "context_data", None)
        if context and "cl" in context:
            context["totals"] = _totals(context["cl"].queryset)
            query = request.GET.urlencode()
            context["export"] = reverse("admin:jobs_usageentry_export") + (f"?{query}" if query else "")
        return response

    def export(self, request: HttpRequest) -> HttpResponse:
        """Send the lines that the filters leave, oldest day last, as they are read: the memory never holds them."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        UsageEntry.objects.fold()
        rows = self.as_listed(request)
        if rows is None:  # the list says so
            return HttpResponseRedirect(f"{reverse('admin:jobs_usageentry_changelist')}?e=1")
        name = f"usage-{UsageEntry.objects.today().isoformat()}.csv"
        return StreamingHttpResponse(  # type: ignore[return-value]  # Django takes any response here
            _lines(rows),
            content_type="text/csv; charset=utf-8",
            headers={"Content-Disposition": f'attachment; filename="{name}"', "Cache-Control": "no-store"},
        )

    @admin.display(description=_("day"))
    def day_link(self, entry: UsageEntry) -> SafeString:
        return format_html('<a href="?days={}">{}</a>', entry.day.isoformat(), entry.day.isoformat())

    @admin.display(description=_("API key"))
    def key(self, entry: UsageEntry) -> SafeString | str:
        if not entry.key_prefix:
            return _t("without a key")
        shown = f"{entry.key_name} ({entry.key_prefix}…)" if entry.key_name else f"{entry.key_prefix}…"
        return format_html('<a href="?key={}">{}</a>', entry.key_prefix, shown)

    @admin.display(description=_("device"))
    def kind(self, entry: UsageEntry) -> str:
        return entry.device or formatting.DASH

    @admin.display(description=_("input MP"))
    def input_mp(self, entry: UsageEntry) -> str:
        return _megapixels(entry.input_pixels)

    @admin.display(description=_("output MP"))
    def output_mp(self, entry: UsageEntry) -> str:
        return _megapixels(entry.output_pixels)

    @admin.display(description=_("device time"))
    def device_time(self, entry: UsageEntry) -> str:
        return formatting.seconds(entry.device_ms / 1000)

    @admin.display(description=_("stored"))
    def stored(self, entry: UsageEntry) -> str:
        return formatting.byte_size(entry.input_bytes + entry.result_bytes)


def _totals(rows: QuerySet[UsageEntry]) -> list[tuple[Any, str]]:
    """Return names and values of the rows' sums, for the line above the list."""
    found = rows.order_by().aggregate(**{name: Sum(name, default=0) for name in COUNTERS})
    sums = Sums(**{name: int(found[name]) for name in COUNTERS})
    return [
        (_("Completed"), str(sums.completed)),
        (_("Failed"), str(sums.failed)),
        (_("Cancelled"), str(sums.cancelled)),
        (_("Reused"), str(sums.reused)),
        (_("Input"), f"{_megapixels(sums.input_pixels)} MP"),
        (_("Output"), f"{_megapixels(sums.output_pixels)} MP"),
        (_("Device time"), formatting.seconds(sums.device_ms / 1000)),
        (_("Stored"), formatting.byte_size(sums.input_bytes + sums.result_bytes)),
    ]


def _megapixels(pixels: int) -> str:
    return f"{pixels / 1e6:.2f}" if pixels < 100_000_000 else f"{pixels / 1e6:.0f}"


class _Echo:
    """A file that hands back what is written."""

    def write(self, text: str) -> str:
        return text


def _lines(rows: QuerySet[UsageEntry]) -> Iterator[str]:
    writer = csv.writer(_Echo())
    yield writer.writerow(_HEADER)
    for entry in rows.iterator(chunk_size=2000):
        sums = entry.sums
        yield writer.writerow(
            (
                entry.day.isoformat(), entry.key_prefix, _no_formula(entry.key_name), _no_formula(entry.model),
                entry.device, sums.completed, sums.failed, sums.cancelled, sums.reused, sums.input_pixels / 1e6,
                sums.output_pixels / 1e6, sums.device_ms / 1e3, sums.input_bytes, sums.result_bytes,
            )
        )  # fmt: skip


def _no_formula(text: str) -> str:
    """Return a text that a spreadsheet does not compute (OWASP, CSV injection)."""
    return f"'{text}" if text[:1] in ("=", "+", "-", "@", "\t", "\r") else text
