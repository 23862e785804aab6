"""The format of the result: what it keeps, and what it refuses to hold."""

from pathlib import Path

import numpy as np
import pytest

from jobs.engine.codec import decode, encode
from jobs.engine.codecs.probe import probe
from jobs.engine.errors import FormatUnsupported
from jobs.engine.types import EncodeOptions
from tests.jobs.engine.conftest import LIMITS, difference, photo, picture


@pytest.mark.parametrize("name", ["png", "webp", "tiff", "avif"])
@pytest.mark.parametrize("kind", ["rgb", "rgba", "gray", "gray-alpha"])
def test_pixels_survive_a_lossless_format_exactly(tmp_path: Path, name: str, kind: str) -> None:
    pixels = photo(37, 23, channels=1 if kind.startswith("gray") else 3)
    alpha = photo(37, 23, channels=1, seed=5)[:, :, 0] if "alpha" in kind or kind == "rgba" else None
    path = tmp_path / f"out.{name}"
    options = EncodeOptions(format=name, lossless=True)  # type: ignore[arg-type]
    assert encode(picture(pixels, alpha), path, options).format == name
    back = decode(path, LIMITS)
    color = back.frames[0].color
    if (name == "webp" and kind.startswith("gray")) or (name == "avif" and kind == "gray-alpha"):
        # WebP has no gray of its own, and AVIF's gray with alpha comes back as colour: the values are what counts.
        color = color[:, :, :1]
    assert difference(color, pixels) == 0
    if alpha is None:
        assert back.frames[0].alpha is None
    else:
        assert back.frames[0].alpha is not None
        assert difference(back.frames[0].alpha, alpha) == 0


@pytest.mark.parametrize("name", ["png", "tiff"])
@pytest.mark.parametrize("kind", ["rgb", "rgba", "gray", "gray-alpha"])
def test_sixteen_bits_survive(tmp_path: Path, name: str, kind: str) -> None:
    pixels = photo(37, 23, channels=1 if kind.startswith("gray") else 3, bits=16)
    alpha = photo(37, 23, channels=1, bits=16, seed=5)[:, :, 0] if "alpha" in kind or kind == "rgba" else None
    path = tmp_path / f"out.{name}"
    assert encode(picture(pixels, alpha, fmt=name), path).format == name
    header = probe(path, LIMITS)
    assert header.bits == 16
    assert header.alpha is (alpha is not None)
    back = decode(path, LIMITS)
    assert back.bits == 16
    color = back.frames[0].color
    assert difference(color, pixels) == 0
    if alpha is not None:
        assert back.frames[0].alpha is not None
        assert difference(back.frames[0].alpha, alpha) == 0


@pytest.mark.parametrize(
    ("source", "alpha", "bits", "written"),
    [
        ("jpeg", False, 8, "jpeg"),
        ("jpeg", True, 8, "png"),
        ("webp", True, 8, "webp"),
        ("webp", False, 16, "png"),
        ("tiff", True, 16, "tiff"),
        ("bmp", False, 8, "png"),
        ("gif", True, 8, "png"),
        ("heic", False, 8, "png"),
        ("heic", False, 16, "png"),
        ("avif", True, 8, "avif"),
        ("png", True, 16, "png"),
    ],
)
def test_auto_is_the_inputs_format_or_png_where_that_cannot_hold_the_result(
    tmp_path: Path, source: str, alpha: bool, bits: int, written: str
) -> None:
    pixels = photo(20, 10, bits=bits)
    mask = photo(20, 10, channels=1, bits=bits)[:, :, 0] if alpha else None
    assert encode(picture(pixels, mask, fmt=source), tmp_path / "out").format == written


@pytest.mark.parametrize(
    ("name", "bits", "alpha", "word"), [("jpeg", 8, True, "transparency"), ("webp", 16, False, "16")]
)
def test_a_format_that_cannot_hold_the_result_refuses(
    tmp_path: Path, name: str, bits: int, alpha: bool, word: str
) -> None:
    pixels = photo(20, 10, bits=bits)
    mask = np.zeros((10, 20), pixels.dtype) if alpha else None
    with pytest.raises(FormatUnsupported, match=word):
        encode(picture(pixels, mask), tmp_path / "out", EncodeOptions(format=name))  # type: ignore[arg-type]


def test_webp_beyond_its_largest_side_becomes_png(tmp_path: Path) -> None:
    wide = picture(np.zeros((1, 17_000, 3), np.uint8), fmt="webp")
    assert encode(wide, tmp_path / "out").format == "png"
    with pytest.raises(FormatUnsupported, match="16383"):
        encode(wide, tmp_path / "out", EncodeOptions(format="webp"))


@pytest.mark.parametrize("name", ["jpeg", "webp", "avif"])
def test_quality_is_obeyed(tmp_path: Path, name: str) -> None:
    sizes = []
    for quality in (20, 60, 95):
        encode(picture(photo(200, 150)), tmp_path / "out", EncodeOptions(format=name, quality=quality))  # type: ignore[arg-type]
        sizes.append((tmp_path / "out").stat().st_size)
    assert sizes == sorted(sizes)
    assert sizes[0] < 0.8 * sizes[2]


@pytest.mark.parametrize(
    ("name", "lossless", "notes"),
    [
        ("png", False, ("quality 80 changed nothing: this PNG is lossless",)),
        ("tiff", False, ("quality 80 changed nothing: this TIFF is lossless",)),
        ("webp", True, ("quality 80 changed nothing: this WebP is lossless",)),
        ("webp", False, ()),
        ("jpeg", False, ()),
        ("jpeg", True, ("lossless changed nothing: JPEG is never lossless",)),
    ],
)
def test_an_option_without_effect_is_noted(tmp_path: Path, name: str, lossless: bool, notes: tuple[str, ...]) -> None:
    options = EncodeOptions(format=name, quality=80, lossless=lossless)  # type: ignore[arg-type]
    assert encode(picture(photo(20, 10)), tmp_path / "out", options).notes == notes


def test_real_files_round_trip(shared_dir: Path, tmp_path: Path) -> None:
    for path in sorted((shared_dir / "images").iterdir()):
        made = decode(path, LIMITS)
        header = probe(path, LIMITS)
        assert (made.width, made.height, made.bits) == (header.width, header.height, header.bits)
        encode(made, tmp_path / "out.png", EncodeOptions(format="png"))
        back = decode(tmp_path / "out.png", LIMITS)
        assert difference(back.frames[0].color, made.frames[0].color) == 0
        assert back.metadata.icc == made.metadata.icc
        assert back.metadata.iptc == made.metadata.iptc
        assert (back.metadata.xmp is None) == (made.metadata.xmp is None)
