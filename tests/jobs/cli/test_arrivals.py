"""Pictures that come into a directory: taken when they are whole, once, and never results."""

import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from watchfiles import Change

from jobs.cli import arrivals
from jobs.cli.arrivals import Arrivals
from tests.eventually import eventually


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(arrivals, "REST_SECONDS", 0.2)
    monkeypatch.setattr(arrivals, "UNSURE_SECONDS", 0.4)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "in").mkdir()
    return tmp_path / "in"


@pytest.fixture
def coming(folder: Path) -> Arrivals:
    return Arrivals(folder, folder / "out")


def taken(coming: Arrivals) -> Callable[[], list[str]]:
    """Collects what was ever found whole."""
    names: list[str] = []

    def look() -> list[str]:
        names.extend(item.label for item in coming.whole())
        return names

    return look


def added(coming: Arrivals, *paths: Path) -> None:
    coming.note([(Change.added, str(path)) for path in paths])


def test_what_is_there_comes_first_with_its_place_in_the_tree(folder: Path, coming: Arrivals) -> None:
    (folder / "deep").mkdir()
    (folder / "deep" / "a.jpg").write_bytes(b"a")
    (folder / "notes.txt").write_bytes(b"no picture")
    coming.look()
    look = taken(coming)
    eventually(lambda: look() == ["deep/a.jpg"], seconds=30)


def test_a_file_in_writing_waits_until_it_is_closed(folder: Path, coming: Arrivals) -> None:
    look, path = taken(coming), folder / "a.png"
    if arrivals._is_closed(Path(__file__)) is None:
        pytest.skip("this system does not tell who writes a file")
    with path.open("wb") as file:
        file.write(b"half")
        file.flush()
        added(coming, path)
        ends = time.monotonic() + 3 * arrivals.REST_SECONDS
        eventually(lambda: time.monotonic() > ends and look() == [], seconds=30)
        file.write(b" and half")
    eventually(lambda: look() == ["a.png"], seconds=30)


def test_a_file_that_is_renamed_into_place_is_taken_at_once(folder: Path, coming: Arrivals, tmp_path: Path) -> None:
    if arrivals._is_closed(Path(__file__)) is None:
        pytest.skip("this system does not tell who writes a file")
    source = tmp_path / "elsewhere.png"
    source.write_bytes(b"whole")
    os.utime(source, (1, 1))
    source.rename(folder / "a.png")
    added(coming, folder / "a.png")
    assert [item.label for item in coming.whole()] == ["a.png"]


def test_each_content_is_taken_once(folder: Path, coming: Arrivals) -> None:
    look, path = taken(coming), folder / "a.png"
    path.write_bytes(b"first")
    added(coming, path)
    eventually(lambda: look() == ["a.png"], seconds=30)
    added(coming, path)
    assert coming.whole() == []
    path.write_bytes(b"second, longer")
    added(coming, path)
    eventually(lambda: look() == ["a.png", "a.png"], seconds=30)


def test_results_hidden_files_and_what_is_gone_are_no_pictures(folder: Path, coming: Arrivals) -> None:
    (folder / "out").mkdir()
    for name in ("out/a.png", ".b.png.123.part", ".c.png", "d.txt"):
        (folder / name).write_bytes(b"x")
    added(coming, *(folder / name for name in ("out/a.png", ".b.png.123.part", ".c.png", "d.txt", "gone.png")))
    coming.look()
    assert coming._waiting.keys() == {folder / "gone.png"}
    assert coming.whole() == []
    assert not coming._waiting


def test_a_folder_that_is_moved_in_is_taken_with_all_that_it_holds(
    folder: Path, coming: Arrivals, tmp_path: Path
) -> None:
    (tmp_path / "album" / "deep").mkdir(parents=True)
    (tmp_path / "album" / "deep" / "a.jpg").write_bytes(b"a")
    (tmp_path / "album" / "b.png").write_bytes(b"b")
    (tmp_path / "album").rename(folder / "album")
    added(coming, folder / "album")  # the system tells of the folder alone
    look = taken(coming)
    eventually(lambda: sorted(look()) == ["album/b.png", "album/deep/a.jpg"])


def test_an_empty_file_is_not_whole(folder: Path, coming: Arrivals) -> None:
    (folder / "a.png").touch()
    os.utime(folder / "a.png", (1, 1))
    added(coming, folder / "a.png")
    assert coming.whole() == []


def test_the_system_tells_of_them(folder: Path) -> None:
    (folder / "a.png").write_bytes(b"a")
    found = arrivals.watched(folder, folder / "out")
    assert next(found).label == "a.png"
    (folder / "b.png").write_bytes(b"b")
    assert next(found).label == "b.png"
