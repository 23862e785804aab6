"""Keys in the admin: the secret once, rename, revoke, each by its own permission."""

import re

import pytest
from django.test import Client

from audit.models import Action, Entry
from jobs.auth import api_keys
from jobs.models import ApiKey, Job
from tests.jobs import made
from tests.staff import staff_with

pytestmark = pytest.mark.django_db


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


def test_share_and_limits_are_given_and_changed(admin_client: Client) -> None:
    form = {"name": "n8n", "scopes": ["upscale"], "share": "2", "max_stored_gb": "1.5", "max_queued_jobs": "10"}
    assert admin_client.post("/admin/jobs/apikey/add/", form).status_code == 200
    key = ApiKey.objects.get()
    assert (key.share, key.max_stored_bytes, key.max_queued_jobs) == (2.0, 1_500_000_000, 10)
    address = f"/admin/jobs/apikey/{key.pk}/change/"
    assert 'value="1.5"' in admin_client.get(address).content.decode()
    assert "share 2, 10 waiting, 1.5 GB" in admin_client.get("/admin/jobs/apikey/").content.decode()
    admin_client.post(address, {"name": "n8n", "share": "0.5", "max_megapixels_per_day": "100"})
    key.refresh_from_db()
    assert (key.share, key.max_stored_bytes, key.max_queued_jobs, key.max_megapixels_per_day) == (0.5, None, None, 100)
    for wrong in (
        {"share": "1000"},
        {"max_queued_jobs": "-1"},
        {"max_stored_gb": "nan"},
        {"max_queued_jobs": "9" * 12},
    ):
        page = admin_client.post(address, {"name": "n8n", **wrong})
        assert "errorlist" in page.content.decode(), wrong
    key.refresh_from_db()
    assert key.share == 0.5


def test_an_existing_key_can_be_renamed_and_has_its_scopes_for_good(admin_client: Client) -> None:
    key, text = api_keys.issue("old", ["upscale"], share=3.0)
    form = {"name": "new", "scopes": ["manage"], "digest": "0" * 64}
    admin_client.post(f"/admin/jobs/apikey/{key.pk}/change/", form)
    found = api_keys.verify(text)
    assert found is not None
    assert (found.name, found.scopes, found.share) == ("new", ["upscale"], 3.0)


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
    looking = staff_with(client, "view_apikey")
    assert "revoke_keys" not in looking.get("/admin/jobs/apikey/").content.decode()
    looking.post("/admin/jobs/apikey/", {"action": "revoke_keys", "_selected_action": [str(key.pk)]})
    assert api_keys.verify(text) is not None
    assert looking.get("/admin/jobs/apikey/add/").status_code == 403


def test_a_key_with_jobs_is_not_deleted_and_one_without_is_with_an_entry_in_the_log(admin_client: Client) -> None:
    used, _ = api_keys.issue("used", ["upscale"])
    idle, _ = api_keys.issue("idle", ["upscale"])
    job = made.queued(api_key=used)
    asked = admin_client.get(f"/admin/jobs/apikey/{used.pk}/delete/").content.decode()
    assert "it has jobs; revoke it, or erase everything of it first" in asked
    admin_client.post(f"/admin/jobs/apikey/{used.pk}/delete/", {"post": "yes"})
    chosen = {"action": "delete_selected", "_selected_action": [used.pk, idle.pk], "post": "yes"}
    admin_client.post("/admin/jobs/apikey/", chosen)
    assert ApiKey.objects.count() == 2
    job.refresh_from_db()
    assert job.api_key_id == used.pk
    admin_client.post("/admin/jobs/apikey/", {**chosen, "_selected_action": [idle.pk]})
    assert list(ApiKey.objects.all()) == [used]
    Job.objects.all().delete()
    admin_client.post(f"/admin/jobs/apikey/{used.pk}/delete/", {"post": "yes"})
    deleted = Entry.objects.filter(action=Action.DELETED, object_kind="key").order_by("pk")
    assert [entry.object_id for entry in deleted] == [idle.prefix, used.prefix]
