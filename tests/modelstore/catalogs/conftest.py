"""A models.toml of the tests, and a tiny network that it lists, served by a server that may lie."""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from pytest_django.fixtures import Settings

from tests.modelstore.catalogs.listing import entry, written
from tests.modelstore.liar import Behaviour, Liar

NAME = "2x-listed"
PATH = "/somewhere/2x-listed.safetensors"


@dataclass
class Shelf:
    """The file models.toml, and the server that has its models."""

    file: Path
    liar: Liar
    content: bytes

    def entry(self, **changes: Any) -> dict[str, Any]:
        """Return a right entry of the tiny network."""
        facts = {
            "name": NAME,
            "sources": [self.liar.url + PATH],
            "size": len(self.content),
            "sha256": hashlib.sha256(self.content).hexdigest(),
            "licence": "CC-BY-NC-SA-4.0",
            "use": "text",
        }
        return entry(**(facts | changes))

    def serve(self, *behaviours: Behaviour) -> None:
        self.liar.put(PATH, self.content, *behaviours)

    def write(self, *entries: dict[str, Any]) -> None:
        self.file.write_bytes(written(*entries))

    def list(self, *entries: dict[str, Any]) -> list[str]:
        """Write the file and have it read, as a running service does every few minutes. Returns what is wrong."""
        from modelstore.imports import registration

        self.write(*entries)
        registration.keep_listed()
        return registration.problems_of_catalogs()

    @property
    def row(self) -> Any:
        from modelstore.models import Model

        return Model.objects.get(name=NAME)


@pytest.fixture
def shelf(
    transactional_db: None, models_dir: Path, settings: Settings, tmp_path: Path, liar: Liar, tiny_weights: Path
) -> Shelf:
    """The operator allows private addresses: the server is on this machine."""
    settings.MODEL_CATALOG = tmp_path / "models.toml"
    settings.MODEL_ALLOW_PRIVATE = True
    made = Shelf(settings.MODEL_CATALOG, liar, tiny_weights.read_bytes())
    made.serve()
    return made


@pytest.fixture
def listed(shelf: Shelf) -> Shelf:
    """The tiny network is in models.toml."""
    assert shelf.list(shelf.entry()) == []
    return shelf
