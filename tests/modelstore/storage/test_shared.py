"""Hosts that share a bucket and no models directory: each fetches a file once, and believes its digest only."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from pytest_django.fixtures import Settings

from modelstore.downloads import runner
from modelstore.errors import ModelNotReady, StorageUnavailable
from modelstore.imports import importing
from modelstore.models import Model
from modelstore.states import Origin, State
from modelstore.storage import deletion, shared
from modelstore.storage.paths import stored_file
from modelstore.storage.weights import count_usable, is_available, verify, weights_for
from modelstore.stores import chosen
from tests.modelstore.stores.moto import server, weather
from tests.modelstore.stores.weather import Weather

__all__ = ["server", "weather"]

pytestmark = pytest.mark.django_db(transaction=True)
Move = Callable[[str], Path]


@pytest.fixture(autouse=True)
def move(weather: Weather, settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Move:
    """Go to the host of a name, with directories of its own; returns its models directory."""
    settings.MIN_FREE_DISK_MB = 0

    def go(host: str) -> Path:
        settings.MEDIA_ROOT = tmp_path / host / "files"
        settings.MODELS_DIR = settings.MODEL_CACHE_DIR = tmp_path / host / "models"
        settings.MODELS_DIR.mkdir(parents=True, exist_ok=True)
        shared._seen.clear()
        monkeypatch.setattr(shared, "_away_until", 0.0)
        return Path(settings.MODELS_DIR)

    go("one")
    return go


@pytest.fixture
def brought(tiny_weights: Path) -> Model:
    """A model that was brought to the host that the test is on, and examined there."""
    importing.bring([tiny_weights.read_bytes()], "tiny")
    runner.run_waiting()
    model = Model.objects.get(name="tiny")
    assert model.state == State.READY, model.error
    return model


def in_bucket() -> list[str]:
    store = chosen.weights()
    assert store is not None
    return [name for name, _ in store.list("models/", lambda _: True)]


def gets(weather: Weather, name: str) -> int:
    return sum(line.startswith(b"GET") and name.encode() in line for line in weather.seen)


def test_another_host_fetches_the_file_once_and_only_where_its_bytes_are_right(
    brought: Model, move: Move, weather: Weather
) -> None:
    assert in_bucket() == [f"models/{brought.sha256}.safetensors"], "the upload is gone"
    directory = move("two")
    assert is_available(brought)
    local = weights_for("tiny")
    assert local.path.parent == directory
    assert weights_for("tiny").path == local.path
    assert gets(weather, brought.sha256) == 1


def test_an_upload_that_one_host_received_is_examined_by_another(tiny_weights: Path, move: Move) -> None:
    importing.bring([tiny_weights.read_bytes()], "tiny")
    move("two")
    runner.run_waiting()
    model = Model.objects.get(name="tiny")
    assert model.state == State.READY, model.error
    assert in_bucket() == [f"models/{model.sha256}.safetensors"]
    move("three")
    assert weights_for("tiny").path.is_file()


def test_a_refused_upload_leaves_nothing_in_the_bucket(move: Move) -> None:
    importing.bring([b"no weights at all"], "tiny")
    assert len(in_bucket()) == 1
    move("two")
    runner.run_waiting()
    assert Model.objects.get(name="tiny").state == State.FAILED
    assert in_bucket() == []


def test_damage_in_the_bucket_is_found_and_deleted_and_the_model_asked_for_again(brought: Model, move: Move) -> None:
    store = chosen.weights()
    assert store is not None
    store.write(f"models/{brought.sha256}.safetensors", b"x" * brought.size_bytes)
    move("two")
    with pytest.raises(ModelNotReady):
        weights_for("tiny")
    assert in_bucket() == []
    assert Model.objects.get(name="tiny").state == State.FAILED
    shared.share_all()
    assert in_bucket() == [], "this host has no file either"
    move("one")
    shared.share_all()  # as each host does every few minutes
    assert Model.objects.get(name="tiny").state == State.READY
    move("two")
    assert weights_for("tiny").path.is_file()


def test_damage_on_a_host_is_mended_from_the_bucket(brought: Model) -> None:
    path = stored_file(brought)
    path.write_bytes(b"x" * brought.size_bytes)
    assert verify(brought)
    assert weights_for("tiny").path == path


def test_a_bucket_that_is_away_is_no_damage(brought: Model, move: Move, weather: Weather) -> None:
    move("two")
    weather.rule = lambda _: "refuse"
    assert is_available(brought)
    asked = len(weather.seen)
    assert is_available(brought)
    assert count_usable() == Model.objects.filter(state=State.READY).count()
    assert len(weather.seen) == asked, "nobody waits for it a second time"
    with pytest.raises(StorageUnavailable):
        weights_for("tiny")
    assert Model.objects.get(name="tiny").state == State.READY
    weather.rule = lambda _: ""
    assert weights_for("tiny").path.is_file()


def test_a_deleted_model_leaves_the_bucket(brought: Model) -> None:
    deletion.delete("tiny")
    assert in_bucket() == []


def test_files_of_before_the_bucket_are_stored_there_by_the_host_that_has_them(
    move: Move, tiny_weights: Path, settings: Settings
) -> None:
    address = settings.STORAGE_ADDRESS
    settings.STORAGE_ADDRESS = None
    importing.bring([tiny_weights.read_bytes()], "tiny")
    runner.run_waiting()
    settings.STORAGE_ADDRESS = address
    assert in_bucket() == []
    shared.share_all()
    shutil.rmtree(move("two"))
    assert weights_for("tiny").path.is_file()
    assert Model.objects.get(name="tiny").origin == Origin.IMPORTED
