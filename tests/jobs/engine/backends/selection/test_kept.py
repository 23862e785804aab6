"""The file of measurements: what is read back, and what costs nothing but the measurement."""

import json
import logging
import multiprocessing
import os
from pathlib import Path

import pytest

from jobs.engine.backends.selection.kept import Kept


def test_numbers_come_back_in_the_next_process_and_beside_others(tmp_path: Path) -> None:
    Kept(tmp_path / "new").put("one", {"a": 1.5})
    Kept(tmp_path / "new").put("two", {"b": 2.0})
    later = Kept(tmp_path / "new")
    assert (later.get("one"), later.get("two"), later.get("three")) == ({"a": 1.5}, {"b": 2.0}, None)
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["backends.json"]


def test_without_a_folder_they_are_kept_by_the_process() -> None:
    kept = Kept(None)
    kept.put("one", {"a": 1.0})
    assert kept.get("one") == {"a": 1.0}
    assert Kept(None).get("one") is None


NOT_OURS = {
    "empty": b"",
    "cut off": b"{",
    "a list": b"[1]",
    "a number": b'{"one": 3}',
    "a text": b'{"one": {"a": "b"}}',
    "a truth": b'{"one": {"a": true}}',
    "not a number": b'{"one": {"a": NaN}}',
    "zero": b'{"one": {"a": 0}}',
    "negative": b'{"one": {"a": -1}}',
    "a million seconds": b'{"one": {"a": 1e9}}',
    "infinite": b'{"one": {"a": -Infinity}}',
    "beyond floats": b'{"one": {"a": 1' + b"0" * 400 + b"}}",
    "beyond what Python converts": b'{"one": {"a": 1' + b"0" * 5000 + b"}}",
    "deep": b"[" * 200_000,
    "no text": b"\xff\xfe",
    "huge": b" " * 1_000_001,
}


@pytest.mark.parametrize("content", NOT_OURS.values(), ids=list(NOT_OURS))
def test_a_file_that_is_not_ours_is_told_and_replaced(
    tmp_path: Path, content: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "backends.json").write_bytes(content)
    kept = Kept(tmp_path)
    with caplog.at_level(logging.WARNING):
        assert kept.get("one") is None
        assert kept.get("two") is None
        kept.put("one", {"a": 1.0})
    assert [record.getMessage().partition(" path")[0] for record in caplog.records] == ["measurements not read"]
    assert json.loads((tmp_path / "backends.json").read_text()) == {"one": {"a": 1.0}}


@pytest.mark.parametrize("kind", ["folder", "pipe", "link to itself"])
def test_what_is_no_file_is_told_and_not_waited_for(
    tmp_path: Path, kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "backends.json"
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    else:
        path.symlink_to(path)
    kept = Kept(tmp_path)
    with caplog.at_level(logging.WARNING):
        assert kept.get("one") is None
        kept.put("one", {"a": 1.0})
    assert caplog.text.count("measurements not read") == 1
    assert kept.get("one") == {"a": 1.0}
    assert os.listdir(tmp_path) == ["backends.json"]  # noqa: PTH208 - no part is left behind


def test_a_file_that_would_grow_too_large_begins_anew(tmp_path: Path) -> None:
    Kept(tmp_path).put("old", {str(number): 1.0 for number in range(60_000)})
    Kept(tmp_path).put("new", {str(number): 1.0 for number in range(10_000)})
    assert Kept(tmp_path).get("old") is None
    assert len(Kept(tmp_path).get("new") or {}) == 10_000


def test_a_folder_that_cannot_be_made_is_told_and_the_process_remembers(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_text("in the way")
    kept = Kept(tmp_path / "file")
    with caplog.at_level(logging.WARNING):
        kept.put("one", {"a": 1.0})
    assert "measurements not kept" in caplog.text
    assert kept.get("one") == {"a": 1.0}


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read and write everything")
@pytest.mark.parametrize("mode", [0o000, 0o500], ids=["nothing", "reading"])
def test_a_folder_that_allows_little_is_told_and_the_process_remembers(
    tmp_path: Path, mode: int, caplog: pytest.LogCaptureFixture
) -> None:
    folder = tmp_path / "closed"
    folder.mkdir(mode=mode)
    kept = Kept(folder)
    with caplog.at_level(logging.WARNING):
        assert kept.get("one") is None
        kept.put("one", {"a": 1.0})
    assert caplog.text.count("measurements not kept") == 1
    assert kept.get("one") == {"a": 1.0}


def _write(folder: Path, number: int) -> None:
    for count in range(50):
        Kept(folder).put(f"{number}", {"a": float(count)})


def test_processes_that_write_at_once_leave_a_whole_file(tmp_path: Path) -> None:
    spawn = multiprocessing.get_context("spawn")
    writers = [spawn.Process(target=_write, args=(tmp_path, number)) for number in range(3)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(240)
    assert [writer.exitcode for writer in writers] == [0, 0, 0]
    assert os.listdir(tmp_path) == ["backends.json"]  # noqa: PTH208 - no part is left behind
    assert set(json.loads((tmp_path / "backends.json").read_text())) <= {"0", "1", "2"}
