"""Guessing the password of a staff member: slowed down by account and by address, and told in the log."""

import re

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from pytest_django.fixtures import Settings

from jobs.auth import login_throttling
from tests.together import together

pytestmark = pytest.mark.usefixtures("plain_static_files")

LOGIN = "/admin/login/"
#: So long that nothing refills while a test runs, on however slow a machine.
PERIOD = 10 * 86_400
RIGHT = "a-long-passphrase"


@pytest.fixture(autouse=True)
def quick_hashes_and_slow_buckets(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """Passwords that are hashed in no time; buckets that refill by the test's hand alone."""
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
    monkeypatch.setattr(login_throttling, "PERIOD_SECONDS", PERIOD)


@pytest.fixture
def ann(transactional_db: None) -> User:
    """A staff member."""
    return User.objects.create_user("ann", password=RIGHT, is_staff=True)


def log_in(password: str, account: str = "ann", address: str = "198.51.100.9") -> tuple[int, str]:
    """Status and page of one attempt, each by a client without cookies."""
    answer = Client().post(LOGIN, {"username": account, "password": password}, REMOTE_ADDR=address)
    return answer.status_code, answer.content.decode()


def time_passes(seconds: float) -> None:
    with connection.cursor() as cursor:
        cursor.execute("UPDATE jobs_ratebucket SET full_at = full_at - make_interval(secs => %s)", [seconds])


def test_after_some_wrong_passwords_the_right_one_must_wait(ann: User, caplog: pytest.LogCaptureFixture) -> None:
    for number in range(30):
        status, page = log_in(f"wrong {number}")
        assert status == 200
        assert ("Too many attempts" in page) == (number >= login_throttling.PER_ACCOUNT_AND_ADDRESS), number
    one = PERIOD / login_throttling.PER_ACCOUNT_AND_ADDRESS
    status, page = log_in(RIGHT)
    wait = re.search(r"Try again in (\d+) seconds", page)
    assert status == 200
    assert wait is not None
    assert one / 2 < int(wait[1]) <= one
    lines = [record.getMessage() for record in caplog.records if record.name == login_throttling.__name__]
    assert len([line for line in lines if line.startswith("log-in failed account=ann address=198.51.100.9")]) == 5
    assert len([line for line in lines if line.startswith("log-in refused, too many attempts account=ann")]) == 26
    time_passes(one)
    assert log_in(RIGHT)[0] == 302


def test_another_address_and_another_account_are_not_kept_out(ann: User) -> None:
    User.objects.create_user("bob", password=RIGHT, is_staff=True)
    for _ in range(8):
        log_in("wrong")
    assert "Too many attempts" in log_in(RIGHT)[1]
    assert log_in(RIGHT, address="203.0.113.5")[0] == 302
    assert log_in(RIGHT, account="bob")[0] == 302


def test_the_account_is_the_same_in_any_spelling_of_its_letters(ann: User) -> None:
    for name in ("ann", "Ann", "ANN", "aNN", "anN"):
        log_in("wrong", account=name)
    assert "Too many attempts" in log_in("wrong", account="AnN")[1]


def test_an_address_that_tries_many_accounts_is_slowed(ann: User) -> None:
    pages = [log_in("wrong", account=f"user{number}")[1] for number in range(login_throttling.PER_ADDRESS + 1)]
    assert ["Too many attempts" in page for page in pages] == [False] * login_throttling.PER_ADDRESS + [True]


def test_an_account_that_is_tried_from_many_addresses_is_slowed(ann: User) -> None:
    pages = [log_in("wrong", address=f"10.0.0.{number}")[1] for number in range(login_throttling.PER_ACCOUNT + 1)]
    assert ["Too many attempts" in page for page in pages] == [False] * login_throttling.PER_ACCOUNT + [True]


def test_many_attempts_at_once_get_no_further_than_one_after_the_other(ann: User) -> None:
    pages = together(12, lambda number: log_in(f"wrong {number}")[1])
    assert sum("Too many attempts" in page for page in pages) == 12 - login_throttling.PER_ACCOUNT_AND_ADDRESS


def test_logging_in_often_is_no_attack(ann: User) -> None:
    assert [log_in(RIGHT)[0] for _ in range(8)] == [302] * 8


def test_after_the_log_in_comes_the_admin(ann: User) -> None:
    answer = Client().post(LOGIN, {"username": "ann", "password": RIGHT})
    assert answer.headers["Location"] == "/admin/"


def test_what_is_typed_cannot_forge_log_lines(ann: User, caplog: pytest.LogCaptureFixture) -> None:
    log_in("wrong", account="ann\n2026 INFO all is well")
    lines = [record.getMessage() for record in caplog.records if record.name == login_throttling.__name__]
    assert lines
    assert "\n" not in lines[0]
