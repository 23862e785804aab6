"""API keys: made here with the secret shown once, renamed, revoked."""

from typing import Any

from django import forms
from django.conf import settings
from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils import timezone
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _t
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext

from jobs.auth import api_keys
from jobs.models.api_key import ApiKey, Scope
from jobs.webhooks.signing import secrets_for
from modelstore.formatting import badge


class ApiKeyForm(forms.ModelForm[ApiKey]):
    """Scopes as boxes to tick; an expiry lies ahead."""

    scopes = forms.MultipleChoiceField(
        choices=Scope.choices, widget=forms.CheckboxSelectMultiple, initial=[Scope.UPSCALE], label=_("Scopes")
    )
    # The browser's own picker: the admin's needs inline styles, and its two boxes share one label.
    expires_at = forms.DateTimeField(
        required=False, label=_("Expires at (UTC)"), widget=forms.DateTimeInput(attrs={"type": "datetime-local"})
    )

    class Meta:
        model = ApiKey
        fields = ("name", "scopes", "expires_at")

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
    list_display = ("name", "shown_prefix", "shown_scopes", "state", "created_at", "last_used_at", "expires_at")
    list_filter = (("revoked_at", admin.EmptyFieldListFilter),)
    search_fields = ("name", "prefix")
    actions = ("revoke_keys",)
    add_fieldsets = ((None, {"fields": ("name", "scopes", "expires_at")}),)
    fieldsets = (
        (None, {"fields": ("name", "shown_prefix", "shown_scopes", "state")}),
        (_("Times"), {"fields": ("created_at", "last_used_at", "expires_at", "revoked_at")}),
    )
    _fixed = ("shown_prefix", "shown_scopes", "state", "created_at", "last_used_at", "expires_at", "revoked_at")

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        required = {"key_required": settings.REQUIRE_API_KEY}
        return super().changelist_view(request, required | (extra_context or {}))

    def get_fieldsets(self, request: HttpRequest, obj: ApiKey | None = None) -> Any:
        return self.add_fieldsets if obj is None else self.fieldsets

    def get_readonly_fields(self, request: HttpRequest, obj: ApiKey | None = None) -> tuple[str, ...]:
        return () if obj is None else self._fixed

    def get_form(self, request: HttpRequest, obj: ApiKey | None = None, change: bool = False, **kwargs: Any) -> Any:
        """Offer only the name of an existing key for change."""
        if obj is not None:
            kwargs["form"] = forms.ModelForm
        return super().get_form(request, obj, change, **kwargs)

    def save_model(self, request: HttpRequest, obj: ApiKey, form: Any, change: bool) -> None:
        """Issue a new key, or rename an old one."""
        if change:
            ApiKey.objects.filter(pk=obj.pk).update(name=obj.name)
            return
        key, text = api_keys.issue(obj.name, obj.scopes, expires_at=obj.expires_at)
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

    @admin.display(description=_("key"))
    def shown_prefix(self, key: ApiKey) -> str:
        return f"ups_{key.prefix}_…"

    @admin.display(description=_("scopes"))
    def shown_scopes(self, key: ApiKey) -> str:
        return ", ".join(key.scopes)

    @admin.display(description=_("state"))
    def state(self, key: ApiKey) -> SafeString:
        if key.revoked_at is not None:
            return badge("revoked", _t("Revoked"))
        return badge("valid", _t("Valid")) if api_keys.is_valid(key) else badge("expired", _t("Expired"))
