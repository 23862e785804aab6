"""``upscaler upscale --server``: the same words, through a running service."""

import io
import json
import signal
import subprocess
import sys
from pathlib import Path

import httpx
import pytest
from PIL import Image

from tests.eventually import eventually
from tests.service import REPOSITORY, SLOW_SIDE, Service, StartService
from tests.tiny_models import TINY_MODEL
from tests.upscaler_site.cli.test_main import COMMAND, environment, picture, upscaler


def test_a_folder_is_upscaled_by_the_service_as_it_is_here(service: Service, tmp_path: Path) -> None:
    picture(tmp_path / "in" / "a.png")
    picture(tmp_path / "in" / "deep" / "b.jpg")
    (tmp_path / "in" / "c.png").write_text("no picture")
    words = ("upscale", tmp_path / "in", "-o", tmp_path / "out", "-m", TINY_MODEL, "--server", service.base_url,
             "--name", "{stem}_{scale}x.{ext}", "--json", "--strip-metadata",
             "--max-device-seconds", "100000")  # fmt: skip
    done = upscaler(tmp_path / "data", *words)
    assert done.returncode == 1, done.stderr
    *pictures, total = [json.loads(line) for line in done.stdout.splitlines()]
    assert total == {"done": 2, "kept": 0, "failed": 1}
    by_name = {Path(told["input"]).name: told for told in pictures}
    assert (by_name["a.png"]["status"], by_name["a.png"]["width"], by_name["a.png"]["device"]) == ("done", 40, "cpu")
    with Image.open(tmp_path / "out" / "deep" / "b_2x.jpg") as image:
        assert (image.format, image.size) == ("JPEG", (40, 24))
    assert "c.png: the file is not an image" in done.stderr
    again = [json.loads(line) for line in upscaler(tmp_path / "data", *words).stdout.splitlines()]
    assert again[-1] == {"done": 0, "kept": 2, "failed": 1}
    assert not (tmp_path / "data" / "postgres").exists(), "the service has a database, this needs none"


