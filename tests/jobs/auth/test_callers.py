"""Whose a job is: a key's, a staff member's, or an address's that nobody can read."""

from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client
from pytest_django.fixtures import Settings

from jobs.auth import callers
from jobs.models import ApiKey, Job
from tests.jobs.conftest import picture
from tests.staff import member

MakeKey = Callable[..., tuple[ApiKey, dict[str, str]]]


def caller(client: Client, **rest: Any) -> str:
    answer = client.post("/api/v1/jobs", {"image": picture(), "model": "tiny-x2"}, **rest)
    assert answer.status_code == 202, answer.content
    return Job.objects.get(pk=answer.json()["job_id"]).caller


def test_a_key_has_its_own_name_wherever_it_calls_from(client: Client, model: object, make_key: MakeKey) -> None:
    key, headers = make_key()
    assert caller(client, headers=headers) == callers.of_key(key) == f"key:{key.pk}"
    assert caller(client, headers=headers, REMOTE_ADDR="198.51.100.9") == f"key:{key.pk}"


def test_without_keys_the_address_is_the_caller_and_cannot_be_read(client: Client, model: object) -> None:
    one, same, other = (caller(client, REMOTE_ADDR=address) for address in ("192.0.2.1", "192.0.2.1", "192.0.2.2"))
    assert one == same != other
    assert one.startswith("address:")
    assert "192" not in one


def test_a_network_of_ipv6_is_one_caller(client: Client, model: object) -> None:
    one, same, other = (
        caller(client, REMOTE_ADDR=address) for address in ("2001:db8::1", "2001:db8::ffff:2", "2001:db8:0:1::1")
    )
    assert one == same != other


def test_another_secret_makes_other_names(settings: Settings) -> None:
    before = callers.of_address("192.0.2.1")
    settings.SECRET_KEY = "another"
    assert callers.of_address("192.0.2.1") != before


def test_a_staff_session_is_a_caller_where_keys_are_required(client: Client, model: object, settings: Settings) -> None:
    settings.REQUIRE_API_KEY = True
    user = member("Viewers")
    client.force_login(user)
    assert caller(client) == f"user:{user.pk}"


@pytest.mark.django_db
def test_a_deleted_key_leaves_its_name_on_its_jobs(client: Client, model: object, make_key: MakeKey) -> None:
    key, headers = make_key()
    name = caller(client, headers=headers)
    key.delete()
    job = Job.objects.get()
    assert (job.caller, job.api_key) == (name, None)
