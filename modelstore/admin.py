"""Models in the admin: the list, download progress, and the actions of the API as buttons."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, JsonResponse
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.views.decorators.http import require_POST

from modelstore import usage
from modelstore.admin_actions import ACTIONS, MANAGE, OPERATE, may_be_brought, possible_actions
from modelstore.errors import ModelStoreError
from modelstore.formatting import badge, byte_size
from modelstore.forms import ImportForm
from modelstore.imports import importing
from modelstore.imports.registration import problems_of_catalogs
from modelstore.models import Model
from modelstore.states import PENDING, Origin, State
from modelstore.storage import weights
from modelstore.storage.paths import size_on_disk

if TYPE_CHECKING:
    _Base = admin.ModelAdmin[Model]
else:  # the class takes no parameter when it runs
    _Base = admin.ModelAdmin


_BUTTON = '<button class="button row {}" formaction="{}">{}<span class="visually-hidden"> {}</span></button>'
_LINK = '<a class="button row {}" href="{}">{}<span class="visually-hidden"> {}</span></a>'


@admin.register(Model)
class ModelAdmin(_Base):
    """The pages of models: they read, and actions act. Rows come from the catalogue and from imports, never by hand."""

    list_display = ("name", "state_in_list", "size", "shown_scale", "use", "origin", "shown_licence")
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

    @admin.display(description="state", ordering="state")
    def state_in_list(self, model: Model) -> str:
        return format_html("{} {}", self.state_badge(model), self.progress(model))

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

    def get_list_display(self, request: HttpRequest) -> list[Any]:
        """Add the row's own actions for those who may do some."""
        shown: list[Any] = list(self.list_display)
        if self.has_operate_permission(request) or self.has_manage_permission(request):
            shown.insert(2, self._row_actions(request))
        return shown

    def _row_actions(self, request: HttpRequest) -> Callable[[Model], SafeString]:
        allowed = {name for name, action in ACTIONS.items() if request.user.has_perm(action.permission)}
        may_import = self.has_manage_permission(request)
        back = urlencode({"list": request.GET.urlencode()})

        @admin.display(description="actions")
        def row_actions(model: Model) -> SafeString:
            """Render buttons inside the list's form, each with an address of its own: no form may stand in another."""
            parts = []
            for name in possible_actions(model):
                if name not in allowed:
                    continue
                if name == "delete":
                    address = reverse("admin:modelstore_model_delete", args=[model.pk])
                    parts.append((_LINK, "danger", f"{address}?{back}", ACTIONS[name].short, model.name))
                else:
                    address = reverse("admin:modelstore_model_do", args=[model.pk, name])
                    parts.append((_BUTTON, "", f"{address}?{back}", ACTIONS[name].short, model.name))
            if may_import and may_be_brought(model):
                address = f"{reverse('admin:modelstore_model_import')}?{urlencode({'name': model.name})}"
                parts.append((_LINK, "", address, "Import", model.name))
            return format_html_join(" ", "{}", ((format_html(shape, *rest),) for shape, *rest in parts))

        return row_actions

    def has_operate_permission(self, request: HttpRequest) -> bool:
        """Check the permission of Django's admin actions that name "operate"."""
        return request.user.has_perm(OPERATE)

    def has_manage_permission(self, request: HttpRequest) -> bool:
        """Check the permission of Django's admin actions that name "manage"."""
        return request.user.has_perm(MANAGE)

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
    def delete_models(self, request: HttpRequest, queryset: QuerySet[Model]) -> HttpResponse | None:
        """Ask, then delete."""
        chosen = [model for model in queryset if "delete" in possible_actions(model)]
        if request.POST.get("post") or not chosen:
            self._do(request, "delete", chosen)
            return None
        return self._ask_to_delete(request, chosen)

    def _do(self, request: HttpRequest, action: str, models: QuerySet[Model] | list[Model]) -> None:
        act = ACTIONS[action].run
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
                "ask": reverse("admin:modelstore_model_delete", args=[object_id]) if action == "delete" else "",
                "label": ACTIONS[action].label,
                "name": action,
            }
            for action in possible
            if request.user.has_perm(ACTIONS[action].permission)
        ]
        return super().change_view(request, object_id, form_url, {"model_actions": allowed} | (extra_context or {}))

    def action_view(self, request: HttpRequest, pk: int, action: str) -> HttpResponse:
        """Run the action of one of the buttons."""
        if action not in ACTIONS or not request.user.has_perm(ACTIONS[action].permission):
            raise PermissionDenied
        self._do(request, action, list(Model.objects.filter(pk=pk)))
        if "list" not in request.GET and Model.objects.filter(pk=pk).exists():
            return HttpResponseRedirect(reverse("admin:modelstore_model_change", args=[pk]))
        return _back_to_list(request)

    def delete_view(
        self, request: HttpRequest, object_id: str, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Ask before one file goes; Django's own page at this address would delete the row."""
        if not self.has_manage_permission(request):
            raise PermissionDenied
        model = self.get_object(request, object_id)
        if model is None or "delete" not in possible_actions(model):
            self.message_user(request, "There is no file of this model to delete", messages.WARNING)
            return _back_to_list(request)
        return self._ask_to_delete(request, [model])

    def _ask_to_delete(self, request: HttpRequest, models: Sequence[Model]) -> TemplateResponse:
        single = models[0] if len(models) == 1 else None
        context = {
            **self.admin_site.each_context(request),
            "title": "Delete the file?" if single else "Delete the files?",
            "opts": self.opts,
            "models": [(model, byte_size(model.size_bytes), usage.loaded_in(model.name)) for model in models],
            "imported": [model.name for model in models if model.origin == Origin.IMPORTED],
            "action": reverse("admin:modelstore_model_do", args=[single.pk, "delete"]) if single else "",
            "back": request.GET.get("list", ""),
        }
        return TemplateResponse(request, "admin/modelstore/model/delete.html", context)

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
        form = ImportForm(request.POST or None, request.FILES or None, initial={"name": request.GET.get("name", "")})
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


def _back_to_list(request: HttpRequest) -> HttpResponseRedirect:
    """Return to the list as it was filtered."""
    query = request.GET.get("list", "")
    return HttpResponseRedirect(reverse("admin:modelstore_model_changelist") + (f"?{query}" if query else ""))
