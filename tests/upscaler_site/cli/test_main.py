"""``upscaler`` as a person types it: help, names, exit codes, signals."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from tests.eventually import eventually
from tests.service import REPOSITORY

pytestmark = pytest.mark.processes

QUICK = ("--backend", "torch", "--precision", "fp32", "--device", "cpu")
COMMAND = [sys.executable, "-m", "upscaler_site.cli.main"]


def environment(data_dir: Path, **more: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("DATABASE")}
    return kept | {"UPSCALER_DATA_DIR": str(data_dir), "OMP_NUM_THREADS": "1"} | more


def upscaler(data_dir: Path, *words: object, **more: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*COMMAND, *map(str, words)], cwd=REPOSITORY, env=environment(data_dir, **more),
        capture_output=True, text=True, check=False, timeout=300,
    )  # fmt: skip


def picture(path: Path, size: tuple[int, int] = (20, 12)) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, "teal").save(path)
    return path


def test_the_help_names_every_command_and_nothing_of_django(tmp_path: Path) -> None:
    done = upscaler(tmp_path / "data", "--help")
    assert done.returncode == 0
    assert all(
        f"\n    {name}" in done.stdout for name in ("upscale", "models", "serve", "keys", "cleanup", "completion")
    )
    assert "exit codes:" in done.stdout
    for words in (("upscale",), ("models", "download"), ("keys", "create"), ("cleanup",), ("serve",)):
        said = upscaler(tmp_path / "data", *words, "--help").stdout
        assert "usage: upscaler" in said
        assert not {"--pythonpath", "--settings", "--no-color", "manage.py"} & set(said.split()), said
    assert not (tmp_path / "data" / "postgres").exists(), "help needs no database"


def test_wrong_words_and_settings_are_told_from_failures_by_their_code(tmp_path: Path) -> None:
    assert upscaler(tmp_path, "--version").stdout.startswith("upscaler ")
    assert upscaler(tmp_path, "upscle").returncode == 2
    wrong = upscaler(tmp_path, "models", "list", MAX_UPLOAD_MB="many")
    assert (wrong.returncode, wrong.stdout) == (2, "")
    assert wrong.stderr == "Error: MAX_UPLOAD_MB is 'many'; it must be a whole number\n"
    failed = upscaler(tmp_path, "upscale", "gone.png", "-o", tmp_path / "out.png")
    assert (failed.returncode, "gone.png does not exist" in failed.stderr) == (1, True)


def test_hints_name_this_command(tmp_path: Path) -> None:
    source = picture(tmp_path / "in.png")
    done = upscaler(tmp_path / "data", "upscale", source, "-o", tmp_path / "out.png", "-m", "RealESRGAN_x4plus")
    assert done.returncode == 1
    assert "`upscaler models download RealESRGAN_x4plus`" in done.stderr
    assert "manage.py" not in done.stderr


def test_models_and_keys_where_the_service_has_never_run(tmp_path: Path) -> None:
    """The embedded database gets its tables from the first command that asks for it."""
    models = json.loads(upscaler(tmp_path / "data", "models", "list", "--json").stdout)
    assert {"bundled-compact-x4", "RealESRGAN_x4plus"} <= {model["name"] for model in models}
    made = upscaler(tmp_path / "data", "keys", "create", "archive", "--quiet")
    prefix = made.stdout.strip().split("_")[1]
    listed = upscaler(tmp_path / "data", "keys", "list").stdout
    assert (prefix in listed, "valid" in listed, "archive" in listed) == (True, True, True)
    limited = upscaler(tmp_path / "data", "keys", "limit", prefix, "--share", "2", "--max-stored-gb", "0.5")
    told = (
        "share 2, high-priority no, max-queued-jobs default, max-running-jobs default, max-stored-gb 0.5, "
        "max-megapixels-per-day default"
    )
    assert limited.stdout == f"archive ({prefix}): {told}\n"
    assert upscaler(tmp_path / "data", "keys", "limit", prefix, "--share", "1000").returncode == 2
    mistyped = upscaler(tmp_path / "data", "keys", "revoke", prefix[:-1])
    assert (mistyped.returncode, f'Did you mean "{prefix}"?' in mistyped.stderr) == (1, True)
    assert upscaler(tmp_path / "data", "keys", "revoke", prefix).stdout == f"archive ({prefix}): revoked\n"
    assert "revoked" in upscaler(tmp_path / "data", "keys", "list").stdout


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_is_a_script_of_that_shell(tmp_path: Path, shell: str) -> None:
    done = upscaler(tmp_path, "completion", shell)
    assert done.returncode == 0, done.stderr
    assert all(word in done.stdout for word in ("upscale", "download", "strip-metadata", "revoke"))
    if shell == "bash":
        assert subprocess.run(["bash", "-n"], input=done.stdout, text=True, check=False).returncode == 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_in_the_middle_ends_it_and_leaves_nothing_half_made(
    tmp_path: Path, tiny_weights: Path, number: signal.Signals
) -> None:
    """At the first result, while the next picture is in work."""
    for index in range(40):
        picture(tmp_path / "in" / f"{index:02}.png", (160, 120))
    out = tmp_path / "out"
    process = subprocess.Popen(
        [*COMMAND, "upscale", str(tmp_path / "in"), "-o", str(out), "-m", str(tiny_weights), *QUICK],
        cwd=REPOSITORY, env=environment(tmp_path / "data"), stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        eventually(lambda: list(out.glob("*.png")), seconds=240, every=0.01, say="the first result")
        process.send_signal(number)
        _, said = process.communicate(timeout=120)
    finally:
        process.kill()
    assert process.returncode == 128 + number
    assert "Traceback" not in said
    assert list(out.glob(".*")) == []
    for result in out.iterdir():
        with Image.open(result) as image:
            image.load()


@pytest.mark.parametrize("moment", ["at once", "while it loads"])
def test_ctrl_c_before_anything_is_computed_is_no_traceback(tmp_path: Path, moment: str) -> None:
    process = subprocess.Popen(
        [*COMMAND, "upscale", str(picture(tmp_path / "in.png")), "-o", str(tmp_path / "out.png"),
         "-m", "bundled-compact-x4", *QUICK],
        cwd=REPOSITORY, env=environment(tmp_path / "data"), stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        loaded = Path(f"/proc/{process.pid}/maps")
        awaited = "_signal" if moment == "at once" else "numpy"
        if not loaded.exists():
            pytest.skip("no /proc tells what the process has loaded")
        words = Path(f"/proc/{process.pid}/status")
        # The program's own handlers are there once SIGTERM is caught; before, Python itself answers.
        eventually(lambda: int(words.read_text().split("SigCgt:\t")[1].split()[0], 16) & (1 << 14), every=0.005)
        if awaited == "numpy":
            eventually(lambda: "numpy" in loaded.read_text(), seconds=120, every=0.005)
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=120)
    finally:
        process.kill()
    assert process.returncode == 130
    assert "Traceback" not in said
    assert not (tmp_path / "out.png").exists()
