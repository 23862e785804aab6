"""Batches, read-only: their jobs and what was refused."""

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from django.contrib import admin
from django.db.models import Count
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _

from jobs.admin import formatting
from jobs.admin.paginator import BoundedPaginator
from jobs.admin.read_only import LookedAt
from jobs.models import Batch, Job
from jobs.states import Status
from modelstore.formatting import badge


@admin.register(Batch)
class BatchAdmin(LookedAt, admin.ModelAdmin[Batch]):
    """One row per call of upscale-batch."""

    list_display = ("id", "jobs", "refused", "api_key", "age")
    list_select_related = ("api_key",)
    list_per_page = 50
    paginator = BoundedPaginator
    show_full_result_count = False
    show_facets = admin.ShowFacets.NEVER
    fields = ("id", "jobs", "rejected_files", "api_key", "created_at")
    readonly_fields = fields
    sortable_by = ("age",)

    def get_changelist_instance(self, request: HttpRequest) -> Any:
        """Count the jobs of the page's batches, with one query; not those of all batches that there are."""
        changelist = super().get_changelist_instance(request)
        rows = list(changelist.result_list)
        _count_jobs(rows)
        changelist.result_list = rows
        return changelist

    @admin.display(description=_("jobs"))
    def jobs(self, batch: Any) -> SafeString:
        if not hasattr(batch, "job_counts"):
            _count_jobs([batch])
        counts = [(batch.job_counts.get(status, 0), status, label) for status, label in Status.choices]
        badges = format_html_join(
            " ", "{} {}", ((badge(status, str(label)), count) for count, status, label in counts if count)
        )
        return format_html('<a href="{}?q={}">{}</a>', reverse("admin:jobs_job_changelist"), batch.pk, badges or "–")

    @admin.display(description=_("refused"))
    def refused(self, batch: Batch) -> int:
        return len(batch.rejected)

    @admin.display(description=_("refused files"))
    def rejected_files(self, batch: Batch) -> SafeString | str:
        rows = ((entry.get("filename", "?"), entry.get("detail", "")) for entry in batch.rejected)
        return format_html_join("", "<div><strong>{}</strong>: {}</div>", rows) or formatting.DASH

    @admin.display(description=_("age"), ordering="created_at")
    def age(self, batch: Batch) -> SafeString | str:
        return formatting.age(batch.created_at)


def _count_jobs(batches: Sequence[Any]) -> None:
    """Give each batch ``job_counts``: its jobs by status."""
    counts: dict[Any, dict[str, int]] = defaultdict(dict)
    rows = Job.objects.filter(batch__in=[batch.pk for batch in batches]).order_by()
    for batch_id, status, count in rows.values_list("batch", "status").annotate(Count("pk")):
        counts[batch_id][status] = count
    for batch in batches:
        batch.job_counts = counts[batch.pk]