def test_stdin_to_stdout_by_the_service(service: Service, tmp_path: Path) -> None:
    done = subprocess.run(
        [*COMMAND, "upscale", "-", "-o", "-", "-m", TINY_MODEL, "-f", "webp", "--lossless", "-s", "3", "--server",
         service.base_url],
        cwd=REPOSITORY, env=environment(tmp_path / "data"), input=picture(tmp_path / "in.png").read_bytes(),
        capture_output=True, check=False, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    with Image.open(io.BytesIO(done.stdout)) as image:
        assert (image.format, image.size) == ("WEBP", (60, 36))


def test_what_it_refuses_is_said_as_it_is_here(service: Service, tmp_path: Path) -> None:
    source, out = picture(tmp_path / "in.png"), tmp_path / "out.png"
    there = ("--server", service.base_url)
    mistyped = upscaler(tmp_path, "upscale", source, "-o", out, "-m", TINY_MODEL[:-1], *there)
    assert (mistyped.returncode, f'Did you mean "{TINY_MODEL}"?' in mistyped.stderr) == (1, True)
    absent = upscaler(tmp_path, "upscale", source, "-o", out, "-m", "RealESRGAN_x4plus", *there)
    assert (absent.returncode, "Model not ready: RealESRGAN_x4plus" in absent.stderr) == (1, True)
    gray = upscaler(tmp_path, "upscale", source, "-o", out, "-m", TINY_MODEL, "--denoise-strength", "0.5", *there)
    assert (gray.returncode, "denoise" in gray.stderr) == (1, True)
    device = upscaler(tmp_path, "upscale", source, "-o", out, "-m", TINY_MODEL, "--device", "cuda:3", *there)
    assert (device.returncode, "decided by the service" in device.stderr) == (1, True)
    for words in (("--max-device-seconds", "5"), (*there, "--max-device-seconds", "-1")):
        misused = upscaler(tmp_path, "upscale", source, "-o", out, "-m", TINY_MODEL, *words)
        assert (misused.returncode, "--max-device-seconds" in misused.stderr) == (2, True)
    nobody = upscaler(tmp_path, "upscale", source, "-o", out, "--server", "ftp://there")
    assert (nobody.returncode, "http://" in nobody.stderr) == (2, True)
    assert not out.exists()
    assert not any("Traceback" in done.stderr for done in (mistyped, absent, gray, device, nobody))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_cancels_the_jobs_on_the_service(
    service: Service, slow_model: str, tmp_path: Path, number: signal.Signals
) -> None:
    for index in range(6):
        picture(tmp_path / "in" / f"{number.name}{index}.png", (SLOW_SIDE, SLOW_SIDE))
    process = subprocess.Popen(
        [*COMMAND, "upscale", str(tmp_path / "in"), "-o", str(tmp_path / "out"), "-m", slow_model, "--tile-size", "64",
         "--server", service.base_url],
        cwd=REPOSITORY, env=environment(tmp_path / "data"), stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE, text=True,
    )  # fmt: skip

    def ours() -> list[str]:
        jobs = httpx.get(f"{service.base_url}/api/v1/jobs?limit=20", timeout=240).json()["jobs"]
        return [job["status"] for job in jobs if str(job["filename"]).startswith(number.name)]

    try:
        eventually(lambda: len(ours()) == 4, seconds=120, say="four pictures are under way, and no more")
        process.send_signal(number)
        _, said = process.communicate(timeout=240)
    finally:
        process.kill()
    assert process.returncode == 128 + number
    assert "Traceback" not in said
    eventually(lambda: set(ours()) == {"cancelled"}, seconds=60)
    assert not [path for path in (tmp_path / "out").glob("**/*") if path.is_file()]


def test_a_key_comes_from_a_file_or_the_environment(start_service: StartService, tmp_path: Path) -> None:
    closed = start_service(REQUIRE_API_KEY="1")
    source = picture(tmp_path / "in.png")
    words = ("upscale", source, "-m", "bundled-compact-x4", "--server", closed.base_url, "-o")
    stranger = upscaler(tmp_path, *words, tmp_path / "no.png")
    assert (stranger.returncode, "API key" in stranger.stderr) == (1, True), stranger.stderr
    key = closed.manage("create_api_key", "tests", "--quiet").stdout.strip()
    (tmp_path / "key").write_text(key + "\n")
    assert upscaler(tmp_path, *words, tmp_path / "a.png", "--api-key-file", tmp_path / "key").returncode == 0
    assert upscaler(tmp_path, *words, tmp_path / "b.png", UPSCALER_API_KEY=key).returncode == 0
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()


def test_it_loads_nothing_that_computes(service: Service, tmp_path: Path) -> None:
    program = (
        "import atexit, sys\nfrom upscaler_site.cli import main\n"
        "atexit.register(lambda: print([n for n in ('torch', 'openvino') if n in sys.modules]))\n"
        "main.main()"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, "upscale", str(picture(tmp_path / "in.png")), "-o", str(tmp_path / "out.png"),
         "-m", TINY_MODEL, "-q", "--server", service.base_url],
        cwd=REPOSITORY, env=environment(tmp_path / "data"), capture_output=True, text=True, check=False, timeout=300,
    )  # fmt: skip
    assert (done.returncode, done.stdout.strip()) == (0, "[]"), done.stderr


def test_what_comes_into_a_watched_folder_goes_through_the_service(service: Service, tmp_path: Path) -> None:
    scans, out = tmp_path / "scans", tmp_path / "scans" / "larger"
    picture(scans / "first.png")
    process = subprocess.Popen(
        [*COMMAND, "upscale", "--watch", str(scans), "-o", str(out), "-m", TINY_MODEL, "--server", service.base_url],
        cwd=REPOSITORY, env=environment(tmp_path / "data"), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        eventually((out / f"first_{TINY_MODEL}_x2.png").exists, seconds=120)
        picture(scans / "second.png")
        eventually((out / f"second_{TINY_MODEL}_x2.png").exists, seconds=120)
        process.send_signal(signal.SIGINT)
        said, complained = process.communicate(timeout=240)
    finally:
        process.kill()
    assert process.returncode == 130
    assert (said.count("→ " + str(out)), "Traceback" in complained) == (2, False)
    assert len(list(out.iterdir())) == 2
