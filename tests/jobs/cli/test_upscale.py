"""``manage.py upscale``: pictures and trees, without the service and without a database."""

import os
import re
import shutil
import subprocess
import sys
from io import StringIO
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command
from PIL import Image
from pytest_django.fixtures import Settings

from tests.service import REPOSITORY
from tests.tiny_models import write_tiny_weights

QUICK = ("--backend", "torch", "--precision", "fp32", "--device", "cpu")


def picture(path: Path, size: tuple[int, int] = (20, 12), mode: str = "RGB", colour: str = "teal") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new(mode, size, colour).save(path)
    return path


def upscale(*arguments: object) -> tuple[int, str, str]:
    """Run the command in this process: (exit code, what it printed, what it complained of)."""
    out, err = StringIO(), StringIO()
    code = 0
    try:
        call_command("upscale", *map(str, arguments), *QUICK, stdout=out, stderr=err)
    except SystemExit as end:
        code = int(end.code or 0)
    return code, out.getvalue(), err.getvalue()


def size_of(path: Path) -> tuple[int, int]:
    with Image.open(path) as image:
        return image.size


def test_one_picture_to_one_file(tmp_path: Path, tiny_weights: Path) -> None:
    source = picture(tmp_path / "in.png")
    code, said, _ = upscale(source, "-o", tmp_path / "out.webp", "-m", tiny_weights)
    assert code == 0
    assert "20×12 → 40×24 px" in said
    with Image.open(tmp_path / "out.webp") as image:
        assert (image.format, image.size) == ("WEBP", (40, 24))


@pytest.mark.parametrize(
    ("asked", "size"),
    [(("--longest-side", 50), (50, 30)), (("--height", 13), (21, 13)), (("--width", 400, "--height", 60), (100, 60))],
)
def test_a_size_in_pixels(tmp_path: Path, tiny_weights: Path, asked: tuple[object, ...], size: tuple[int, int]) -> None:
    source = picture(tmp_path / "in.png")
    assert upscale(source, "-o", tmp_path / "out.png", "-m", tiny_weights, *asked)[0] == 0
    assert size_of(tmp_path / "out.png") == size


def test_of_many_pictures_each_gets_the_size_or_says_why_not(tmp_path: Path, tiny_weights: Path) -> None:
    picture(tmp_path / "in" / "small.png")
    picture(tmp_path / "in" / "large.png", (90, 20))
    code, _, complaints = upscale(
        tmp_path / "in", "-o", tmp_path / "out", "-m", tiny_weights, "--longest-side", 80, "--name", "{stem}"
    )
    assert code == 1
    assert size_of(tmp_path / "out" / "small.png") == (80, 48)
    assert "large.png: The picture is 90×20 px: the longest side can become 90 to 1440 px, not 80" in complaints


def test_a_picture_is_never_replaced_by_its_own_result(tmp_path: Path, tiny_weights: Path) -> None:
    source = picture(tmp_path / "in.png")
    before = source.read_bytes()
    code, _, complaints = upscale(source, "-o", tmp_path, "-m", tiny_weights, "--name", "{stem}", "--overwrite")
    assert code == 1
    assert "its result would replace the picture itself" in complaints
    assert source.read_bytes() == before


def test_verbosity_two_tells_what_computed_it_and_why(tmp_path: Path, tiny_weights: Path) -> None:
    source = picture(tmp_path / "in.png")
    _, said, _ = upscale(source, "-o", tmp_path / "a.png", "-m", tiny_weights, "--verbosity", "2")
    assert "\n  backend: torch fp32\n  tiles: none, the picture is computed whole\n  time: load " in said
    out = StringIO()
    call_command(
        "upscale", str(source), "-o", str(tmp_path / "b.png"), "-m", str(tiny_weights), "--device", "cpu", "-v", "2",
        stdout=out,
    )  # fmt: skip
    assert re.search(r"\n  backend: (winograd|openvino|torch) (fp32|bf16); .+\n", out.getvalue()), out.getvalue()
    _, said, _ = upscale(source, "-o", tmp_path / "c.png", "-m", tiny_weights)
    assert "backend" not in said


def test_jpeg_xl_is_written_where_its_package_is(tmp_path: Path, tiny_weights: Path) -> None:
    pytest.importorskip("pylibjxl", reason="pylibjxl has no wheel for this machine")
    code, said, _ = upscale(picture(tmp_path / "in.png"), "-o", tmp_path / "out.jxl", "-m", tiny_weights, "--lossless")
    assert (code, "20×12 → 40×24 px" in said) == (0, True)
    assert (tmp_path / "out.jxl").read_bytes()[4:8] == b"JXL "


def test_a_result_says_in_its_name_how_it_was_made(tmp_path: Path, tiny_weights: Path) -> None:
    upscale(picture(tmp_path / "in.jpeg"), "-o", tmp_path / "out", "-m", tiny_weights, "-s", "1.5")
    assert size_of(tmp_path / "out" / "in_tiny-x2_x1.5.jpeg") == (30, 18)


