"""Jobs: the list and the detail page. Both read; what staff do goes through the same verbs as the API."""

from typing import Any

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db.models import Prefetch, QuerySet
from django.http import FileResponse, HttpRequest, HttpResponse, JsonResponse
from django.template.response import TemplateResponse
from django.urls import URLPattern, path
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _

from jobs.admin import actions as job_actions
from jobs.admin import cells, details, formatting, pictures
from jobs.admin.filters import AgeFilter, ApiKeyFilter, ErrorFilter, ModelFilter
from jobs.admin.paginator import BoundedPaginator
from jobs.admin.read_only import ReadOnly
from jobs.admin.search import find
from jobs.models import Job, WebhookMessage
from jobs.states import TERMINAL

#: The columns of the list; the rest of the row (options, report) is not loaded.
SHOWN = (
    "id", "status", "priority", "model", "created_at", "finished_at", "processing_seconds", "attempts", "tiles_done",
    "tiles_total", "input_width", "input_height", "result_width", "result_height", "input_name", "error_code", "error",
    "cancel_requested", "api_key__name",
)  # fmt: skip


@admin.register(Job)
class JobAdmin(ReadOnly, admin.ModelAdmin[Job]):
    """The pages of jobs: they read; actions cancel, retry, delete with files and download."""

    list_display = ("picture", "short_id", "state", "model", "size", "shown_caller", "age")
    list_display_links = ("short_id",)
    list_filter = ("status", AgeFilter, "priority", ErrorFilter, ModelFilter, ApiKeyFilter)
    search_fields = ("id",)  # shows the box; jobs/admin/search.py decides what is found
    search_help_text = _("Job, batch or request id, or part of a file's name (among the newest 100,000 jobs)")
    date_hierarchy = "created_at"
    ordering = ("-created_at", "-id")
    sortable_by = ("age",)
    list_per_page = 50
    list_max_show_all = 100
    paginator = BoundedPaginator
    show_full_result_count = False
    show_facets = admin.ShowFacets.NEVER
    actions = ("cancel_jobs", "retry_jobs", "download_results", "delete_with_files")

    # --- Permissions

    def has_operate_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("jobs.operate_job")

    # --- The list

    def get_queryset(self, request: HttpRequest) -> QuerySet[Job]:
        return Job.objects.order_by()

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        return super().changelist_view(request, {"title": _("Jobs"), **(extra_context or {})})

    def get_changelist_instance(self, request: HttpRequest) -> Any:
        changes = super().get_changelist_instance(request)
        changes.result_list = (
            changes.result_list.select_related("api_key").only(*SHOWN)
            if hasattr(changes.result_list, "only")
            else changes.result_list
        )
        return changes

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Job], search_term: str
    ) -> tuple[QuerySet[Job], bool]:
        return find(queryset, search_term), False

    def get_actions(self, request: HttpRequest) -> dict[str, Any]:
        actions = super().get_actions(request)
        actions.pop("delete_selected", None)  # it would leave the files
        return actions

    @admin.display(description="")
    def picture(self, job: Job) -> SafeString:
        return formatting.thumbnail(job)

    @admin.display(description=_("file"))
    def short_id(self, job: Job) -> SafeString:
        return format_html("{}<span class=more>{}</span>", job.input_name or _("unnamed"), str(job.pk)[:8])

    @admin.display(description=_("state"))
    def state(self, job: Job) -> SafeString:
        return cells.live(job, "state")

    @admin.display(description=_("size"))
    def size(self, job: Job) -> SafeString:
        return cells.live(job, "size")

    @admin.display(description=_("caller"))
    def shown_caller(self, job: Job) -> str:
        return job.api_key.name if job.api_key else formatting.DASH

    @admin.display(description=_("age"), ordering="created_at")
    def age(self, job: Job) -> SafeString:
        return format_html("{}{}", formatting.age(job.created_at), cells.live(job, "took"))

    # --- One job

    def get_urls(self) -> list[URLPattern]:
        wrap = self.admin_site.admin_view
        own = [
            path("<uuid:job_id>/<str:kind>/<str:size>.webp", wrap(self.rendition), name="jobs_job_rendition"),
            path("live", wrap(self.live), name="jobs_job_live"),
            path("<uuid:job_id>/<str:kind>/file", wrap(self.file), name="jobs_job_file"),
            path("<uuid:job_id>/do/<str:action>", wrap(self.action_view), name="jobs_job_action"),
        ]
        return own + super().get_urls()

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        if not self.has_view_permission(request):
            return super().change_view(request, object_id, form_url, extra_context)
        messages = WebhookMessage.objects.order_by("created_at").prefetch_related("attempts")
        jobs = Job.objects.select_related("batch", "api_key").prefetch_related(Prefetch("webhooks", messages))
        job = details.only(jobs, object_id).first()
        if job is None:
            return super().change_view(request, object_id, form_url, extra_context)  # shows Django's "doesn't exist"
        context = {
            **self.admin_site.each_context(request),
            "title": _("Job %(id)s") % {"id": str(job.pk)[:8]},
            "opts": self.opts,
            "job": job,
            "sections": details.sections(job),
            "spans": details.spans(job),
            "state": cells.whole(job),
            "ended": job.status in TERMINAL,
            "may_operate": self.has_operate_permission(request),
            "may_delete": self.has_delete_permission(request),
            "job_actions": job_actions.open_to(job),
            **(extra_context or {}),
        }
        return TemplateResponse(request, "admin/jobs/job/detail.html", context)

    def live(self, request: HttpRequest) -> HttpResponse:
        """Return what the cells of some jobs show now, as JSON."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        return JsonResponse(cells.now(request.GET.getlist("id")), headers={"Cache-Control": "no-store"})

    def rendition(self, request: HttpRequest, job_id: Any, kind: str, size: str) -> HttpResponse:
        """Return a small WebP of the input or the result."""
        return pictures.rendition(request, self.has_view_permission(request), job_id, kind, size)

    def file(self, request: HttpRequest, job_id: Any, kind: str) -> FileResponse:
        """Return the input or the result itself, as a download."""
        return pictures.original(self.has_view_permission(request), job_id, kind)

    def action_view(self, request: HttpRequest, job_id: Any, action: str) -> HttpResponse:
        """Run the action of one button of the detail page."""
        return job_actions.do_one(self, request, job_id, action)

    def delete_view(
        self, request: HttpRequest, object_id: str, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Ask and delete as the action does: Django's own page at this address would leave the files."""
        return job_actions.delete_page(self, request, details.only(Job.objects.all(), object_id))

    # --- Actions on many

    @admin.action(description=_("Cancel"), permissions=["operate"])
    def cancel_jobs(self, request: HttpRequest, queryset: QuerySet[Job]) -> None:
        job_actions.cancel(self, request, queryset)

    @admin.action(description=_("Retry"), permissions=["operate"])
    def retry_jobs(self, request: HttpRequest, queryset: QuerySet[Job]) -> None:
        job_actions.retry(self, request, queryset)

    @admin.action(description=_("Download results as ZIP"), permissions=["view"])
    def download_results(self, request: HttpRequest, queryset: QuerySet[Job]) -> HttpResponse | None:
        return job_actions.download(self, request, queryset)

    @admin.action(description=_("Delete with files"), permissions=["delete"])
    def delete_with_files(self, request: HttpRequest, queryset: QuerySet[Job]) -> HttpResponse:
        return job_actions.delete_page(self, request, queryset)
