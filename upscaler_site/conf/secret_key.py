"""Secrets that the service makes for itself on first use and keeps in the data directory, for its owner only."""

import base64
import binascii
import hmac
import os
import secrets
from collections.abc import Sequence
from pathlib import Path

from django.core.exceptions import ImproperlyConfigured

from upscaler_site.conf import data_directory


def secret_key_for(data_dir: Path, given: str) -> str:
    """Return ``given``, or the key kept in ``data_dir``/secret_key, made there when there is none."""
    return given or kept_secret(data_dir / "secret_key", secrets.token_urlsafe(50))


def webhook_secrets_for(data_dir: Path, given: Sequence[str], secret_key: str = "") -> list[str]:
    """Return ``given``, checked, or the one kept in ``data_dir``/webhook_secret, made there when there is none.

    Hosts that share nothing but their settings must sign alike: where ``secret_key`` is one of these, a secret that
    would be made is derived from it instead, and not kept.

    The form is Standard Webhooks': ``whsec_`` and base64 of 24 to 64 bytes. The first signs, and so do the others while
    receivers move from the old one to the new one.
    """
    for secret in given:
        try:
            key = base64.b64decode(secret.removeprefix("whsec_"), validate=True)
        except binascii.Error:
            key = b""
        if not secret.startswith("whsec_") or not 24 <= len(key) <= 64:
            raise ImproperlyConfigured("WEBHOOK_SECRET must be whsec_ followed by base64 of 24 to 64 bytes")
    if given:
        return list(given)
    kept = data_dir / "webhook_secret"
    if secret_key and not kept.exists():
        return [_webhook_secret(hmac.digest(secret_key.encode(), b"upscaler webhooks", "sha256"))]
    return [kept_secret(kept, _webhook_secret(secrets.token_bytes(32)))]


def _webhook_secret(key: bytes) -> str:
    return "whsec_" + base64.b64encode(key).decode()


def kept_secret(path: Path, fresh: str) -> str:
    """Return the text of ``path``; where it does not exist, write ``fresh`` there (mode 0600) and return it.

    Two processes that start at once must end with the same secret: the file is completed under another name and then
    linked, and the loser of that race reads the winner's.

    :raises ImproperlyConfigured: where the directory of ``path``, the data directory, cannot be used.
    """
    try:
        return _read_or_make(path, fresh)
    except OSError as error:
        raise ImproperlyConfigured(data_directory.unusable(path.parent, error)) from error


def _read_or_make(path: Path, fresh: str) -> str:
    try:
        return path.read_text(encoding="utf-8").strip()
    except FileNotFoundError:
        pass
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f"{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(fresh)
        os.link(draft, path)
    except FileExistsError:
        pass
    finally:
        draft.unlink()
    return path.read_text(encoding="utf-8").strip()
