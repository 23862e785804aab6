"""The admin as a whole: what is registered, who gets in, and the groups that staff belong to."""

import pytest
from django.apps import apps
from django.contrib import admin
from django.contrib.auth.models import Group, Permission
from django.core.management import call_command
from django.test import Client

from monitoring.groups import GROUPS, create_groups
from tests.jobs import made
from tests.staff import Staff

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("plain_static_files")]

PAGES = [
    "/admin/",
    "/admin/jobs/job/",
    "/admin/jobs/batch/",
    "/admin/jobs/worker/",
    "/admin/jobs/webhookmessage/",
    "/admin/modelstore/model/",
    "/admin/operations/",
]


def test_no_page_of_django_q_is_registered(staff: Staff) -> None:
    assert not [model for model in admin.site._registry if model._meta.app_label == "django_q"]
    assert {model.__name__ for model in apps.get_app_config("django_q").get_models()} >= {"OrmQ", "Task", "Schedule"}
    client = staff("Managers")
    for name in ("ormq", "success", "failure", "schedule", "task"):
        assert client.get(f"/admin/django_q/{name}/").status_code == 404


@pytest.mark.parametrize("path", PAGES)
def test_every_page_opens_for_viewers_and_for_nobody_without_login(staff: Staff, client: Client, path: str) -> None:
    made.queued()
    made.worker()
    assert staff("Viewers").get(path).status_code == 200
    assert client.get(path).status_code == 302


def test_staff_of_no_group_see_nothing(staff: Staff) -> None:
    client = staff()
    for path in PAGES[1:]:
        assert client.get(path).status_code == 403
    assert b"Operations" not in client.get("/admin/").content


def test_what_is_refused_or_not_there_is_told_on_a_page_of_the_admin(staff: Staff, client: Client) -> None:
    stranger = staff()
    refused = stranger.get("/admin/jobs/job/")
    assert refused.status_code == 403
    assert "may not do this" in refused.content.decode()
    missing = stranger.get("/admin/no/such/page/")
    assert missing.status_code == 404
    assert "Nothing has this address" in missing.content.decode()
    assert client.get("/admin/jobs/job/0/file").status_code == 302, "strangers are asked to log in"


def test_a_member_who_is_no_staff_does_not_get_in(staff: Staff, client: Client) -> None:
    from tests.staff import member

    user = member("Managers")
    user.is_staff = False
    user.save()
    client.force_login(user)
    assert client.get("/admin/jobs/job/").status_code == 302


@pytest.mark.parametrize("name", GROUPS)
def test_each_group_has_every_permission_that_it_is_promised(name: str) -> None:
    create_groups()
    held = Group.objects.get(name=name).permissions.values_list("content_type__app_label", "codename")
    assert {f"{app}.{codename}" for app, codename in held} == set(GROUPS[name])


def test_what_was_added_to_a_group_by_hand_stays() -> None:
    create_groups()
    extra = Permission.objects.get(codename="view_user")
    group = Group.objects.get(name="Viewers")
    group.permissions.add(extra)
    create_groups()
    assert extra in group.permissions.all()


def test_what_staff_took_from_a_group_does_not_come_back_with_the_next_start() -> None:
    create_groups()
    group = Group.objects.get(name="Operators")
    taken = Permission.objects.get(codename="operate_job")
    group.permissions.remove(taken)
    call_command("migrate", verbosity=0)
    assert taken not in group.permissions.all()
    group.delete()
    call_command("migrate", verbosity=0)
    assert taken in Group.objects.get(name="Operators").permissions.all(), "a group made anew has all of its own"


def test_a_permission_that_an_upgrade_brings_reaches_the_groups_once() -> None:
    """As on a database whose last version did not know the permission yet: `migrate` makes it."""
    create_groups()
    Permission.objects.get(codename="operate_model").delete()
    call_command("migrate", verbosity=0)
    new = Permission.objects.get(codename="operate_model")
    holders = set(Group.objects.filter(permissions=new).values_list("name", flat=True))
    assert holders == {"Operators", "Managers"}
    Group.objects.get(name="Managers").permissions.remove(new)
    call_command("migrate", verbosity=0)
    assert set(Group.objects.filter(permissions=new).values_list("name", flat=True)) == {"Operators"}


def test_a_superuser_is_made_by_one_command(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DJANGO_SUPERUSER_PASSWORD", "a-long-passphrase")
    call_command("createsuperuser", "--noinput", "--username", "root", "--email", "root@example.org", verbosity=0)
    assert client.login(username="root", password="a-long-passphrase")
    for path in PAGES:
        assert client.get(path).status_code == 200
