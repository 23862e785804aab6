"""API keys: made here with the secret shown once, renamed, revoked."""

from typing import Any

from django import forms
from django.conf import settings
from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _t
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext

from audit import log
from audit.models import Action
from jobs import erasure
from jobs.admin import formatting
from jobs.auth import api_keys
from jobs.erasure import Erased
from jobs.models.api_key import GREATEST_SHARE, LEAST_SHARE, ApiKey, Scope
from jobs.webhooks.signing import secrets_for
from modelstore.formatting import badge

#: What can be changed of a key beside its name.
_LIMITS = ("share", "high_priority", "max_queued_jobs", "max_running_jobs", "max_stored_gb", "max_megapixels_per_day")


class LimitsForm(forms.ModelForm[ApiKey]):
    """Name, share and limits; the stored pictures in GB."""

    share = forms.FloatField(
        required=False,
        min_value=LEAST_SHARE,
        max_value=GREATEST_SHARE,
        label=_("Share"),
        help_text=_("Beside other callers with waiting jobs this one gets so many times as much, 0.1 to 100"),
    )
    max_stored_gb = forms.FloatField(
        required=False,
        min_value=0,
        max_value=1_000_000,
        label=_("Max stored GB"),
        help_text=_("Inputs and results, in GB of 1e9 bytes. Empty: as the setting says; 0: no limit"),
    )

    class Meta:
        model = ApiKey
        fields: tuple[str, ...] = (
            "name", "share", "high_priority", "max_queued_jobs", "max_running_jobs", "max_megapixels_per_day",
            "retain_hours",
        )  # fmt: skip

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        stored = self.instance.max_stored_bytes
        self.fields["max_stored_gb"].initial = None if stored is None else stored / 1e9

    def clean_retain_hours(self) -> int | None:
        """Refuse hours beyond the operator's limit."""
        hours: int | None = self.cleaned_data["retain_hours"]
        if hours is not None and not 1 <= hours <= settings.MAX_RETAIN_HOURS:
            raise forms.ValidationError(_("From 1 to %(most)d hours.") % {"most": settings.MAX_RETAIN_HOURS})
        return hours

    def clean_share(self) -> float:
        """Leave the share as it is where none is given."""
        share: float | None = self.cleaned_data["share"]
        return self.instance.share if share is None else share

    def clean(self) -> dict[str, Any] | None:
        """Keep the stored pictures' limit in bytes."""
        cleaned = super().clean()
        stored = self.cleaned_data.get("max_stored_gb")
        self.instance.max_stored_bytes = None if stored is None else round(stored * 1e9)
        return cleaned


class ApiKeyForm(LimitsForm):
    """Scopes as boxes to tick; an expiry lies ahead."""

    scopes = forms.MultipleChoiceField(
        choices=Scope.choices, widget=forms.CheckboxSelectMultiple, initial=[Scope.UPSCALE], label=_("Scopes")
    )
    # The browser's own picker: the admin's needs inline styles, and its two boxes share one label.
    expires_at = forms.DateTimeField(
        required=False, label=_("Expires at (UTC)"), widget=forms.DateTimeInput(attrs={"type": "datetime-local"})
    )

    class Meta(LimitsForm.Meta):
        fields = (*LimitsForm.Meta.fields, "scopes", "expires_at")

    def clean_expires_at(self) -> Any:
        """Refuse an expiry in the past: the key would be useless from the start."""
        expires_at = self.cleaned_data["expires_at"]
        if expires_at is not None and expires_at <= timezone.now():
            raise forms.ValidationError(_("This moment has passed."))
        return expires_at


