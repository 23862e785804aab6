"""Webhooks: the delivery log, and replay."""

import json
import uuid
from typing import Any

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext

from jobs.admin.paginator import BoundedPaginator
from jobs.admin.read_only import LookedAt, ReadOnly
from jobs.models.webhook import ENDED, WebhookAttempt, WebhookMessage
from jobs.queue import dispatch
from modelstore.formatting import badge


class AttemptInline(ReadOnly, admin.TabularInline[WebhookAttempt, WebhookMessage]):
    """The tries of one message, oldest first."""

    model = WebhookAttempt
    fields = readonly_fields = ("at", "number", "status", "seconds", "error", "answer")
    extra = 0
    can_delete = False

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Allow the log to everybody who may see the message."""
        return request.user.has_perm("jobs.view_webhookmessage")


@admin.register(WebhookMessage)
class WebhookMessageAdmin(LookedAt, admin.ModelAdmin[WebhookMessage]):
    """Read-only but for the replay of ended messages."""

    list_display = ("event", "shown_state", "receiver", "tries", "created_at", "next_try", "job_link")
    list_filter = ("state", "event")
    search_fields = ("id",)  # shows the box; get_search_results decides
    search_help_text = _("Id of a job, a batch or a message, or the receiver's host:port")
    ordering = ("-created_at", "-id")
    sortable_by = ()
    list_per_page = 50
    paginator = BoundedPaginator
    show_full_result_count = False
    actions = ("replay",)
    inlines = (AttemptInline,)
    fields = readonly_fields = (
        "event", "shown_state", "url", "job_link", "batch", "api_key", "tries", "created_at", "next_try",
        "finished_at", "shown_body",
    )  # fmt: skip

    def has_replay_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("jobs.replay_webhook")

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[WebhookMessage], search_term: str
    ) -> tuple[QuerySet[WebhookMessage], bool]:
        """Search by id or receiver, which have an index or a short list; a search in the bodies would read them all."""
        term = search_term.strip()
        if not term:
            return queryset, False
        try:
            wanted = uuid.UUID(term.removeprefix("msg_"))
        except ValueError:
            return queryset.filter(host=term.lower()), False
        found = queryset.filter(pk=wanted) | queryset.filter(job_id=wanted) | queryset.filter(batch_id=wanted)
        return found, False

    @admin.action(description=_("Send again"), permissions=["replay"])
    def replay(self, request: HttpRequest, queryset: QuerySet[WebhookMessage]) -> None:
        """Put ended messages back into the outbox."""
        chosen = list(queryset.values_list("pk", flat=True))
        replayed = WebhookMessage.objects.replay(chosen)
        if replayed:
            dispatch.ring_webhooks()
        text = ngettext("%(n)d webhook will be sent again.", "%(n)d webhooks will be sent again.", replayed)
        self.message_user(request, text % {"n": replayed}, messages.SUCCESS if replayed else messages.WARNING)
        if replayed < len(chosen):
            rest = len(chosen) - replayed
            text = ngettext("%(n)d is still waiting for its next try.", "%(n)d are still waiting.", rest)
            self.message_user(request, text % {"n": rest}, messages.WARNING)

    @admin.display(description=_("state"), ordering="state")
    def shown_state(self, message: WebhookMessage) -> SafeString:
        return badge(message.state, message.get_state_display())

    @admin.display(description=_("receiver"))
    def receiver(self, message: WebhookMessage) -> str:
        return message.host

    @admin.display(description=_("job"))
    def job_link(self, message: WebhookMessage) -> SafeString | str:
        if message.job_id is None:
            return "–"
        url = reverse("admin:jobs_job_change", args=[message.job_id])
        return format_html('<a href="{}">{}</a>', url, str(message.job_id)[:8])

    @admin.display(description=_("next try"))
    def next_try(self, message: WebhookMessage) -> Any:
        return None if message.state in ENDED else message.next_attempt_at

    @admin.display(description=_("body"))
    def shown_body(self, message: WebhookMessage) -> SafeString:
        return format_html("<pre>{}</pre>", json.dumps(json.loads(message.body), indent=2, ensure_ascii=False))
