"""The catalogue pins the official files, and the rows follow it."""

import hashlib
import re
from pathlib import Path

import pytest
from pytest_django.fixtures import Settings

from modelstore import catalog
from modelstore.errors import NameRefused
from modelstore.imports import registration
from modelstore.models import Model
from modelstore.names import checked
from modelstore.storage import weights as store
from modelstore.storage.paths import bundled_file


def test_all_seven_official_models_are_pinned() -> None:
    assert set(catalog.OFFICIAL) == {
        "RealESRGAN_x4plus",
        "RealESRNet_x4plus",
        "RealESRGAN_x2plus",
        "RealESRGAN_x4plus_anime_6B",
        "realesr-animevideov3",
        "realesr-general-x4v3",
        "realesr-general-wdn-x4v3",
    }
    for entry in catalog.OFFICIAL.values():
        assert re.fullmatch(r"[0-9a-f]{64}", entry.sha256)
        assert entry.size_bytes > 1_000_000
        assert checked(entry.name) == entry.name
        assert entry.paths[catalog.Provider.GITHUB][0].endswith(f"/{entry.name}.pth")
    assert len({entry.sha256 for entry in catalog.OFFICIAL.values()}) == 7


def test_the_genuine_file_is_the_one_that_is_pinned(real_weights: Path) -> None:
    entry = catalog.OFFICIAL["realesr-animevideov3"]
    assert real_weights.stat().st_size == entry.size_bytes
    assert hashlib.sha256(real_weights.read_bytes()).hexdigest() == entry.sha256
    assert catalog.by_digest(entry.sha256) is entry


@pytest.mark.parametrize("name", catalog.OFFICIAL)
def test_the_network_of_the_catalogue_is_the_one_that_its_tensors_show(name: str) -> None:
    import torch

    from modelstore.networks.deduce import build, deduce

    network = catalog.OFFICIAL[name].network
    with torch.device("meta"):
        assert deduce(build(network).state_dict()) == network


def test_the_genuine_file_holds_the_network_of_the_catalogue(real_weights: Path) -> None:
    from modelstore.networks.checkpoint import inspect

    assert inspect(real_weights) == catalog.OFFICIAL["realesr-animevideov3"].network


def test_the_network_of_the_bundled_file_is_the_one_that_its_tensors_show() -> None:
    from modelstore.networks.checkpoint import inspect

    spec = registration.compact_network(bundled_file())
    assert inspect(bundled_file()) == spec
    assert spec.scale == catalog.BUNDLED_SCALE


@pytest.mark.django_db
def test_the_bundled_model_is_usable_from_the_first_start_where_it_lies(models_dir: Path) -> None:
    weights = store.weights_for(catalog.BUNDLED_NAME)
    assert weights.path == bundled_file()
    assert weights.scale == 4
    assert not models_dir.exists()
    assert store.require_usable(catalog.BUNDLED_NAME).licence == "BSD-3-Clause"
    assert store.count_usable() >= 1


@pytest.mark.django_db
def test_a_host_with_a_cache_does_not_copy_the_bundled_model(
    models_dir: Path, settings: Settings, tmp_path: Path
) -> None:
    settings.MODEL_CACHE_DIR = tmp_path / "cache"
    assert store.weights_for(catalog.BUNDLED_NAME).path == bundled_file()


@pytest.mark.parametrize(
    "name",
    ["", ".", "..", "../etc/passwd", "a/b", "a\\b", "-x", ".hidden", "a b", "a\n", "ä", "a" * 101, "download", "a\x00"],
)
def test_a_name_that_could_become_a_path_is_refused(name: str) -> None:
    with pytest.raises(NameRefused):
        checked(name)


@pytest.mark.django_db
def test_every_official_model_has_a_row_after_migrate() -> None:
    assert set(catalog.OFFICIAL) <= set(Model.objects.values_list("name", flat=True))


@pytest.mark.django_db
def test_registering_again_changes_nothing() -> None:
    before = list(Model.objects.order_by("pk").values())
    registration.register_known_models()
    assert list(Model.objects.order_by("pk").values()) == before


@pytest.mark.django_db
def test_a_corrected_fact_of_the_catalogue_reaches_the_row() -> None:
    Model.objects.filter(name="RealESRGAN_x4plus").update(description="old", state="failed", error="kept")
    registration.register_known_models()
    model = Model.objects.get(name="RealESRGAN_x4plus")
    assert model.description == "4x upscaling (general purpose)"
    assert (model.state, model.error) == ("failed", "kept")


@pytest.mark.django_db
def test_an_official_file_in_the_directory_is_taken(models_dir: Path, real_weights: Path) -> None:
    models_dir.mkdir()
    (models_dir / "realesr-animevideov3.pth").write_bytes(real_weights.read_bytes())
    (models_dir / "realesr-general-x4v3.pth").write_bytes(b"\0" * 4885111)  # right name and size, wrong bytes
    assert registration.adopt_present_files() == ["realesr-animevideov3"]
    assert Model.objects.get(name="realesr-animevideov3").state == "ready"
    assert Model.objects.get(name="realesr-general-x4v3").state == "missing"
