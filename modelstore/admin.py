"""Models in the admin: the list, download progress, and the actions of the API as buttons."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, JsonResponse
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html
from django.views.decorators.http import require_POST

from modelstore import usage
from modelstore.downloads import requests
from modelstore.errors import ModelStoreError, WeightsDamaged
from modelstore.formatting import badge, byte_size
from modelstore.forms import ImportForm
from modelstore.imports import importing
from modelstore.imports.registration import problems_of_catalogs
from modelstore.licences import named
from modelstore.models import Model
from modelstore.states import DOWNLOADABLE, PENDING, REQUESTABLE, Origin, State
from modelstore.storage import deletion, weights
from modelstore.storage.paths import size_on_disk

if TYPE_CHECKING:
    _Base = admin.ModelAdmin[Model]
else:  # the class takes no parameter when it runs
    _Base = admin.ModelAdmin

_OPERATE, _MANAGE = "modelstore.operate_model", "modelstore.manage_model"


# The admin capitalises the first letter of a message, so no message begins with a model's name.
def _download(model: Model) -> str:
    if model.origin not in DOWNLOADABLE:
        return f"Only models that have sources can be downloaded; {model.name} is {model.get_origin_display()}"
    if model.state == State.READY and weights.is_available(model):
        return f"Already downloaded: {model.name}"
    requests.order([model.name])
    return f"Download requested: {model.name}. Its licence: {named(model.licence)}"


def _cancel(model: Model) -> str:
    return f"{'Download cancelled' if Model.objects.cancel(model.name) else 'Not being downloaded'}: {model.name}"


def _verify(model: Model) -> str:
    if model.state != State.READY:
        return f"Not downloaded: {model.name}"
    if weights.verify(model):
        return f"Checksum verified: {model.name}"
    again = "; it is being downloaded again" if model.origin in DOWNLOADABLE else ""
    raise WeightsDamaged(f"the file of {model.name} is damaged{again}")


def _delete(model: Model) -> str:
    return f"Deleted {model.name}: {byte_size(deletion.delete(model.name))} freed"


#: Name in the address → (action, permission, label).
ACTIONS: dict[str, tuple[Callable[[Model], str], str, str]] = {
    "download": (_download, _OPERATE, "Download"),
    "cancel": (_cancel, _OPERATE, "Cancel the download"),
    "verify": (_verify, _OPERATE, "Verify the file"),
    "delete": (_delete, _MANAGE, "Delete the file"),
}


def possible_actions(model: Model) -> list[str]:
    """Return the actions that a model's present state allows."""
    possible = []
    if model.origin in DOWNLOADABLE and model.state in REQUESTABLE:
        possible.append("download")
    if model.origin in DOWNLOADABLE and model.state in PENDING:
        possible.append("cancel")
    if model.state == State.READY:
        possible.append("verify")
    if model.origin == Origin.IMPORTED or (model.origin in DOWNLOADABLE and model.state == State.READY):
        possible.append("delete")
    return possible


