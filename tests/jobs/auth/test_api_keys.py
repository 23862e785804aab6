"""Keys: made, checked, used, expired, revoked."""

import io
import re
from datetime import timedelta

import pytest
from django.core.exceptions import ValidationError
from django.core.management import CommandError, call_command
from django.utils import timezone

from jobs.auth import api_keys
from jobs.models import ApiKey
from jobs.webhooks.signing import secrets_for

pytestmark = pytest.mark.django_db


def test_a_key_is_accepted_and_only_its_hash_is_kept() -> None:
    key, text = api_keys.issue("n8n", ["upscale"])
    assert re.fullmatch(r"ups_[a-z0-9]{8}_[A-Za-z0-9]{43}", text)
    found = api_keys.verify(text)
    assert found == key
    row = ApiKey.objects.values().get()
    assert not any(text[13:] in str(value) for value in row.values()), "the secret must not be stored"


@pytest.mark.parametrize("scopes", [[], ["admin"], ["upscale", "everything"]])
def test_a_key_needs_known_scopes(scopes: list[str]) -> None:
    with pytest.raises(ValueError, match=r"scope|not a valid"):
        api_keys.issue("x", scopes)


def test_a_changed_key_is_refused_wherever_it_was_changed() -> None:
    _, text = api_keys.issue("x", ["upscale"])
    for place in range(4, len(text)):
        other = "a" if text[place] != "a" else "b"
        assert api_keys.verify(text[:place] + other + text[place + 1 :]) is None
    assert api_keys.verify(text[:-1]) is None
    assert api_keys.verify(text + "a") is None


@pytest.mark.parametrize(
    "text", ["", "ups_", "ups__", "ups_\x00_x", "ups_abcdefgh_" + "ü" * 43, "ups_abcdefgh_" + "a" * 100_000, "Bearer x"]
)
def test_garbage_is_no_key(text: str) -> None:
    assert api_keys.verify(text) is None


def test_a_revoked_key_is_refused_at_once_and_revoking_twice_changes_nothing() -> None:
    key, text = api_keys.issue("x", ["upscale"])
    assert api_keys.revoke([key]) == 1
    assert api_keys.verify(text) is None
    first = ApiKey.objects.get().revoked_at
    assert api_keys.revoke([key]) == 0
    assert ApiKey.objects.get().revoked_at == first


def test_an_expired_key_is_refused() -> None:
    key, text = api_keys.issue("x", ["upscale"], expires_at=timezone.now() + timedelta(days=1))
    assert api_keys.verify(text) == key
    ApiKey.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
    assert api_keys.verify(text) is None


def test_last_use_is_written_once_a_minute(django_assert_num_queries: object) -> None:
    _, text = api_keys.issue("x", ["upscale"])
    key = api_keys.verify(text)
    assert key is not None
    assert key.last_used_at is None
    api_keys.touch(key)
    first = ApiKey.objects.get().last_used_at
    assert first is not None
    with django_assert_num_queries(0):  # type: ignore[operator]
        api_keys.touch(ApiKey(pk=key.pk, last_used_at=first))
    ApiKey.objects.update(last_used_at=first - timedelta(minutes=2))
    api_keys.touch(ApiKey.objects.get())
    last = ApiKey.objects.get().last_used_at
    assert last is not None
    assert last >= first


def test_the_command_shows_a_working_key_and_its_webhook_secret() -> None:
    out = io.StringIO()
    call_command("create_api_key", "laptop", "--scope", "upscale", "--scope", "manage", "--days", "30", stdout=out)
    found = re.search(r"ups_\S+", out.getvalue())
    assert found is not None
    key = api_keys.verify(found[0])
    assert key is not None
    assert (key.name, key.scopes) == ("laptop", ["upscale", "manage"])
    assert key.expires_at is not None
    assert secrets_for(key.pk)[0] in out.getvalue()
    shown = io.StringIO()
    call_command("webhook_secret", "--key", key.prefix, stdout=shown)
    assert shown.getvalue().strip() == secrets_for(key.pk)[0]


def test_the_quiet_command_prints_the_key_alone() -> None:
    out = io.StringIO()
    call_command("create_api_key", "script", "--quiet", stdout=out)
    key = api_keys.verify(out.getvalue().strip())
    assert key is not None
    assert key.scopes == ["upscale"]


def test_the_command_gives_share_and_limits_in_units_of_people() -> None:
    out = io.StringIO()
    limits = (
        "--share 2.5 --max-queued-jobs 500 --max-stored-gb 1.5 --max-megapixels-per-day 0 --max-running-jobs default"
    )
    call_command("create_api_key", "shop", "--quiet", *limits.split(), stdout=out)
    key = ApiKey.objects.get()
    assert (key.share, key.max_queued_jobs, key.max_stored_bytes) == (2.5, 500, 1_500_000_000)
    assert (key.max_megapixels_per_day, key.max_running_jobs) == (0, None)


@pytest.mark.parametrize(
    "arguments",
    [["--share", "0"], ["--share", "101"], ["--share", "nan"], ["--max-queued-jobs", "-1"],
     ["--max-queued-jobs", "1.5"], ["--max-stored-gb", "much"], ["--max-queued-jobs", "99999999999"],
     ["--max-megapixels-per-day", "nan"]],
)  # fmt: skip
def test_the_command_refuses_a_share_and_limits_out_of_bounds(arguments: list[str]) -> None:
    with pytest.raises(CommandError):
        call_command("create_api_key", "x", *arguments)
    assert not ApiKey.objects.exists()


def test_a_change_keeps_what_is_not_named() -> None:
    key, text = api_keys.issue("x", ["upscale"], share=2.0, max_queued_jobs=5)
    api_keys.change(key, max_queued_jobs=None, max_running_jobs=3)
    found = api_keys.verify(text)
    assert found is not None
    assert (found.share, found.max_queued_jobs, found.max_running_jobs, found.name) == (2.0, None, 3, "x")
    with pytest.raises(ValidationError):
        api_keys.change(found, share=1000.0)
    assert ApiKey.objects.get().share == 2.0


@pytest.mark.parametrize("arguments", [[" "], ["x" * 101], ["x", "--days", "0"], ["x", "--scope", "root"]])
def test_the_command_refuses_nonsense_and_makes_nothing(arguments: list[str]) -> None:
    with pytest.raises(CommandError):
        call_command("create_api_key", *arguments)
    assert not ApiKey.objects.exists()


def test_the_secret_of_an_unknown_key_is_not_made_up() -> None:
    with pytest.raises(CommandError, match="no API key has the prefix"):
        call_command("webhook_secret", "--key", "abcdefgh")
