"""Bad input is refused from the header, by name, and without torch."""

import struct
import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from jobs.engine.codec import decode
from jobs.engine.codecs.probe import check_output, check_passes, probe
from jobs.engine.errors import FormatUnsupported, ImageRejected, ImageTooLarge
from jobs.engine.tiling.passes import plan_passes
from jobs.engine.types import Header, Limits
from tests.jobs.engine.conftest import LIMITS, photo
from tests.service import REPOSITORY


def chunk(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))


def png_of_zeros(width: int, height: int) -> bytes:
    """A valid PNG of any size in a few kilobytes."""
    rows = zlib.compressobj(9)
    row = b"\0" * (1 + width)
    data = b"".join(rows.compress(row) for _ in range(height)) + rows.flush()
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", data) + chunk(b"IEND", b"")


@pytest.mark.parametrize("content", [b"hello, I am a text\n", b"%PDF-1.4", b"\0" * 500, b"<svg xmlns='x'/>", b"GIF90a"])
def test_what_is_no_image_is_unsupported(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "in.jpg").write_bytes(content)
    with pytest.raises(FormatUnsupported, match="PNG, JPEG, WebP"):
        probe(tmp_path / "in.jpg", LIMITS)


def test_an_empty_file_says_so(tmp_path: Path) -> None:
    (tmp_path / "in.png").touch()
    with pytest.raises(ImageRejected, match="empty"):
        probe(tmp_path / "in.png", LIMITS)


def test_a_missing_file_says_so(tmp_path: Path) -> None:
    with pytest.raises(ImageRejected, match="No such file"):
        probe(tmp_path / "in.png", LIMITS)


def test_a_bomb_is_refused_from_its_header(tmp_path: Path) -> None:
    header = struct.pack(">IIBBBBB", 30_000, 30_000, 8, 2, 0, 0, 0)
    bomb = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", b"\0" * 40_000) + chunk(b"IEND", b"")
    (tmp_path / "bomb.png").write_bytes(bomb)
    for refuse in (probe, decode):
        with pytest.raises(ImageTooLarge, match=r"30000×30000 px.*the limit is 50 megapixels"):
            refuse(tmp_path / "bomb.png", LIMITS)


def test_each_limit_is_named(tmp_path: Path) -> None:
    (tmp_path / "long.png").write_bytes(png_of_zeros(40_000, 1))
    with pytest.raises(ImageTooLarge, match="30000 px per side"):
        probe(tmp_path / "long.png", LIMITS)
    images = [Image.fromarray(photo(20, 20, seed=seed)) for seed in range(5)]
    for name in ("gif", "webp", "png"):
        path = tmp_path / f"in.{name}"
        images[0].save(path, save_all=True, append_images=images[1:])
        assert probe(path, LIMITS).frames == 5
        with pytest.raises(ImageTooLarge, match="limit is 4"):
            probe(path, Limits(max_frames=4))
        with pytest.raises(ImageTooLarge, match=r"in 5 frames, 2000 pixels; the limit is 1999"):
            probe(path, Limits(max_input_pixels=1999))
    header = probe(tmp_path / "in.png", LIMITS)
    check_output(header, 4.0, LIMITS)
    with pytest.raises(ImageTooLarge, match=r"80×80 px.*limit is 100"):
        check_output(header, 4.0, Limits(max_output_pixels=100))


@pytest.mark.parametrize("name", ["png", "jpeg", "webp", "tiff", "gif", "avif", "bmp"])
@pytest.mark.parametrize("share", [0.02, 0.3, 0.9])
def test_a_truncated_file_is_refused(tmp_path: Path, name: str, share: float) -> None:
    path = tmp_path / "in.dat"
    Image.fromarray(photo(200, 150)).save(path, format=name.upper())
    whole = path.read_bytes()
    path.write_bytes(whole[: max(12, int(len(whole) * share))])
    with pytest.raises(ImageRejected):
        decode(path, LIMITS)


def test_a_png_with_damaged_pixels_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "in.png"
    Image.fromarray(photo(200, 150)).save(path)
    data = bytearray(path.read_bytes())
    middle = len(data) // 2
    data[middle : middle + 64] = bytes(64)
    path.write_bytes(data)
    with pytest.raises(ImageRejected):
        decode(path, LIMITS)


def test_random_damage_never_escapes_the_error_tree(tmp_path: Path) -> None:
    random = np.random.default_rng(1)
    path = tmp_path / "in.dat"
    for name in ("png", "jpeg", "webp", "tiff", "gif", "avif", "bmp"):
        Image.fromarray(photo(40, 30)).save(path, format=name.upper())
        whole = path.read_bytes()
        for _ in range(40):
            data = bytearray(whole)
            for place in random.integers(4, len(data), 6):
                data[place] = random.integers(0, 256)
            path.write_bytes(data)
            try:
                picture = decode(path, Limits(max_input_pixels=100_000, max_side=2000, max_frames=10))
            except ImageRejected:
                continue
            assert picture.width * picture.height <= 100_000


@pytest.mark.processes
def test_probing_imports_no_torch(tmp_path: Path) -> None:
    Image.fromarray(photo(40, 30)).save(tmp_path / "in.png")
    code = (
        "import sys; from pathlib import Path\n"
        "from jobs.engine.codecs.probe import probe; from jobs.engine.types import Limits\n"
        "import jobs.engine.tiling.cost, jobs.engine.codecs.output_format\n"
        f"print(probe(Path({str(tmp_path / 'in.png')!r}), Limits()).width)\n"
        "bad = {'torch', 'cv2', 'openvino'} & set(sys.modules); assert not bad, bad\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=REPOSITORY, check=False)
    assert done.stdout.strip() == "40", done.stderr


def test_what_lies_between_two_models_is_held_against_the_limit_too(tmp_path: Path) -> None:
    header = Header("png", 100, 50, frames=3, bits=8, gray=False, alpha=False)
    passes = plan_passes(100, 50, [4, 1], 1.0)
    check_passes(header, passes, Limits(max_output_pixels=400 * 200))
    with pytest.raises(
        ImageTooLarge, match=r"between two models the image would be 400×200 px, 0.08 megapixels; .* 0.079999"
    ):
        check_passes(header, passes, Limits(max_output_pixels=400 * 200 - 1))
    check_passes(header, plan_passes(100, 50, 4, 1.0), Limits(max_output_pixels=3 * 100 * 50))  # read in bands
    with pytest.raises(ImageTooLarge, match="the result would be"):
        check_passes(header, plan_passes(100, 50, [1, 4], None), Limits(max_output_pixels=3 * 400 * 200 - 1))
