"""From a name to verified weights on this host."""

import os
from pathlib import Path

import pytest
from pytest_django.fixtures import Settings

from modelstore.downloads import requests, runner
from modelstore.errors import DenoiseUnsupported, ModelNotReady, ModelUnknown
from modelstore.models import Model
from modelstore.states import State
from modelstore.storage import weights as store
from tests.modelstore.conftest import TestOfficial, make_official
from tests.modelstore.liar import Liar
from tests.rings import rings


@pytest.fixture
def ready(official: TestOfficial) -> TestOfficial:
    requests.order([official.name])
    runner.run_waiting()
    assert official.row.state == State.READY
    return official


@pytest.fixture
def cache(settings: Settings, tmp_path: Path) -> Path:
    """This host keeps copies of its own."""
    directory = tmp_path / "cache"
    settings.MODEL_CACHE_DIR = directory
    return directory


def test_an_unknown_model_is_unknown(official: TestOfficial) -> None:
    for name in ("nobody", "../../etc/passwd", "", "x" * 10_000):
        with pytest.raises(ModelUnknown, match="Model not found"):
            store.require_usable(name)


def test_a_missing_model_says_how_to_get_it(official: TestOfficial) -> None:
    with pytest.raises(ModelNotReady) as refusal:
        store.require_usable("RealESRGAN_x4plus")
    assert not refusal.value.coming
    text = str(refusal.value)
    assert text.startswith("Model not available: RealESRGAN_x4plus. Download it first using /api/v1/models/download")


def test_without_any_usable_model_the_offline_way_is_said_too(official: TestOfficial) -> None:
    Model.objects.filter(state=State.READY).update(state=State.MISSING)
    with pytest.raises(ModelNotReady, match=r"manage\.py import_model FILE.*MODEL_GITHUB_URL"):
        store.require_usable("RealESRGAN_x4plus")


def test_a_model_whose_download_failed_says_why(official: TestOfficial) -> None:
    """Being told to download it is no help to who has just tried."""
    Model.objects.filter(name=official.name).update(state=State.FAILED, error="github: HTTP 404")
    with pytest.raises(ModelNotReady, match="models/download; the last download failed: github: HTTP 404"):
        store.require_usable(official.name)


def test_a_model_on_its_way_is_coming(official: TestOfficial) -> None:
    requests.order([official.name])
    with pytest.raises(ModelNotReady, match="being downloaded") as refusal:
        store.require_usable(official.name)
    assert refusal.value.coming


def test_a_ready_model_is_usable_where_it_lies(ready: TestOfficial, models_dir: Path) -> None:
    assert store.require_usable(ready.name).scale == 2
    weights = store.weights_for(ready.name)
    path, row = models_dir / f"{ready.name}.pth", ready.row
    assert weights == store.LocalWeights(ready.name, path, None, 1.0, 2, row.sha256, spec=row.spec)


def test_a_host_with_a_cache_gets_its_own_verified_copy(ready: TestOfficial, models_dir: Path, cache: Path) -> None:
    path = store.weights_for(ready.name).path
    assert path.parent == cache
    assert path.read_bytes() == ready.content
    (models_dir / f"{ready.name}.pth").unlink()  # this host needs the shared storage no more
    Model.objects.filter(name=ready.name)
    assert path.read_bytes() == ready.content


def test_a_corrupt_local_copy_is_replaced_from_the_shared_storage(ready: TestOfficial, cache: Path) -> None:
    path = store.weights_for(ready.name).path
    path.write_bytes(b"x" * len(ready.content))
    assert store.weights_for(ready.name).path.read_bytes() == ready.content
    path.write_bytes(b"short")
    assert store.weights_for(ready.name).path.read_bytes() == ready.content
    path.unlink()
    assert store.weights_for(ready.name).path.read_bytes() == ready.content
    assert ready.row.state == State.READY


def test_a_file_that_did_not_change_is_not_read_again(ready: TestOfficial, monkeypatch: pytest.MonkeyPatch) -> None:
    """A look at the counter of the real digest function: a job must not cost another 67 MB of reading."""
    from modelstore.storage import checksums

    reads: list[Path] = []
    true_digest = checksums.digest_of

    def counted(path: Path) -> str:
        reads.append(path)
        return true_digest(path)

    monkeypatch.setattr(checksums, "digest_of", counted)
    store.weights_for(ready.name)
    assert not reads  # who loads it hashes what he loads
    assert store.verify(ready.row)
    first = len(reads)
    store.weights_for(ready.name)
    assert len(reads) == first
    path = store.weights_for(ready.name).path
    path.touch()
    store.weights_for(ready.name)
    assert len(reads) == first + 1


