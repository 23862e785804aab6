"""The audit log for staff: read, filtered, searched, and saved as CSV. Nothing here changes it."""

import csv
import io
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db import connection
from django.db.models import Q, QuerySet
from django.db.models.functions import Now
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, StreamingHttpResponse
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _

from audit.models import Entry, Kind
from jobs.admin import formatting
from jobs.admin.filters import AgeFilter
from jobs.admin.paginator import BoundedPaginator
from jobs.admin.read_only import LookedAt

#: Rows of one query for the CSV.
CHUNK = 1000
COLUMNS = ("at", "actor_kind", "actor", "action", "object_kind", "object", "detail", "request_id", "address_hash")
#: A cell that begins so would be computed by a spreadsheet.
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


class WhenFilter(AgeFilter):
    """By age of the entry."""

    title = _("when")
    HOURS = {"24": _("in the last 24 hours"), "168": _("in the last 7 days"), "720": _("in the last 30 days")}

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        """Apply the choice."""
        value = self.value()
        return queryset.filter(at__gte=Now() - timedelta(hours=int(value))) if value in self.HOURS else queryset


class KindFilter(admin.SimpleListFilter):
    """By the kind of who acted."""

    title = _("who")
    parameter_name = "who"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[Any]:
        """Return the kinds."""
        return list(Kind.choices)

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        """Apply the choice."""
        return queryset.filter(actor__kind=self.value()) if self.value() else queryset


@admin.register(Entry)
class EntryAdmin(LookedAt, admin.ModelAdmin[Entry]):
    """Entries, newest first."""

    list_display = ("at", "who", "action", "what", "detail", "request_id", "address_hash")
    list_display_links = None
    list_filter = ("action", KindFilter, WhenFilter)
    list_select_related = ("actor",)
    search_fields = ("object_id",)  # shows the box; get_search_results decides what is found
    search_help_text = _("Id of a job, key's prefix, model, account, request id, hash of an address, or part of a name")
    ordering = ("-id",)
    sortable_by = ()
    list_per_page = 100
    paginator = BoundedPaginator
    show_full_result_count = False
    show_facets = admin.ShowFacets.NEVER
    actions = None
    change_list_template = "admin/audit/entry/change_list.html"

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Entry], search_term: str
    ) -> tuple[QuerySet[Entry], bool]:
        term = search_term.strip()
        if not term:
            return queryset, False
        found = Q(object_id=term) | Q(request_id=term) | Q(address_hash=term) | Q(actor__name__icontains=term)
        return queryset.filter(found), False

    @admin.display(description=_("who"))
    def who(self, entry: Entry) -> SafeString:
        return format_html("{} <span class=more>{}</span>", entry.actor.name, entry.actor.get_kind_display())

    @admin.display(description=_("what"))
    def what(self, entry: Entry) -> str:
        return f"{entry.object_kind} {entry.object_id}".strip() or formatting.DASH

    def get_urls(self) -> list[URLPattern]:
        return [
            path("csv", self.admin_site.admin_view(self.as_csv), name="audit_entry_csv"),
            *super().get_urls(),
        ]

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        address = f"{reverse('admin:audit_entry_csv')}?{request.GET.urlencode()}"
        shown = {"title": _("Audit log"), "csv": address}
        return super().changelist_view(request, shown | (extra_context or {}))

    def as_csv(self, request: HttpRequest) -> StreamingHttpResponse | HttpResponseRedirect:
        """Return what the list shows, all pages of it, as CSV."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        entries = self.as_listed(request)
        if entries is None:  # the list says so
            return HttpResponseRedirect(f"{reverse('admin:audit_entry_changelist')}?e=1")
        name = f"audit-{timezone.now():%Y%m%d-%H%M%S}.csv"
        return StreamingHttpResponse(
            lines(entries),
            content_type="text/csv; charset=utf-8",
            headers={"Content-Disposition": f'attachment; filename="{name}"', "Cache-Control": "no-store"},
        )


def lines(entries: QuerySet[Entry]) -> Iterator[str]:
    """Yield the CSV, a page of rows at a time. No query is open between two: each may run in another thread."""
    yield _row(COLUMNS)
    last = None
    while True:
        page = entries.order_by("-id")
        rows = list((page if last is None else page.filter(pk__lt=last)).select_related("actor")[:CHUNK])
        if not connection.in_atomic_block:
            connection.close()
        if rows:
            yield "".join(_row(_cells(entry)) for entry in rows)
            last = rows[-1].pk
        if len(rows) < CHUNK:
            return


def _cells(entry: Entry) -> tuple[object, ...]:
    detail = ", ".join(f"{name}: {value}" for name, value in sorted(entry.detail.items()))
    who = (entry.actor.kind, entry.actor.name)
    what = (entry.action, entry.object_kind, entry.object_id, detail)
    return entry.at.isoformat(), *who, *what, entry.request_id, entry.address_hash


def _row(cells: tuple[object, ...]) -> str:
    line = io.StringIO()
    csv.writer(line).writerow([f"'{cell}" if str(cell).startswith(_FORMULA) else cell for cell in cells])
    return line.getvalue()
