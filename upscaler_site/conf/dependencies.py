"""The wheel's dependencies: what requirements.txt pins. Hatchling calls this, as pyproject.toml tells it; nothing else.

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
        lines = (Path(self.root) / "requirements.txt").read_text(encoding="utf-8").splitlines()
        metadata["dependencies"] = [wanted for line in lines if (wanted := line.partition("#")[0].strip())]