@admin.register(ApiKey)
class ApiKeyAdmin(admin.ModelAdmin[ApiKey]):
    """Keys. A key's scope never changes after it was made: a caller that needs more gets another."""

    form = ApiKeyForm
    list_display = (
        "name", "shown_prefix", "shown_scopes", "state", "shown_limits", "created_at", "last_used_at", "expires_at",
        "usage",
    )  # fmt: skip
    list_filter = (("revoked_at", admin.EmptyFieldListFilter),)
    search_fields = ("name", "prefix")
    actions = ("revoke_keys", "erase_everything")
    add_fieldsets = (
        (None, {"fields": ("name", "scopes", "expires_at", "retain_hours")}),
        (_("Share and limits"), {"fields": _LIMITS}),
    )
    fieldsets = (
        (None, {"fields": ("name", "retain_hours", "shown_prefix", "shown_scopes", "state", "usage")}),
        (_("Share and limits"), {"fields": _LIMITS}),
        (_("Times"), {"fields": ("created_at", "last_used_at", "expires_at", "revoked_at")}),
    )
    _fixed = (
        "shown_prefix", "shown_scopes", "state", "usage", "created_at", "last_used_at", "expires_at", "revoked_at",
    )  # fmt: skip

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        required = {"key_required": settings.REQUIRE_API_KEY}
        return super().changelist_view(request, required | (extra_context or {}))

    def get_fieldsets(self, request: HttpRequest, obj: ApiKey | None = None) -> Any:
        return self.add_fieldsets if obj is None else self.fieldsets

    def get_readonly_fields(self, request: HttpRequest, obj: ApiKey | None = None) -> tuple[str, ...]:
        return () if obj is None else self._fixed

    def get_form(self, request: HttpRequest, obj: ApiKey | None = None, change: bool = False, **kwargs: Any) -> Any:
        """Offer name, retention, share and limits of an existing key for change."""
        if obj is not None:
            kwargs["form"] = LimitsForm
        return super().get_form(request, obj, change, **kwargs)

    def save_model(self, request: HttpRequest, obj: ApiKey, form: Any, change: bool) -> None:
        """Issue a new key, or change the name, the share and the limits of an old one."""
        limits = {name: getattr(obj, name) for name in (*api_keys.LIMITS, "share", "high_priority")}
        if change:
            api_keys.change(obj, name=obj.name, retain_hours=obj.retain_hours, **limits)
            return
        key, text = api_keys.issue(
            obj.name, obj.scopes, expires_at=obj.expires_at, retain_hours=obj.retain_hours, **limits
        )
        obj.pk, obj.prefix, obj.digest = key.pk, key.prefix, key.digest
        obj.issued_text = text  # type: ignore[attr-defined]  # for response_add alone: no field, never stored

    def response_add(self, request: HttpRequest, obj: ApiKey, post_url_continue: str | None = None) -> HttpResponse:
        """Show the key, this once: in the answer itself, since a message to the next page would lie in a cookie."""
        context = {
            **self.admin_site.each_context(request),
            "title": _("API key of %(name)s") % {"name": obj.name},
            "opts": self.opts,
            "key": obj,
            "text": obj.issued_text,  # type: ignore[attr-defined]  # by save_model
            "webhook_secret": secrets_for(obj.pk)[0],
        }
        # The admin marks all its pages no-store, so no cache keeps the key.
        return TemplateResponse(request, "admin/jobs/apikey/issued.html", context)

    @admin.action(description=_("Revoke"), permissions=["change"])
    def revoke_keys(self, request: HttpRequest, queryset: QuerySet[ApiKey]) -> None:
        """Revoke for good."""
        chosen = list(queryset)
        revoked = api_keys.revoke(chosen)
        text = ngettext("%(n)d key revoked.", "%(n)d keys revoked.", revoked) % {"n": revoked}
        self.message_user(request, text, messages.SUCCESS if revoked else messages.WARNING)
        if revoked < len(chosen):
            rest = len(chosen) - revoked
            text = ngettext("%(n)d was revoked before.", "%(n)d were revoked before.", rest) % {"n": rest}
            self.message_user(request, text, messages.WARNING)

    def get_deleted_objects(self, objs: Any, request: HttpRequest) -> tuple[Any, Any, set[str], list[Any]]:
        """Refuse keys that have jobs or batches: without the key nobody could export or erase them."""
        listed, counts, lacking, protected = super().get_deleted_objects(objs, request)
        for key in objs:
            if key.jobs.exists() or key.batches.exists():
                protected.append(_("%(key)s: it has jobs; revoke it, or erase everything of it first") % {"key": key})
        return listed, counts, lacking, protected

    def delete_model(self, request: HttpRequest, obj: ApiKey) -> None:
        log.record(Action.DELETED, "key", [obj.prefix])
        super().delete_model(request, obj)

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[ApiKey]) -> None:
        log.record(Action.DELETED, "key", queryset.values_list("prefix", flat=True))
        super().delete_queryset(request, queryset)

    def has_erase_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("jobs.erase_apikey")

    @admin.action(description=_("Erase everything …"), permissions=["erase"])
    def erase_everything(self, request: HttpRequest, queryset: QuerySet[ApiKey]) -> HttpResponse | None:
        """Ask, telling what there is; then erase it."""
        chosen = list(queryset)
        if request.POST.get("post"):
            for key in chosen:
                self._tell(request, key, erasure.erase(key, revoke=bool(request.POST.get("revoke"))))
            return None
        context = {
            **self.admin_site.each_context(request),
            "title": _("Erase everything of these keys?"),
            "opts": self.opts,
            "keys": [(key, erasure.would_erase(key)) for key in chosen],
        }
        return TemplateResponse(request, "admin/jobs/apikey/erase.html", context)

    def _tell(self, request: HttpRequest, key: ApiKey, erased: Erased) -> None:
        text = _("Erased of %(key)s: %(jobs)d jobs with their files, %(bytes)s, and %(webhooks)d webhooks.") % {
            "key": f"ups_{key.prefix}_…",
            "jobs": erased.jobs,
            "bytes": formatting.byte_size(erased.bytes),
            "webhooks": erased.webhooks,
        }
        self.message_user(request, text, messages.SUCCESS)
        if not erased.done:
            text = _("%d running jobs were told to stop; they go when they have.") % erased.pending_jobs
            self.message_user(request, text, messages.WARNING)
        if erased.failed_files:
            text = _("%d files could not be deleted; the log says why.") % erased.failed_files
            self.message_user(request, text, messages.WARNING)

    @admin.display(description=_("key"))
    def shown_prefix(self, key: ApiKey) -> str:
        return f"ups_{key.prefix}_…"

    @admin.display(description=_("scopes"))
    def shown_scopes(self, key: ApiKey) -> str:
        return ", ".join(key.scopes)

    @admin.display(description=_("usage"))
    def usage(self, key: ApiKey) -> SafeString:
        """Link to the ledger's lines of the key."""
        address = reverse("admin:jobs_usageentry_changelist")
        return format_html('<a href="{}?key={}">{}</a>', address, key.prefix, _t("Usage"))

    @admin.display(description=_("state"))
    def state(self, key: ApiKey) -> SafeString:
        if key.revoked_at is not None:
            return badge("revoked", _t("Revoked"))
        return badge("valid", _t("Valid")) if api_keys.is_valid(key) else badge("expired", _t("Expired"))

    @admin.display(description=_("share and limits"))
    def shown_limits(self, key: ApiKey) -> str:
        """Return what a key has of its own."""
        own = [_t("share %(n)g") % {"n": key.share}] if key.share != 1 else []
        own += [_t("high priority")] if key.high_priority else []
        limits = (
            (key.max_queued_jobs, _t("%(n)d waiting")),
            (key.max_running_jobs, _t("%(n)d at once")),
            (key.max_stored_bytes and key.max_stored_bytes / 1e9, _t("%(n)g GB")),
            (key.max_megapixels_per_day, _t("%(n)g megapixels a day")),
        )
        return ", ".join(own + [text % {"n": limit} for limit, text in limits if limit]) or formatting.DASH
