"""Keys and webhooks in the admin: the secret once, revoke, replay, each by its own permission."""

import re

import pytest
from django.contrib.auth.models import Permission, User
from django.test import Client
from django.utils import timezone

from jobs.auth import api_keys
from jobs.models import ApiKey, WebhookAttempt, WebhookMessage

pytestmark = pytest.mark.django_db


def staff(client: Client, *permissions: str) -> Client:
    user = User.objects.create_user("ann", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__in=permissions))
    client.force_login(user)
    return client


def test_a_new_key_is_shown_once_and_works(admin_client: Client) -> None:
    form = {"name": "n8n", "scopes": ["upscale"], "expires_at": ""}
    answer = admin_client.post("/admin/jobs/apikey/add/", form)
    assert answer.status_code == 200
    assert "no-store" in answer.headers["Cache-Control"]
    found = re.search(r"ups_[a-z0-9]{8}_[A-Za-z0-9]{43}", answer.content.decode())
    assert found is not None
    key = api_keys.verify(found[0])
    assert key is not None
    assert (key.name, key.scopes) == ("n8n", ["upscale"])
    for path in ("/admin/jobs/apikey/", f"/admin/jobs/apikey/{key.pk}/change/"):
        page = admin_client.get(path)
        assert page.status_code == 200
        assert found[0] not in page.content.decode()
        assert key.digest not in page.content.decode()


def test_a_key_that_would_be_expired_is_not_made(admin_client: Client) -> None:
    form = {"name": "x", "scopes": ["upscale"], "expires_at": "2020-01-01T00:00"}
    answer = admin_client.post("/admin/jobs/apikey/add/", form)
    assert "This moment has passed" in answer.content.decode()
    assert not ApiKey.objects.exists()


def test_an_existing_key_can_be_renamed_and_nothing_else(admin_client: Client) -> None:
    key, text = api_keys.issue("old", ["upscale"])
    form = {"name": "new", "scopes": ["manage"], "digest": "0" * 64}
    admin_client.post(f"/admin/jobs/apikey/{key.pk}/change/", form)
    found = api_keys.verify(text)
    assert found is not None
    assert (found.name, found.scopes) == ("new", ["upscale"])


def test_revoking_says_what_it_did(admin_client: Client) -> None:
    first, text = api_keys.issue("a", ["upscale"])
    second, _ = api_keys.issue("b", ["upscale"])
    api_keys.revoke([second])
    form = {"action": "revoke_keys", "_selected_action": [str(first.pk), str(second.pk)]}
    page = admin_client.post("/admin/jobs/apikey/", form, follow=True).content.decode()
    assert "1 key revoked." in page
    assert "1 was revoked before." in page
    assert api_keys.verify(text) is None


def test_who_may_only_look_cannot_revoke(client: Client) -> None:
    key, text = api_keys.issue("a", ["upscale"])
    looking = staff(client, "view_apikey")
    assert "revoke_keys" not in looking.get("/admin/jobs/apikey/").content.decode()
    looking.post("/admin/jobs/apikey/", {"action": "revoke_keys", "_selected_action": [str(key.pk)]})
    assert api_keys.verify(text) is not None
    assert looking.get("/admin/jobs/apikey/add/").status_code == 403


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
    looking = staff(client, "view_webhookmessage")
    looking.post("/admin/jobs/webhookmessage/", form)
    failed.refresh_from_db()
    assert failed.state == "failed"
    User.objects.get().user_permissions.add(Permission.objects.get(codename="replay_webhook"))
    page = looking.post("/admin/jobs/webhookmessage/", form, follow=True).content.decode()
    assert "1 webhook will be sent again." in page
    failed.refresh_from_db()
    assert (failed.state, failed.tries, failed.finished_at) == ("pending", 0, None)