@admin.register(Model)
class ModelAdmin(_Base):
    """The pages of models: they read, and actions act. Rows come from the catalogue and from imports, never by hand."""

    list_display = ("name", "state_badge", "progress", "size", "shown_scale", "use", "origin", "shown_licence")
    list_filter = ("use", "state", "origin", "architecture", "scale")
    search_fields = ("name", "description", "sha256")
    actions = ("download_models", "cancel_downloads", "verify_models", "delete_models")
    change_list_template = "admin/modelstore/model/change_list.html"
    change_form_template = "admin/modelstore/model/change_form.html"
    fieldsets = (
        (
            None,
            {"fields": ("name", "description", "use", "shown_licence", "state_badge", "progress", "error", "notes")},
        ),
        ("Network", {"fields": ("architecture", "shown_scale", "tiles", "network", "denoise_partner", "loaded")}),
        ("File", {"fields": ("size", "on_disk", "file_name", "sha256", "source", "sources")}),
        ("Origin", {"fields": ("author", "homepage", "example")}),
        ("Life", {"fields": ("origin", "worker", "attempts", "requested_at", "started_at", "ready_at", "verified_at")}),
    )

    class Media:
        css = {"all": ("modelstore/admin.css",)}
        js = ("modelstore/admin.js",)

    # --- What is shown ------------------------------------------------------------------------------------------------
    @admin.display(description="state", ordering="state")
    def state_badge(self, model: Model) -> str:
        lost = model.state == State.READY and not weights.is_available(model)
        word = "file is gone" if lost else model.get_state_display()
        shown = badge("failed" if lost else model.state, word[:1].upper() + word[1:])
        return format_html('<span data-model-state="{}">{}</span>', model.pk, shown)

    @admin.display(description="progress")
    def progress(self, model: Model) -> str:
        hidden = "" if model.state in PENDING else "hidden"
        return format_html(
            '<progress data-model-progress="{}" max="100" value="{}" aria-label="Download of {}" {}></progress>',
            model.pk,
            model.percent or 0,
            model.name,
            hidden,
        )

    @admin.display(description="size", ordering="size_bytes")
    def size(self, model: Model) -> str:
        return byte_size(model.size_bytes)

    @admin.display(description="scale", ordering="scale")
    def shown_scale(self, model: Model) -> str:
        return str(model.scale) if model.scale else "not examined yet"

    @admin.display(description="licence", ordering="licence")
    def shown_licence(self, model: Model) -> str:
        if not model.non_commercial:
            return model.licence
        return format_html("{} {}", model.licence, badge("warned", "Non-commercial"))

    @admin.display(description="on the disk")
    def on_disk(self, model: Model) -> str:
        size = size_on_disk(model)
        return "nothing" if size is None else byte_size(size)

    @admin.display(description="tiles")
    def tiles(self, model: Model) -> str:
        return model.spec.joins if model.spec else ""

    @admin.display(description="loaded in")
    def loaded(self, model: Model) -> str:
        places = usage.loaded_in(model.name)
        return ", ".join(f"{place.worker} ({place.device})" for place in places) or "no worker"

    # --- What may be done ---------------------------------------------------------------------------------------------
    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_operate_permission(self, request: HttpRequest) -> bool:
        """Check the permission of Django's admin actions that name "operate"."""
        return request.user.has_perm(_OPERATE)

    def has_manage_permission(self, request: HttpRequest) -> bool:
        """Check the permission of Django's admin actions that name "manage"."""
        return request.user.has_perm(_MANAGE)

    @admin.action(description="Download", permissions=["operate"])
    def download_models(self, request: HttpRequest, queryset: QuerySet[Model]) -> None:
        self._do(request, "download", queryset)

    @admin.action(description="Cancel the download", permissions=["operate"])
    def cancel_downloads(self, request: HttpRequest, queryset: QuerySet[Model]) -> None:
        self._do(request, "cancel", queryset)

    @admin.action(description="Verify the files", permissions=["operate"])
    def verify_models(self, request: HttpRequest, queryset: QuerySet[Model]) -> None:
        self._do(request, "verify", queryset)

    @admin.action(description="Delete the files", permissions=["manage"])
    def delete_models(self, request: HttpRequest, queryset: QuerySet[Model]) -> None:
        self._do(request, "delete", queryset)

    def _do(self, request: HttpRequest, action: str, models: QuerySet[Model] | list[Model]) -> None:
        act = ACTIONS[action][0]
        for model in models:
            try:
                self.message_user(request, act(model), messages.SUCCESS)
            except ModelStoreError as error:
                self.message_user(request, f"Attention: {error}", messages.ERROR)

    # --- Pages --------------------------------------------------------------------------------------------------------
    def get_urls(self) -> list[URLPattern]:
        wrap = self.admin_site.admin_view
        return [
            path("import/", wrap(self.import_view), name="modelstore_model_import"),
            path("progress/", wrap(self.progress_view), name="modelstore_model_progress"),
            path("<int:pk>/do/<str:action>/", wrap(require_POST(self.action_view)), name="modelstore_model_do"),
            *super().get_urls(),
        ]

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        extra = {
            "may_import": self.has_manage_permission(request),
            "catalog_problems": problems_of_catalogs(),
        } | (extra_context or {})
        return super().changelist_view(request, extra)

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        model = self.get_object(request, object_id)
        possible = possible_actions(model) if model is not None else []
        allowed = [
            {
                "url": reverse("admin:modelstore_model_do", args=[object_id, action]),
                "label": ACTIONS[action][2],
                "name": action,
            }
            for action in possible
            if request.user.has_perm(ACTIONS[action][1])
        ]
        return super().change_view(request, object_id, form_url, {"model_actions": allowed} | (extra_context or {}))

    def action_view(self, request: HttpRequest, pk: int, action: str) -> HttpResponse:
        """Run the action of one of the buttons."""
        if action not in ACTIONS or not request.user.has_perm(ACTIONS[action][1]):
            raise PermissionDenied
        self._do(request, action, list(Model.objects.filter(pk=pk)))
        still_there = Model.objects.filter(pk=pk).exists()
        target = reverse("admin:modelstore_model_change", args=[pk]) if still_there else ""
        return HttpResponseRedirect(target or reverse("admin:modelstore_model_changelist"))

    def progress_view(self, request: HttpRequest) -> HttpResponse:
        """Return download progress as JSON; the pages ask every second while something is on its way."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        return JsonResponse(
            {
                str(model.pk): {
                    "state": model.state,
                    "label": model.get_state_display(),
                    "pending": model.state in PENDING,
                    "percent": model.percent,
                }
                for model in Model.objects.all()
            }
        )

    def import_view(self, request: HttpRequest) -> HttpResponse:
        """Upload a weights file. It is examined by the `io` cluster: this process never opens it."""
        if not self.has_manage_permission(request):
            raise PermissionDenied
        form = ImportForm(request.POST or None, request.FILES or None)
        if request.method == "POST" and form.is_valid():
            values = form.cleaned_data
            try:
                model = importing.bring(
                    values["file"].chunks(),
                    values["name"],
                    default_name=form.default_name,
                    description=values["description"],
                    licence=values["licence"],
                    use=values["use"],
                )
            except ModelStoreError as error:
                form.add_error(None, str(error))
            else:
                done = "Imported the official" if model.state == State.READY else "Received and now examining"
                self.message_user(request, f"{done} {model.name}", messages.SUCCESS)
                return HttpResponseRedirect(reverse("admin:modelstore_model_change", args=[model.pk]))
        context = {**self.admin_site.each_context(request), "form": form, "opts": self.opts, "title": "Import a model"}
        return TemplateResponse(request, "admin/modelstore/model/import.html", context)
