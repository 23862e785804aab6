"""The catalogue pins the official files, and the rows follow it."""

import hashlib
import re
from pathlib import Path

import pytest

from modelstore import catalog, registration
from modelstore.errors import NameRefused
from modelstore.models import Model
from modelstore.names import checked


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
