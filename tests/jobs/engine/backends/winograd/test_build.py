"""The build says what it did, or why it could not, and leaves nothing that does not work."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from jobs.engine.backends.winograd import build as building
from jobs.engine.backends.winograd import variants
from jobs.engine.backends.winograd.build import BuildFailed, build, compiler
from jobs.engine.backends.winograd.library import load
from tests.service import REPOSITORY


def script(path: Path, text: str) -> str:
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return str(path)


def test_all_instruction_sets_of_this_architecture_are_built(built: Path) -> None:
    assert sorted(path.name for path in built.iterdir()) == sorted(each.file for each in variants.variants())


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("exit 1", "failed for .*: exit status 1"),
        ("echo 'kernels.c:1: error: no such thing' >&2; exit 1", "no such thing"),
        ("echo 'cannot execute cc1' >&2; exit 4", "cannot execute cc1"),
        ("exit 0", "made no library"),
        ('while [ "$1" != -o ]; do shift; done; echo text > "$2"', "made no library"),
        ('while [ "$1" != -o ]; do shift; done; : > "$2"', "made no library"),
        ("kill -9 $$", "failed"),
    ],
)
def test_a_compiler_that_fails_or_lies_builds_nothing(tmp_path: Path, text: str, says: str) -> None:
    with pytest.raises(BuildFailed, match=says):
        build(tmp_path / "made", cc=script(tmp_path / "cc", text))
    assert list((tmp_path / "made").iterdir()) == []


@pytest.mark.skipif(shutil.which("cc") is None, reason="there is no cc")
@pytest.mark.parametrize(("text", "says"), [("int main(void) { return 0; }", "no library"), ("", "no library")])
def test_a_compiler_that_makes_something_else_builds_nothing(tmp_path: Path, text: str, says: str) -> None:
    (tmp_path / "other.c").write_text(text)
    liar = script(
        tmp_path / "liar", f'while [ "$1" != -o ]; do shift; done; cc -shared -fPIC {tmp_path}/other.c -o "$2"'
    )
    with pytest.raises(BuildFailed, match=says):
        build(tmp_path / "made", cc=liar)


def test_a_compiler_that_hangs_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(building, "_DEADLINE", 0.2)
    with pytest.raises(BuildFailed, match="took more than"):
        build(tmp_path / "made", cc=script(tmp_path / "cc", "exec sleep 60"))


def test_a_failed_build_keeps_what_was_there(built: Path, tmp_path: Path) -> None:
    folder = tmp_path / "kept"
    shutil.copytree(built, folder)
    with pytest.raises(BuildFailed):
        build(folder, cc=script(tmp_path / "cc", "exit 0"))
    assert load(folder).calls


def test_missing_compilers_are_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with pytest.raises(BuildFailed, match="there is no nonsense"):
        compiler("nonsense -O9")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(BuildFailed, match="no C compiler was found"):
        compiler()


@pytest.mark.skipif("ziglang" in sys.modules or shutil.which("zig") is not None, reason="there is zig")
def test_zig_is_asked_of_its_package() -> None:
    try:
        import ziglang  # type: ignore[import-not-found]  # noqa: F401 - installed by `make kernels CC=zig` alone
    except ImportError:
        with pytest.raises(BuildFailed, match="ziglang"):
            compiler("zig")
    else:
        assert compiler("zig")[1:3] == ["-m", "ziglang"]


def test_other_architectures_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("platform.machine", lambda: "riscv64")
    with pytest.raises(BuildFailed, match="riscv64"):
        build(tmp_path)
    with pytest.raises(OSError, match="riscv64"):
        load(tmp_path)


def test_a_folder_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(BuildFailed, match="file"):
        build(tmp_path / "file" / "folder", cc=script(tmp_path / "cc", "exit 0"))


@pytest.mark.processes
@pytest.mark.parametrize(("flags", "status"), [([], 1), (["--optional"], 0)])
def test_the_command_says_one_line(tmp_path: Path, flags: list[str], status: int) -> None:
    done = subprocess.run(
        [
            sys.executable, "-m", "jobs.engine.backends.winograd.build",
            "--cc", script(tmp_path / "cc", "exit 0"), "--to", tmp_path / "to", *flags,
        ],
        cwd=REPOSITORY, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == status
    assert done.stdout.count("\n") == 1
    assert done.stdout.startswith("Note: no winograd kernels: ")
    assert done.stderr == ""


@pytest.mark.processes
def test_building_needs_no_torch() -> None:
    """An image's build stage, and a wheel's, have none."""
    program = "import sys, jobs.engine.backends.winograd.build; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], cwd=REPOSITORY, check=False).returncode == 0
