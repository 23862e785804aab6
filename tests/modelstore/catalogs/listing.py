"""Catalogues for tests: right entries, changed in one place."""

import hashlib
from typing import Any

CONTENT = b"weights of the tests"


def entry(**changes: Any) -> dict[str, Any]:
    """Return the keys of a right entry; a change to None leaves a key out."""
    values: dict[str, Any] = {
        "name": "4x-test",
        "sources": ["https://huggingface.co/someone/models/resolve/main/4x-test.pth"],
        "size": len(CONTENT),
        "sha256": hashlib.sha256(CONTENT).hexdigest(),
        "licence": "CC-BY-4.0",
        "author": "Somebody",
        "use": "illustration",
    }
    return {key: value for key, value in (values | changes).items() if value is not None}


def written(*entries: dict[str, Any]) -> bytes:
    """Return a catalogue of these entries as TOML."""
    lines = []
    for values in entries:
        lines.append("[[model]]")
        lines += [f"{_bare(key)} = {_value(value)}" for key, value in values.items()]
    return "\n".join(lines).encode()


def _bare(key: str) -> str:
    return key if key.isidentifier() else f'"{key}"'


def _value(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list):
        return f"[{', '.join(map(_value, value))}]"
    return f'"{value}"' if isinstance(value, str) else str(value)
