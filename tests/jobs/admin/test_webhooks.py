"""Webhooks in the admin: what receivers said, and replay by its own permission."""

import pytest
from django.contrib.auth.models import Permission, User
from django.test import Client
from django.utils import timezone

from jobs.models import WebhookAttempt, WebhookMessage
from tests.staff import staff_with

pytestmark = pytest.mark.django_db


@pytest.fixture
def failed() -> WebhookMessage:
    """A message that was given up, with one logged try."""
    message = WebhookMessage.objects.create(
        event="job.completed", url="https://example.org/<script>", host="example.org:443", body='{"type":"x<b>"}',
        state="failed", finished_at=timezone.now(), tries=10,
    )  # fmt: skip
    WebhookAttempt.objects.create(
        message=message, number=1, status=500, seconds=0.2, answer="<script>alert(1)</script>"
    )
    return message


def test_the_log_shows_tries_and_escapes_what_receivers_said(admin_client: Client, failed: WebhookMessage) -> None:
    listing = admin_client.get("/admin/jobs/webhookmessage/").content.decode()
    assert "example.org:443" in listing
    page = admin_client.get(f"/admin/jobs/webhookmessage/{failed.pk}/change/").content.decode()
    assert "&lt;script&gt;alert(1)" in page
    assert "<script>alert(1)" not in page
    for term in (str(failed.pk), f"msg_{failed.pk.hex}", "EXAMPLE.org:443"):
        found = admin_client.get("/admin/jobs/webhookmessage/", {"q": term}).content.decode()
        assert str(failed.pk) in found, term


def test_replay_needs_its_permission_and_puts_ended_messages_back(client: Client, failed: WebhookMessage) -> None:
    form = {"action": "replay", "_selected_action": [str(failed.pk)]}
    looking = staff_with(client, "view_webhookmessage")
    looking.post("/admin/jobs/webhookmessage/", form)
    failed.refresh_from_db()
    assert failed.state == "failed"
    User.objects.get().user_permissions.add(Permission.objects.get(codename="replay_webhook"))
    page = looking.post("/admin/jobs/webhookmessage/", form, follow=True).content.decode()
    assert "1 webhook will be sent again." in page
    failed.refresh_from_db()
    assert (failed.state, failed.tries, failed.finished_at) == ("pending", 0, None)
