"""Workers, read-only: the heartbeats of every cluster process."""

from django.contrib import admin
from django.urls import reverse
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString, mark_safe
from django.utils.translation import gettext as _t
from django.utils.translation import gettext_lazy as _

from jobs.admin import formatting
from jobs.admin.read_only import LookedAt
from jobs.models import Worker


@admin.register(Worker)
class WorkerAdmin(LookedAt, admin.ModelAdmin[Worker]):
    """One row per process; it writes its row itself."""

    list_display = ("id", "device_name", "memory", "job", "models", "jobs_done", "heartbeat")
    list_filter = ("cluster",)
    show_facets = admin.ShowFacets.NEVER
    list_per_page = 50
    fields = (
        "id", "cluster", "host", "pid", "device", "device_name", "device_uuid", "device_note", "precisions", "memory",
        "job", "models", "choices_in_words", "jobs_done", "version", "started_at", "seen_at",
    )  # fmt: skip
    readonly_fields = fields

    @admin.display(description=_("memory"))
    def memory(self, worker: Worker) -> str:
        if worker.memory_total is None:
            return "–"
        return f"{formatting.byte_size(worker.memory_used)} / {formatting.byte_size(worker.memory_total)}"

    @admin.display(description=_("job"))
    def job(self, worker: Worker) -> SafeString | str:
        if worker.current_job is None:
            return _t("idle")
        address = reverse("admin:jobs_job_change", args=[worker.current_job])
        return format_html('<a href="{}">{}</a>', address, str(worker.current_job)[:8])

    @admin.display(description=_("loaded models"))
    def models(self, worker: Worker) -> str:
        return ", ".join(worker.loaded_models) or "–"

    @admin.display(description=_("backends"))
    def choices_in_words(self, worker: Worker) -> SafeString | str:
        """Return a line for each loaded model of a CPU: what computes it, and why."""
        lines = sorted((worker.choices or {}).items())
        return format_html_join(mark_safe("<br>"), "{}: {}", lines) or "–"

    @admin.display(description=_("heartbeat"), ordering="seen_at")
    def heartbeat(self, worker: Worker) -> SafeString | str:
        return formatting.age(worker.seen_at)