def test_a_tree_is_kept_and_names_can_be(tmp_path: Path, tiny_weights: Path) -> None:
    for name in ("a.png", "deep/er/b.JPG", "deep/.hidden.png"):
        picture(tmp_path / "in" / name)
    (tmp_path / "in" / "notes.txt").write_text("not a picture")
    code, _, _ = upscale(tmp_path / "in", "-o", tmp_path / "out", "-m", tiny_weights, "--name", "{stem}")
    assert code == 0
    found = sorted(str(path.relative_to(tmp_path / "out")) for path in (tmp_path / "out").rglob("*") if path.is_file())
    assert found == ["a.png", "deep/er/b.JPG"]


def test_results_inside_the_input_directory_are_not_upscaled_again(tmp_path: Path, tiny_weights: Path) -> None:
    picture(tmp_path / "in" / "a.png")
    for _ in range(2):
        upscale(tmp_path / "in", "-o", tmp_path / "in" / "larger", "-m", tiny_weights)
    assert [path.name for path in (tmp_path / "in" / "larger").iterdir()] == ["a_tiny-x2_x2.png"]


def test_a_result_that_exists_is_kept_unless_told_otherwise(tmp_path: Path, tiny_weights: Path) -> None:
    source, target = picture(tmp_path / "in.png"), tmp_path / "out.png"
    target.write_bytes(b"precious")
    code, said, _ = upscale(source, "-o", target, "-m", tiny_weights)
    assert (code, target.read_bytes()) == (0, b"precious")
    assert "1 kept (--overwrite replaces them)" in said
    upscale(source, "-o", target, "-m", tiny_weights, "--overwrite")
    assert size_of(target) == (40, 24)


def test_a_broken_picture_is_reported_and_the_others_go_on(tmp_path: Path, tiny_weights: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.jpg").write_text("text")
    picture(tmp_path / "in" / "b.png")
    code, said, complained = upscale(tmp_path / "in", "-o", tmp_path / "out", "-m", tiny_weights)
    assert code == 1
    assert "a.jpg: the file is not an image" in complained
    assert "1 upscaled, 1 failed." in said
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["b_tiny-x2_x2.png"]


def test_two_pictures_never_share_one_result(tmp_path: Path, tiny_weights: Path) -> None:
    picture(tmp_path / "in" / "same.png")
    picture(tmp_path / "in" / "same.jpg", colour="red")
    code, said, complained = upscale(
        tmp_path / "in", "-o", tmp_path / "out", "-m", tiny_weights, "-f", "png", "--overwrite"
    )
    assert code == 1
    assert "would replace that of another picture" in complained
    assert "1 upscaled, 1 failed." in said
    hint = complained.split("--name '")[1].split("'")[0]
    code, said, _ = upscale(
        tmp_path / "in", "-o", tmp_path / "two", "-m", tiny_weights, "-f", "png", "--name", hint
    )  # the hint as it is solves it
    assert (code, "2 upscaled" in said) == (0, True)
    assert {path.name for path in (tmp_path / "two").iterdir()} == {
        "same_png_tiny-x2_x2.png",
        "same_jpg_tiny-x2_x2.png",
    }


def test_a_format_that_cannot_hold_the_result_is_refused_before_anything_is_computed(
    tmp_path: Path, tiny_weights: Path
) -> None:
    source = picture(tmp_path / "in.png", mode="RGBA", colour="#00808080")
    code, _, complained = upscale(source, "-o", tmp_path / "out.jpg", "-m", tiny_weights)
    assert code == 1
    assert "JPEG cannot hold the result: it has no transparency; png can" in complained
    assert not (tmp_path / "out.jpg").exists()
    assert not list(tmp_path.glob(".*"))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["missing.png", "-o", "out"], "missing.png does not exist"),
        (["in.png", "-o", "out.xyz"], ".xyz cannot be written"),
        (["in.png", "-o", "out.png", "-f", "jpeg"], "is a name for png, but --format says jpeg"),
        (["in.png", "-o", "out", "--name", "{colour}"], "only {stem}, {ext}, {model} and {scale}"),
        (["in.png", "-o", "out", "--name", "../{stem}"], "which is not a file name"),
        (["in.png", "-o", "out", "--denoise-strength", "0.5"], "has no denoise strength"),
        (["in.png", "-o", "out", "-m", "gone.pth"], "There is no such file"),
        (["in.png", "-o", "out", "-m", "RealESRGAN_x4plus"], "download_models RealESRGAN_x4plus"),
        (["empty", "-o", "out"], "holds no picture"),
        (["in.png", "-o", "out", "-s", "17"], "17 is out of bounds: 1 to 16"),
        (["in.png", "-o", "out", "--tile-size", "abc"], "'abc' is not a whole number"),
        (["in.png", "-o", "out", "--tile-size", "31"], "31 is out of bounds: 32 to 2048"),
    ],
)
def test_what_makes_no_sense_is_said(
    tmp_path: Path, tiny_weights: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    picture(tmp_path / "in.png")
    (tmp_path / "empty").mkdir()
    model = [] if "-m" in arguments else ["-m", tiny_weights]
    with pytest.raises(CommandError) as raised:
        upscale(*arguments, *model)
    assert message in str(raised.value)
    assert not (tmp_path / "out").exists()


def test_a_chain_of_files_and_names(tmp_path: Path, tiny_weights: Path) -> None:
    """×1, then ×2, then ×4: eight times."""
    restorer = write_tiny_weights(tmp_path / "clean.safetensors", scale=1, seed=3)
    source = picture(tmp_path / "in.png")
    text = f"{restorer}+{tiny_weights}+bundled-compact-x4"
    code, said, _ = upscale(source, "-o", tmp_path / "out", "-m", text, "-v", "2")
    assert code == 0
    assert size_of(tmp_path / "out" / "in_clean+tiny-x2+bundled-compact-x4_x8.png") == (160, 96)
    assert re.search(
        r"\n  clean: 1×, torch fp32, 1 tiles, [0-9.]+ s\n  tiny-x2: 2×, .*\n  bundled-compact-x4: 4×", said
    )
    code, _, _ = upscale(source, "-o", tmp_path / "small.png", "-m", text, "-s", "3")
    assert size_of(tmp_path / "small.png") == (60, 36)


def test_a_file_whose_name_holds_a_plus_is_one_file(tmp_path: Path, tiny_weights: Path) -> None:
    odd = tmp_path / "4x+more.safetensors"
    shutil.copy(tiny_weights, odd)
    code, _, _ = upscale(picture(tmp_path / "in.png"), "-o", tmp_path / "out.png", "-m", odd)
    assert code == 0
    assert size_of(tmp_path / "out.png") == (40, 24)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("bundled-compact-x4+", "lacks the name of a model"),
        ("+".join(["bundled-compact-x4"] * 4), "4 models are named; a chain has at most 3"),
        ("bundled-compact-x4+RealESRGAN_x4plus", "Model not available: RealESRGAN_x4plus"),
        ("bundled-compact-x4+missing.pth", "There is no such file"),
        ("+".join(["bundled-compact-x4"] * 3), "enlarges 64 times; at most 16 are possible: give --outscale"),
    ],
)
def test_chains_that_cannot_be_used_end_the_command(tmp_path: Path, settings: Settings, text: str, words: str) -> None:
    settings.MODELS_DIR = tmp_path
    with pytest.raises(CommandError, match=words):
        upscale(picture(tmp_path / "in.png"), "-o", tmp_path / "out.png", "-m", text)