@pytest.mark.parametrize("with_cache", [False, True])
def test_a_corrupt_shared_file_is_fetched_again(
    ready: TestOfficial, models_dir: Path, with_cache: bool, request: pytest.FixtureRequest
) -> None:
    if with_cache:
        request.getfixturevalue("cache")
    assert store.verify(ready.row)
    shared = models_dir / f"{ready.name}.pth"
    shared.write_bytes(b"x" * len(ready.content))
    with rings() as heard:
        with pytest.raises(ModelNotReady, match="fetched again") as refusal:
            store.weights_for(ready.name)
        assert heard() == ["io"]
    assert refusal.value.coming
    assert not shared.exists()
    runner.run_waiting()
    assert store.weights_for(ready.name).path.read_bytes() == ready.content


def test_a_file_that_was_deleted_by_hand_is_noticed(ready: TestOfficial, models_dir: Path) -> None:
    (models_dir / f"{ready.name}.pth").unlink()
    assert not store.is_available(ready.row)
    with pytest.raises(ModelNotReady, match="fetched again"):
        store.require_usable(ready.name)
    runner.run_waiting()
    assert store.require_usable(ready.name)


def test_ordering_brings_back_a_file_that_was_deleted_by_hand(ready: TestOfficial, models_dir: Path) -> None:
    (models_dir / f"{ready.name}.pth").unlink()
    requests.order([ready.name])
    runner.run_waiting()
    assert store.is_available(ready.row)


def test_verify_finds_a_rotten_file(ready: TestOfficial, models_dir: Path) -> None:
    assert store.verify(ready.row)
    path = models_dir / f"{ready.name}.pth"
    status = path.stat()
    content = bytearray(ready.content)
    content[-1] ^= 1
    with path.open("r+b") as file:
        file.write(content)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))  # as a disk does it: without a trace
    assert store.weights_for(ready.name).path == path
    assert not store.verify(ready.row)
    assert ready.row.state == State.REQUESTED


def test_who_found_other_bytes_at_loading_has_them_replaced(ready: TestOfficial, cache: Path, models_dir: Path) -> None:
    """First this host's copy is at fault, then the shared file too."""
    local = store.weights_for(ready.name)
    store.reread(local)
    assert local.path.exists()
    for path in (local.path, models_dir / f"{ready.name}.pth"):
        status = path.stat()
        path.write_bytes(b"x" * len(ready.content))
        os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
        store.reread(local)
        assert not local.path.exists()
        if path == local.path:
            assert store.weights_for(ready.name).path.read_bytes() == ready.content
            local.path.unlink()
    with pytest.raises(ModelNotReady, match="fetched again"):
        store.weights_for(ready.name)


def test_a_damaged_imported_model_fails_with_advice(ready: TestOfficial, models_dir: Path) -> None:
    Model.objects.filter(name=ready.name).update(origin="imported")
    assert store.verify(ready.row)
    (models_dir / f"{ready.name}.pth").write_bytes(b"x" * len(ready.content))
    with pytest.raises(ModelNotReady) as refusal:
        store.weights_for(ready.name)
    assert not refusal.value.coming
    assert ready.row.state == State.FAILED
    with pytest.raises(ModelNotReady, match="import it again"):
        store.require_usable(ready.name)


def test_a_denoise_strength_mixes_two_models(ready: TestOfficial, liar: Liar, models_dir: Path) -> None:
    Model.objects.filter(name=ready.name).update(denoise_partner="test-partner")
    partner = make_official("test-partner", ready.content[::-1], liar)
    partner.on_github()
    assert store.weights_for(ready.name, 1.0).second is None
    with pytest.raises(ModelNotReady, match="test-partner"):
        store.require_usable(ready.name, 0.5)
    requests.order([partner.name])
    runner.run_waiting()
    weights = store.weights_for(ready.name, 0.25)
    assert (weights.path, weights.second, weights.blend) == (
        models_dir / f"{ready.name}.pth",
        models_dir / "test-partner.pth",
        0.25,
    )


def test_a_model_without_partner_has_no_denoise_strength(ready: TestOfficial) -> None:
    with pytest.raises(DenoiseUnsupported):
        store.require_usable(ready.name, 0.5)


def test_counting_the_usable_looks_at_the_disk(ready: TestOfficial, models_dir: Path) -> None:
    Model.objects.exclude(name=ready.name).update(state=State.MISSING)
    assert store.count_usable() == 1
    (models_dir / f"{ready.name}.pth").unlink()
    assert store.count_usable() == 0


def test_copies_of_forgotten_models_leave_the_cache(ready: TestOfficial, cache: Path) -> None:
    cache.mkdir()
    forgotten = cache / f"{'a' * 64}.pth"
    forgotten.write_bytes(b"old")
    stranger = cache / "not-ours.txt"
    stranger.write_text("keep")
    store.weights_for(ready.name)
    assert not forgotten.exists()
    assert stranger.exists()
