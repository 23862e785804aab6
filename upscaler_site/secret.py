"""Secrets that the service makes for itself on first use and keeps in the data directory, readable by its owner only."""

import os
import secrets
from pathlib import Path


def secret_key_for(data_dir: Path, given: str) -> str:
    """Return ``given``, or the key kept in ``data_dir``/secret_key, made there when there is none."""
    return given or kept_secret(data_dir / "secret_key", secrets.token_urlsafe(50))


def kept_secret(path: Path, fresh: str) -> str:
    """Return the text of ``path``; where it does not exist, write ``fresh`` there (mode 0600) and return it.

    Two processes that start at once must end with the same secret: the file is completed under another name and then
    linked, and the loser of that race reads the winner's.
    """
    try:
        return path.read_text(encoding="utf-8").strip()
    except FileNotFoundError:
        pass
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f"{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(fresh)
    try:
        os.link(draft, path)
    except FileExistsError:
        pass
    finally:
        draft.unlink()
    return path.read_text(encoding="utf-8").strip()