def test_a_chain_whose_picture_would_be_too_large_between_two_members_fails_by_its_size(
    tmp_path: Path, tiny_weights: Path, settings: Settings
) -> None:
    settings.MAX_OUTPUT_PIXELS = 1000
    restorer = write_tiny_weights(tmp_path / "clean.safetensors", scale=1, seed=3)
    source = picture(tmp_path / "in.png", (30, 20))
    code, _, complained = upscale(source, "-o", tmp_path / "out.png", "-m", f"{tiny_weights}+{restorer}", "-s", "1")
    assert code == 1
    assert "between two models the image would be 60×40 px" in complained


@pytest.mark.processes
def test_the_bundled_model_needs_neither_database_nor_download(tmp_path: Path) -> None:
    """In a process of its own, with a data directory that was never used and no database at all."""
    picture(tmp_path / "in.png")
    environment = {name: value for name, value in os.environ.items() if not name.startswith("DATABASE")}
    done = subprocess.run(
        [sys.executable, "manage.py", "upscale", str(tmp_path / "in.png"), "-o", str(tmp_path / "out.png"),
         "-m", "bundled-compact-x4", *QUICK],
        cwd=REPOSITORY, env=environment | {"UPSCALER_DATA_DIR": str(tmp_path / "data")},
        capture_output=True, text=True, check=False, timeout=240,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert size_of(tmp_path / "out.png") == (80, 48)
    assert not (tmp_path / "data" / "postgres").exists()


def test_an_official_model_is_used_from_its_file(tmp_path: Path, real_weights: Path, settings: Settings) -> None:
    shutil.copy(real_weights, tmp_path / real_weights.name)
    settings.MODELS_DIR = tmp_path
    code, _, _ = upscale(picture(tmp_path / "in.png"), "-o", tmp_path / "out.png", "-m", "realesr-animevideov3")
    assert code == 0
    assert size_of(tmp_path / "out.png") == (80, 48)
    with (tmp_path / real_weights.name).open("r+b") as file:
        file.seek(1000)
        file.write(b"\0\1\2\3")
    with pytest.raises(CommandError, match="is not the official one"):
        upscale(tmp_path / "in.png", "-o", tmp_path / "out2.png", "-m", "realesr-animevideov3")


@pytest.mark.django_db(transaction=True)
@pytest.mark.timeout(120)
def test_an_imported_model_is_found_by_its_name(tmp_path: Path, tiny_weights: Path) -> None:
    call_command("import_model", str(tiny_weights), "--name", "mine", stdout=StringIO())
    code, _, _ = upscale(picture(tmp_path / "in.png"), "-o", tmp_path / "out.png", "-m", "mine")
    assert code == 0
    assert size_of(tmp_path / "out.png") == (40, 24)
