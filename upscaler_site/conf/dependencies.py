"""The wheel's dependencies: what requirements.txt and the file that it names pin. Hatchling calls this, nothing else.

An application is installed into a place of its own (pipx), where exact versions are right: those that were tested.
"""

from pathlib import Path
from typing import Any

from hatchling.metadata.plugin.interface import MetadataHookInterface


class Dependencies(MetadataHookInterface):
    """Reads requirements.txt into the metadata."""

    PLUGIN_NAME = "custom"

    def update(self, metadata: dict[str, Any]) -> None:
        """Set ``dependencies``, without comments."""
        metadata["dependencies"] = _read(Path(self.root) / "requirements.txt")


def _read(path: Path) -> list[str]:
    """Return what a requirements file asks for, those that it names with ``-r`` included."""
    found = []
    for line in path.read_text(encoding="utf-8").splitlines():
        wanted = line.partition("#")[0].strip()
        if wanted.startswith("-r "):
            found += _read(path.parent / wanted.removeprefix("-r ").strip())
        elif wanted:
            found.append(wanted)
    return found
