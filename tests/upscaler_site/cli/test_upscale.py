"""``upscaler upscale``: names, streams, JSON, suggestions; in processes of its own, as a person starts it."""

import io
import json
import signal
import subprocess
from pathlib import Path

import pytest
from PIL import Image

from tests.eventually import eventually
from tests.service import REPOSITORY
from tests.upscaler_site.cli.test_main import COMMAND, QUICK, environment, picture, upscaler

pytestmark = pytest.mark.processes


def test_a_folder_is_told_in_json_line_by_line(tmp_path: Path, tiny_weights: Path) -> None:
    picture(tmp_path / "in" / "a.png")
    picture(tmp_path / "in" / "deep" / "b.jpg")
    (tmp_path / "in" / "c.png").write_text("no picture")
    words = ("upscale", tmp_path / "in", "-o", tmp_path / "out", "-m", tiny_weights, *QUICK,
             "--name", "{stem}_{scale}x.{ext}", "--json")  # fmt: skip
    done = upscaler(tmp_path / "data", *words)
    assert done.returncode == 1, done.stderr
    *pictures, total = [json.loads(line) for line in done.stdout.splitlines()]
    assert total == {"done": 2, "kept": 0, "failed": 1}
    by_name = {Path(told["input"]).name: told for told in pictures}
    assert (by_name["a.png"]["status"], by_name["a.png"]["width"], by_name["a.png"]["height"]) == ("done", 40, 24)
    assert by_name["b.jpg"]["result"] == str(tmp_path / "out" / "deep" / "b_2x.jpg")
    assert "not an image" in by_name["c.png"]["error"]
    assert "c.png: the file is not an image" in done.stderr
    again = [json.loads(line) for line in upscaler(tmp_path / "data", *words).stdout.splitlines()]
    assert again[-1] == {"done": 0, "kept": 2, "failed": 1}


def test_stdin_to_stdout(tmp_path: Path, tiny_weights: Path) -> None:
    done = subprocess.run(
        [*COMMAND, "upscale", "-", "-o", "-", "-m", str(tiny_weights), "-f", "webp", "--lossless", *QUICK],
        cwd=REPOSITORY, env=environment(tmp_path / "data"), input=picture(tmp_path / "in.png").read_bytes(),
        capture_output=True, check=False, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    with Image.open(io.BytesIO(done.stdout)) as image:
        assert (image.format, image.size) == ("WEBP", (40, 24))


def test_a_picture_from_stdin_is_told_as_stdin(tmp_path: Path, tiny_weights: Path) -> None:
    done = subprocess.run(
        [*COMMAND, "upscale", "-", "-o", str(tmp_path / "out.png"), "-m", str(tiny_weights), "--json", *QUICK],
        cwd=REPOSITORY, env=environment(tmp_path / "data"), input=picture(tmp_path / "in.png").read_bytes(),
        capture_output=True, check=False, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout.splitlines()[0])
    assert (told["input"], told["result"]) == ("-", str(tmp_path / "out.png"))


def test_what_two_streams_cannot_do_is_a_misuse(tmp_path: Path) -> None:
    both = upscaler(tmp_path, "upscale", "-", picture(tmp_path / "a.png"), "-o", tmp_path / "out")
    assert (both.returncode, both.stderr) == (2, "Error: - (stdin) must be the only INPUT\n")
    mixed = upscaler(tmp_path, "upscale", tmp_path / "a.png", "-o", "-", "--json")
    assert (mixed.returncode, mixed.stdout) == (2, "")


def test_a_mistyped_model_gets_a_suggestion(tmp_path: Path) -> None:
    source = picture(tmp_path / "in.png")
    done = upscaler(tmp_path / "data", "upscale", source, "-o", tmp_path / "out.png", "-m", "realesrgan-x4plus")
    assert done.returncode == 1
    assert 'Did you mean "RealESRGAN_x4plus"?' in done.stderr
    assert not (tmp_path / "out.png").exists()


def test_quiet_is_quiet(tmp_path: Path, tiny_weights: Path) -> None:
    source = picture(tmp_path / "in.png")
    done = upscaler(tmp_path / "data", "upscale", source, "-o", tmp_path / "out.png", "-m", tiny_weights, "-q", *QUICK)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_a_watched_folder_until_ctrl_c(tmp_path: Path, tiny_weights: Path) -> None:
    scans, out = tmp_path / "scans", tmp_path / "larger"
    picture(scans / "deep" / "a.png")
    process = subprocess.Popen(
        [*COMMAND, "upscale", "--watch", str(scans), "-o", str(out), "-m", str(tiny_weights), *QUICK, "--json"],
        cwd=REPOSITORY, env=environment(tmp_path / "data"), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        eventually((out / "deep" / "a_tiny-x2_x2.png").exists, seconds=240)
        picture(tmp_path / "b.png").rename(scans / "b.png")
        eventually((out / "b_tiny-x2_x2.png").exists, seconds=60)
        process.send_signal(signal.SIGTERM)
        said, complained = process.communicate(timeout=240)
    finally:
        process.kill()
    assert (process.returncode, "Traceback" in complained) == (143, False), complained
    assert [json.loads(line)["status"] for line in said.splitlines()] == ["done", "done"]


def test_a_watched_folder_must_not_hold_its_own_results(tmp_path: Path) -> None:
    for output in (tmp_path, tmp_path.parent, "-"):
        refused = upscaler(tmp_path / "data", "upscale", "--watch", tmp_path, "-o", output)
        assert (refused.returncode, "another directory" in refused.stderr) == (2, True), refused.stderr
    neither = upscaler(tmp_path / "data", "upscale", "-o", tmp_path / "out")
    assert (neither.returncode, neither.stderr) == (2, "Error: Give either INPUT or --watch DIR\n")
