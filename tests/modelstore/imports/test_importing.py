"""Models that people bring: understood by their tensors, or refused with nothing kept."""

from io import StringIO
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command
from pytest_django.fixtures import Settings

from modelstore.downloads import runner
from modelstore.errors import ImportRefused, ModelStoreError, NameRefused
from modelstore.imports import importing
from modelstore.models import Model
from modelstore.states import State
from modelstore.storage import weights as store
from tests.modelstore.weights import BAD, GOOD

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.processes,
]  # weights are looked at in a process of their own


def everything_below(directory: Path) -> list[str]:
    return sorted(str(path.relative_to(directory)) for path in directory.rglob("*") if path.is_file())


def import_command(*arguments: object) -> str:
    out = StringIO()
    call_command("import_model", *map(str, arguments), stdout=out)
    return out.getvalue()


@pytest.mark.parametrize("file_name", GOOD)
def test_a_network_of_ours_is_understood_and_usable(models_dir: Path, tmp_path: Path, file_name: str) -> None:
    write, architecture, scale = GOOD[file_name]
    path = tmp_path / file_name
    write(path)
    said = import_command(path, "--licence", "CC0-1.0")
    model = Model.objects.get(name=path.stem)
    assert (model.architecture, model.scale, model.state) == (architecture, scale, State.READY)
    assert (model.origin, model.licence, model.network["architecture"]) == ("imported", "CC0-1.0", architecture)
    assert f"{path.stem}: {architecture} x{scale}" in said
    weights = store.weights_for(path.stem)
    assert weights.path.read_bytes() == path.read_bytes()
    assert weights.path.suffix == path.suffix
    assert everything_below(models_dir) == [weights.path.name]


@pytest.mark.parametrize("file_name", BAD)
def test_a_bad_file_is_refused_and_nothing_is_kept(models_dir: Path, tmp_path: Path, file_name: str) -> None:
    write, reason = BAD[file_name]
    path = tmp_path / file_name
    write(path)
    with pytest.raises(CommandError, match=reason) as refusal:
        import_command(path)
    assert ".upload" not in str(refusal.value)  # our own name of the file would tell the user nothing
    assert not Model.objects.filter(name=path.stem).exists()
    assert everything_below(models_dir) == []
    assert not (tmp_path / "executed").exists()
    assert not list(models_dir.rglob("executed"))


def test_the_official_file_is_known_whatever_it_is_called(models_dir: Path, tmp_path: Path, real_weights: Path) -> None:
    path = tmp_path / "downloaded (1).pth"
    path.write_bytes(real_weights.read_bytes())
    assert "realesr-animevideov3: srvggnet x4, 2504012 bytes" in import_command(path)
    assert Model.objects.get(name="realesr-animevideov3").state == State.READY
    assert everything_below(models_dir) == ["realesr-animevideov3.pth"]
    import_command(real_weights)  # again: no harm
    assert store.weights_for("realesr-animevideov3").path.read_bytes() == real_weights.read_bytes()


def test_an_official_name_takes_only_the_official_bytes(models_dir: Path, tiny_weights: Path) -> None:
    with pytest.raises(CommandError, match=r"not the official RealESRGAN_x4plus.*67040989 bytes"):
        import_command(tiny_weights, "--name", "RealESRGAN_x4plus")
    assert Model.objects.get(name="RealESRGAN_x4plus").state == State.MISSING
    assert everything_below(models_dir) == []


def test_an_official_file_can_have_another_name_too(models_dir: Path, real_weights: Path) -> None:
    import_command(real_weights, "--name", "anime")
    assert Model.objects.get(name="anime").scale == 4
    assert Model.objects.get(name="realesr-animevideov3").state == State.MISSING


@pytest.mark.parametrize("name", ["../evil", "a/b", ".x", "a b"])
def test_a_name_never_becomes_a_path(models_dir: Path, tiny_weights: Path, name: str) -> None:
    with pytest.raises(CommandError, match="cannot be the name of a model"):
        import_command(tiny_weights, "--name", name)
    assert everything_below(models_dir) == []


def test_a_file_name_that_is_no_name_asks_for_one(models_dir: Path, tmp_path: Path, tiny_weights: Path) -> None:
    path = tmp_path / "my model (final).safetensors"
    path.write_bytes(tiny_weights.read_bytes())
    with pytest.raises(CommandError, match="--name"):
        import_command(path)
    assert everything_below(models_dir) == []


