"""A staff member's session counts as a caller where keys are required, so that the web page stays usable."""

from collections.abc import Callable

import pytest
from django.contrib.auth.models import Permission, User
from django.middleware.csrf import get_token
from django.test import Client, RequestFactory
from pytest_django.fixtures import Settings

from jobs.models import Job

pytestmark = pytest.mark.django_db


@pytest.fixture
def browser(settings: Settings) -> Client:
    """A browser: it keeps cookies, and Django checks CSRF as in earnest."""
    settings.REQUIRE_API_KEY = True
    return Client(enforce_csrf_checks=True)


def log_in(browser: Client, *, is_staff: bool = False) -> User:
    user = User.objects.create_user("ann", is_staff=is_staff)
    browser.force_login(user)
    return user


def csrf(browser: Client) -> dict[str, str]:
    """What the page's JavaScript sends: the token beside the cookie."""
    request = RequestFactory().get("/")
    token = get_token(request)
    browser.cookies["csrftoken"] = request.META["CSRF_COOKIE"]
    return {"X-CSRFToken": token}


def allow(user: User, *permissions: str) -> None:
    for permission in permissions:
        room, codename = permission.split(".")
        user.user_permissions.add(Permission.objects.get(content_type__app_label=room, codename=codename))


def test_staff_with_the_permissions_of_the_admin_may_use_the_api_and_see_all_jobs(
    browser: Client, make_job: Callable[..., Job]
) -> None:
    allow(log_in(browser, is_staff=True), "jobs.view_job", "jobs.operate_job")
    job = make_job()
    assert browser.get("/api/v1/jobs").json()["total"] == 1
    assert browser.post(f"/api/v1/jobs/{job.pk}/cancel", headers=csrf(browser)).status_code == 200


def test_staff_without_any_permission_neither_see_nor_touch_anybodys_jobs(
    browser: Client, make_job: Callable[..., Job]
) -> None:
    log_in(browser, is_staff=True)
    job, headers = make_job(), csrf(browser)
    address = f"/api/v1/jobs/{job.pk}"
    for path in ("/api/v1/jobs", address, f"{address}/input", f"{address}/result", f"{address}/events"):
        refused = browser.get(path)
        assert (path, refused.status_code) == (path, 403)
        assert "jobs.view_job" in refused.json()["detail"]
    for path in (f"{address}/cancel", f"{address}/retry"):
        assert (path, browser.post(path, headers=headers).status_code) == (path, 403)
    assert browser.delete(address, headers=headers).status_code == 403
    job.refresh_from_db()
    assert job.status == "queued"


def test_who_may_only_look_neither_cancels_nor_deletes(browser: Client, make_job: Callable[..., Job]) -> None:
    user = log_in(browser, is_staff=True)
    allow(user, "jobs.view_job")
    job, headers = make_job(), csrf(browser)
    address = f"/api/v1/jobs/{job.pk}"
    assert browser.get(address).status_code == 200
    assert "jobs.operate_job" in browser.post(f"{address}/cancel", headers=headers).json()["detail"]
    assert "jobs.operate_job" in browser.post(f"{address}/retry", headers=headers).json()["detail"]
    assert "jobs.delete_job" in browser.delete(address, headers=headers).json()["detail"]
    allow(user, "jobs.operate_job")
    assert browser.post(f"{address}/cancel", headers=headers).status_code == 200
    assert browser.delete(address, headers=headers).status_code == 403
    allow(user, "jobs.delete_job")
    assert browser.delete(address, headers=headers).status_code == 204


def test_models_need_the_permissions_that_their_admin_asks_for(browser: Client) -> None:
    user = log_in(browser, is_staff=True)
    headers, model = csrf(browser), "/api/v1/models/no-such-model"

    def order() -> int:
        wish = {"models": ["no-such-model"]}
        return browser.post(
            "/api/v1/models/download", wish, content_type="application/json", headers=headers
        ).status_code

    assert browser.get("/api/v1/models").status_code == 403
    allow(user, "modelstore.view_model", "jobs.cleanup_job")
    assert browser.get("/api/v1/models").status_code == 200
    assert (order(), browser.delete(model, headers=headers).status_code) == (403, 403)
    allow(user, "modelstore.operate_model", "modelstore.manage_model")
    assert (order(), browser.delete(model, headers=headers).status_code) == (404, 404)


@pytest.mark.parametrize("path", ["/api/v1/system", "/api/v1/stats"])
def test_who_may_see_the_operations_page_may_ask_the_api_for_the_same(browser: Client, path: str) -> None:
    user = log_in(browser, is_staff=True)
    allow(user, "jobs.view_job")
    refused = browser.get(path)
    assert refused.status_code == 403
    assert "monitoring.view_operations" in refused.json()["detail"]
    allow(user, "monitoring.view_operations")
    assert browser.get(path).status_code == 200


def test_a_foreign_pages_form_cannot_use_the_session(browser: Client, make_job: Callable[..., Job]) -> None:
    allow(log_in(browser, is_staff=True), "jobs.view_job", "jobs.operate_job")
    job = make_job()
    refused = browser.post(f"/api/v1/jobs/{job.pk}/cancel")
    assert refused.status_code == 403
    assert "CSRF" in refused.json()["detail"]
    job.refresh_from_db()
    assert job.status == "queued"


def test_who_is_not_staff_or_no_longer_active_is_nobody(browser: Client) -> None:
    user = log_in(browser)
    assert browser.get("/api/v1/jobs").status_code == 401
    user.is_staff, user.is_active = True, False
    user.save()
    assert browser.get("/api/v1/jobs").status_code == 401


def test_managing_needs_the_staff_members_permission(browser: Client) -> None:
    user = log_in(browser, is_staff=True)
    headers = csrf(browser)
    assert browser.post("/api/v1/cleanup?dry_run=true", headers=headers).status_code == 403
    allow(user, "jobs.cleanup_job")
    assert browser.post("/api/v1/cleanup?dry_run=true", headers=headers).status_code == 200


def test_a_session_changes_nothing_where_no_key_is_required(browser: Client, settings: Settings) -> None:
    """No CSRF token is asked for then: the page's calls and a script's are the same."""
    settings.REQUIRE_API_KEY = False
    log_in(browser, is_staff=True)
    assert browser.post("/api/v1/cleanup?dry_run=true").status_code == 200
