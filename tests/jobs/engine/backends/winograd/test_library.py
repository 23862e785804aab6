"""Only a library of the very source beside it is used, and only one that this processor runs."""

import shutil
from pathlib import Path

import pytest

from jobs.engine.backends.winograd import library
from jobs.engine.backends.winograd.library import NotBuilt, load, runnable
from jobs.engine.backends.winograd.variants import variants


def test_the_best_variant_is_taken(built: Path) -> None:
    assert load(built).name == runnable()[0].name


def test_a_processor_without_an_instruction_set_takes_the_next(built: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for variant in variants():
        able = dict.fromkeys(variant.needs, True)
        monkeypatch.setattr("torch.cpu.get_capabilities", lambda able=able: able)
        assert load(built).name == variant.name


def test_nothing_built_is_told(tmp_path: Path) -> None:
    with pytest.raises(NotBuilt, match="make kernels"):
        load(tmp_path)


@pytest.mark.parametrize("fault", ["source", "structures", "text", "other"])
def test_a_stale_or_broken_library_is_refused(
    built: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    variant = runnable()[0]
    shutil.copy(built / variant.file, tmp_path)
    if fault == "source":
        monkeypatch.setattr(library, "digest", lambda: "0" * 64)
    elif fault == "structures":
        monkeypatch.setattr(library, "_SIZES", library._SIZES + 1)
    elif fault == "text":
        (tmp_path / variant.file).unlink()
        (tmp_path / variant.file).write_text("no library")
    else:
        import numpy.linalg._umath_linalg as other

        shutil.copy(other.__file__, tmp_path / variant.file)
    with pytest.raises(OSError, match=variant.file) as caught:
        load(tmp_path)
    assert not isinstance(caught.value, NotBuilt)


def test_a_stale_library_does_not_hide_a_good_one(built: Path, tmp_path: Path) -> None:
    best, *others = runnable()
    if not others:
        pytest.skip("this architecture has one variant")
    (tmp_path / best.file).write_text("no library")
    shutil.copy(built / others[0].file, tmp_path)
    assert load(tmp_path).name == others[0].name
