"""Secrets are made once and kept for their owner alone."""

from pathlib import Path

import pytest
from django.core.exceptions import ImproperlyConfigured

from upscaler_site.conf.secret_key import webhook_secrets_for


def test_a_webhook_secret_is_made_once_and_kept_for_its_owner_alone(tmp_path: Path) -> None:
    first = webhook_secrets_for(tmp_path, [])
    assert webhook_secrets_for(tmp_path, []) == first
    assert first[0].startswith("whsec_")
    assert (tmp_path / "webhook_secret").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("secret", ["x", "whsec_", "whsec_short", "whsec_" + "A" * 200, "whsec_!!!!" + "A" * 40])
def test_a_bad_webhook_secret_stops_the_start(secret: str, tmp_path: Path) -> None:
    with pytest.raises(ImproperlyConfigured, match="WEBHOOK_SECRET"):
        webhook_secrets_for(tmp_path, [secret])


def test_hosts_that_share_only_their_settings_sign_alike(tmp_path: Path) -> None:
    one, other = (webhook_secrets_for(tmp_path / name, [], "the same key") for name in ("one", "other"))
    assert one == other == webhook_secrets_for(tmp_path / "third", one)
    assert one != webhook_secrets_for(tmp_path / "one", [], "another key")
    assert not (tmp_path / "one").exists()


def test_a_secret_that_is_kept_already_goes_on_signing(tmp_path: Path) -> None:
    kept = webhook_secrets_for(tmp_path, [])
    assert webhook_secrets_for(tmp_path, [], "a key that came later") == kept
