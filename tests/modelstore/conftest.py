"""A models directory of its own, a server that lies, and models whose files are genuine or tiny."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from pytest_django.fixtures import Settings

from tests.modelstore.liar import Behaviour, Liar

#: The name of the test-only official model.
TEST_MODEL = "test-official-x2"


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    """The machine's own proxy must not come between a test and its server."""
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


@pytest.fixture
def liar() -> Iterator[Liar]:
    with Liar() as server:
        yield server


@pytest.fixture
def models_dir(settings: Settings, tmp_path: Path, liar: Liar) -> Path:
    """An empty models directory; both providers are the lying server, below /github and /huggingface."""
    directory = tmp_path / "models"
    settings.MODELS_DIR = directory
    settings.MODEL_CACHE_DIR = directory
    settings.MODEL_GITHUB_URL = f"{liar.url}/github"
    settings.MODEL_HUGGINGFACE_URL = f"{liar.url}/huggingface"
    settings.MODEL_DOWNLOAD_STALL_SECONDS = 20
    settings.MODEL_DOWNLOAD_TIMEOUT_SECONDS = 60
    settings.MODEL_DOWNLOAD_RETRIES = 0
    return directory


@dataclass
class TestOfficial:
    """An official model of the tests: a row as the catalogue makes them, whose file the lying server has."""

    __test__ = False

    name: str
    content: bytes
    liar: Liar

    @property
    def github(self) -> str:
        return f"/github/v0/{self.name}.pth"

    @property
    def huggingface(self) -> str:
        return f"/huggingface/someone/models/resolve/main/{self.name}.pth"

    def on_github(self, *behaviours: Behaviour) -> None:
        self.liar.put(self.github, self.content, *behaviours)

    def on_huggingface(self, *behaviours: Behaviour) -> None:
        self.liar.put(self.huggingface, self.content, *behaviours)

    @property
    def row(self) -> Any:
        from modelstore.models import Model

        return Model.objects.get(name=self.name)


def make_official(name: str, content: bytes, liar: Liar) -> TestOfficial:
    from modelstore.models import Model

    Model.objects.create(
        name=name,
        origin="official",
        architecture="srvggnet",
        scale=2,
        description="of the tests",
        file_name=f"{name}.pth",
        size_bytes=len(content),
        sha256=hashlib.sha256(content).hexdigest(),
        sources=[["github", f"v0/{name}.pth"], ["huggingface", f"someone/models/resolve/main/{name}.pth"]],
    )
    return TestOfficial(name, content, liar)


@pytest.fixture
def official(transactional_db: None, models_dir: Path, liar: Liar, tiny_weights: Path) -> TestOfficial:
    """A tiny official model, honestly served by both providers."""
    model = make_official(TEST_MODEL, tiny_weights.read_bytes(), liar)
    model.on_github()
    model.on_huggingface()
    return model