def test_a_taken_name_is_refused(models_dir: Path, tiny_weights: Path) -> None:
    import_command(tiny_weights, "--name", "mine")
    with pytest.raises(CommandError, match="mine exists already"):
        import_command(tiny_weights, "--name", "mine")
    with pytest.raises(CommandError, match="comes with the service"):
        import_command(tiny_weights, "--name", "bundled-compact-x4")
    assert len(everything_below(models_dir)) == 1


def test_an_empty_file_and_no_file_are_refused(models_dir: Path, tmp_path: Path) -> None:
    empty = tmp_path / "empty.pth"
    empty.touch()
    with pytest.raises(CommandError, match="empty"):
        import_command(empty)
    with pytest.raises(CommandError, match="not a file"):
        import_command(tmp_path / "nowhere.pth")


def test_a_file_above_the_limit_is_cut_off(models_dir: Path, settings: Settings) -> None:
    settings.MAX_MODEL_UPLOAD_MB = 1
    taken = 0

    def blocks() -> object:
        nonlocal taken
        while True:
            taken += 100_000
            yield b"x" * 100_000

    with pytest.raises(ImportRefused, match="larger than 1 MB"):
        importing.bring(blocks(), "big")  # type: ignore[arg-type]
    assert taken < 1_300_000
    assert everything_below(models_dir) == []
    assert not Model.objects.filter(name="big").exists()


def test_an_upload_waits_for_a_worker_and_is_no_model_until_then(models_dir: Path, tiny_weights: Path) -> None:
    model = importing.bring([tiny_weights.read_bytes()], "mine")
    assert model.state == State.REQUESTED
    assert not Model.objects.listed().filter(name="mine").exists()
    with pytest.raises(ModelStoreError, match="not found"):
        store.require_usable("mine")
    runner.run_waiting()
    assert store.require_usable("mine").architecture == "srvggnet"


def test_a_refused_upload_can_be_brought_again_under_its_name(models_dir: Path, tiny_weights: Path) -> None:
    importing.bring([b"no model at all, but bytes"], "mine")
    runner.run_waiting()
    row = Model.objects.get(name="mine")
    assert row.state == State.FAILED
    assert "neither a torch checkpoint" in row.error
    assert everything_below(models_dir) == []
    importing.bring([tiny_weights.read_bytes()], "mine")
    runner.run_waiting()
    assert Model.objects.get(name="mine").state == State.READY


def test_two_names_for_the_same_bytes_have_files_of_their_own(models_dir: Path, tiny_weights: Path) -> None:
    import_command(tiny_weights, "--name", "one")
    import_command(tiny_weights, "--name", "two")
    assert store.weights_for("one").path != store.weights_for("two").path


def test_a_reserved_word_is_no_name(models_dir: Path, tiny_weights: Path) -> None:
    with pytest.raises(NameRefused):
        importing.bring([tiny_weights.read_bytes()], "download")


def test_an_import_whose_worker_died_between_the_move_and_the_row_is_finished_by_the_next(
    models_dir: Path, tiny_weights: Path
) -> None:
    """The file lies in its place already, and no longer where uploads wait."""
    model = importing.bring([tiny_weights.read_bytes()], "mine")
    waiting = models_dir / "incoming" / model.incoming
    moved = models_dir / f"imported-{model.pk}.safetensors"
    waiting.rename(moved)
    runner.run_waiting()
    row = Model.objects.get(name="mine")
    assert (row.error, row.state, row.file_name) == ("", State.READY, moved.name)
    assert store.weights_for("mine").path.read_bytes() == tiny_weights.read_bytes()


def test_other_bytes_in_that_place_are_not_taken(models_dir: Path, tiny_weights: Path) -> None:
    model = importing.bring([tiny_weights.read_bytes()], "mine")
    (models_dir / "incoming" / model.incoming).unlink()
    (models_dir / f"imported-{model.pk}.safetensors").write_bytes(b"left by somebody else")
    runner.run_waiting()
    assert "is gone" in Model.objects.get(name="mine").error
    assert everything_below(models_dir) == []
