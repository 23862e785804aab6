"""Staff of every kind, logged in to the admin."""

from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest
from django.test import Client
from pytest_django.fixtures import Settings

if TYPE_CHECKING:
    from django.contrib.auth.models import User

Staff = Callable[..., Client]


@pytest.fixture
def plain_static_files(settings: Settings) -> None:
    """The names with digests exist only after collectstatic."""
    plain = {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"}
    settings.STORAGES = {**settings.STORAGES, "staticfiles": plain}


@pytest.fixture
def staff(db: None, data_dir: object, plain_static_files: None) -> Staff:
    """A client that is logged in as a member of a group: ``staff("Viewers")``; ``staff()`` belongs to none."""

    def logged_in(group: str = "") -> Client:
        client = Client()
        client.force_login(member(group))
        return client

    return logged_in


def member(group: str = "") -> "User":
    """A staff member of a group."""
    from django.contrib.auth.models import Group, User

    from monitoring.groups import create_groups

    create_groups()  # a test that empties the tables leaves no group behind
    user = User.objects.create_user(f"staff-{group or 'none'}-{User.objects.count()}", is_staff=True)
    if group:
        user.groups.add(Group.objects.get(name=group))
    return user


def staff_with(client: Client, *permissions: str) -> Client:
    """``client``, logged in as a staff member of no group with these permissions."""
    from django.contrib.auth.models import Permission, User

    user = User.objects.create_user("ann", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__in=permissions))
    client.force_login(user)
    return client
