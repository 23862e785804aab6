"""Who adds a user is told what our groups may do, and gives them at once."""

import pytest
from django.contrib.auth.models import Group, Permission, User
from django.test import Client

from monitoring.groups import GROUPS, MEANINGS, create_groups
from tests.jobs import made
from tests.staff import Staff

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("plain_static_files")]

ADD = "/admin/auth/user/add/"
PASSWORD = "a-long-passphrase-of-the-test"


@pytest.fixture
def chief() -> Client:
    """A superuser's client."""
    create_groups()
    client = Client()
    client.force_login(User.objects.create_superuser("chief"))
    return client


def test_every_group_of_ours_says_what_it_may_do(chief: Client) -> None:
    assert set(MEANINGS) == set(GROUPS)
    user = User.objects.create_user("new")
    for address in (ADD, f"/admin/auth/user/{user.pk}/change/", "/admin/auth/group/"):
        page = chief.get(address).content.decode()
        for meaning in MEANINGS.values():
            assert str(meaning) in page, address


def test_a_user_is_added_with_a_group_and_can_work(chief: Client, client: Client, data_dir: object) -> None:
    viewers = Group.objects.get(name="Viewers")
    fields = {"username": "ada", "password1": PASSWORD, "password2": PASSWORD, "usable_password": "true"}
    answer = chief.post(ADD, {**fields, "is_staff": "on", "groups": [viewers.pk]})
    assert answer.status_code == 302
    ada = User.objects.get(username="ada")
    assert ada.is_staff
    assert list(ada.groups.all()) == [viewers]
    assert client.login(username="ada", password=PASSWORD)
    assert client.get("/admin/jobs/job/").status_code == 200
    assert client.get("/admin/auth/user/").status_code == 403


def test_a_new_account_is_staff_unless_told_otherwise(chief: Client) -> None:
    assert 'name="is_staff" id="id_is_staff" checked' in chief.get(ADD).content.decode().replace(
        'aria-describedby="id_is_staff_helptext" ', ""
    )


def test_a_permission_that_a_group_was_given_by_hand_survives_the_page(chief: Client) -> None:
    group = Group.objects.get(name="Viewers")
    extra = Permission.objects.get(codename="add_logentry")
    group.permissions.add(extra)
    address = f"/admin/auth/group/{group.pk}/change/"
    form = chief.get(address).context["adminform"].form
    assert extra in form.fields["permissions"].queryset
    chosen = [permission.pk for permission in form.initial["permissions"]]
    assert chief.post(address, {"name": "Viewers", "permissions": chosen}).status_code == 302
    assert extra in group.permissions.all()
    assert group.permissions.count() == len(GROUPS["Viewers"]) + 1


def test_the_lists_ask_no_more_for_many(chief: Client, django_assert_max_num_queries: object) -> None:
    for number in range(20):
        User.objects.create_user(f"user-{number}", is_staff=True).groups.set(Group.objects.all())
    page = chief.get("/admin/auth/user/").content.decode()
    assert "superuser: may do everything" in page
    assert page.count("Viewers, Operators, Managers") >= 20
    with django_assert_max_num_queries(15):  # type: ignore[operator]
        chief.get("/admin/auth/user/")
    with django_assert_max_num_queries(15):  # type: ignore[operator]
        assert '<td class="field-members">20</td>' in chief.get("/admin/auth/group/").content.decode()


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("jobs/job/", "Hand in a picture"),
        ("jobs/batch/", "upscale-batch"),
        ("jobs/worker/", "The service starts them"),
        ("jobs/webhookmessage/", "webhook_url"),
        ("jobs/apikey/", "Make a key"),
    ],
)
def test_an_empty_list_says_what_to_do(staff: Staff, path: str, words: str) -> None:
    client = staff("Managers")
    page = client.get(f"/admin/{path}").content.decode()
    assert words in page
    assert 'class="paginator"' not in page


def test_a_list_that_only_a_search_emptied_offers_to_show_all(staff: Staff) -> None:
    made.queued()
    page = staff("Viewers").get("/admin/jobs/job/?q=nothing-like-it").content.decode()
    assert "Nothing here matches." in page
    assert "Hand in a picture" not in page
