"""The file decides the depth: what has more than 8 bit keeps it, in every corner of TIFF, or says that not."""

import struct
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from jobs.engine.codec import decode
from jobs.engine.codecs.probe import probe
from jobs.engine.errors import ImageRejected
from tests.jobs.engine.conftest import LIMITS, photo

GRAY, RGB, CMYK, WHITE_IS_ZERO = 1, 2, 5, 0


def write_tiff(
    path: Path,
    pixels: np.ndarray,
    photometric: int,
    *,
    order: str = "<",
    extra: int | None = None,
    turn: int = 1,
    planes: bool = False,
) -> None:
    """An uncompressed TIFF of one strip, written by hand: no library here writes these kinds."""
    height, width, samples = pixels.shape
    strip = pixels.astype(f"{order}u2").tobytes()
    at = 8 + len(strip)
    depths = struct.pack(f"{order}{samples}H", *[16] * samples)
    entries = {256: (4, width), 257: (4, height), 259: (3, 1), 262: (3, photometric), 273: (4, 8), 274: (3, turn)}
    if planes:
        strip = np.ascontiguousarray(np.moveaxis(pixels, 2, 0)).astype(f"{order}u2").tobytes()
        entries[284] = (3, 2)
    entries |= {277: (3, samples), 278: (4, height), 279: (4, len(strip))}
    if extra is not None:
        entries[338] = (3, extra)
    packed = {
        tag: struct.pack(f"{order}HHI", tag, kind, 1) + struct.pack(f"{order}{'H' if kind == 3 else 'I'}", value)
        for tag, (kind, value) in entries.items()
    }
    value = depths if len(depths) <= 4 else struct.pack(f"{order}I", at)
    packed[258] = struct.pack(f"{order}HHI", 258, 3, samples) + value
    directory = b"".join(packed[tag].ljust(12, b"\0") for tag in sorted(packed))
    start = at + len(depths) + len(depths) % 2
    head = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(f"{order}I", start)
    body = (head + strip + depths).ljust(start, b"\0")
    path.write_bytes(body + struct.pack(f"{order}H", len(packed)) + directory + bytes(4))


def gray_alpha() -> np.ndarray:
    return np.dstack((photo(23, 17, channels=1, bits=16), photo(23, 17, channels=1, bits=16, seed=5)))


@pytest.mark.parametrize("channels", [3, 4])
def test_one_strip_for_all_planes_is_broken_and_never_read_beyond_its_end(tmp_path: Path, channels: int) -> None:
    pixels = photo(23, 17, channels=3, bits=16)
    whole = np.dstack((pixels, pixels[:, :, :1]))[:, :, :channels]
    write_tiff(tmp_path / "in.tiff", whole, RGB, planes=True, extra=2 if channels == 4 else None)
    with pytest.raises(ImageRejected, match="broken"):
        decode(tmp_path / "in.tiff", LIMITS)


def test_one_deep_sample_is_one_plane_either_way(tmp_path: Path) -> None:
    gray = photo(23, 17, channels=1, bits=16)
    write_tiff(tmp_path / "in.tiff", gray, GRAY, planes=True)
    assert np.array_equal(decode(tmp_path / "in.tiff", LIMITS).frames[0].color, gray)


@pytest.mark.parametrize("order", ["<", ">"])
def test_deep_gray_with_alpha_is_read_in_either_byte_order(tmp_path: Path, order: str) -> None:
    write_tiff(tmp_path / "in.tiff", gray_alpha(), GRAY, order=order, extra=2)
    header = probe(tmp_path / "in.tiff", LIMITS)
    assert (header.bits, header.gray, header.alpha) == (16, True, True)
    frame = decode(tmp_path / "in.tiff", LIMITS).frames[0]
    assert np.array_equal(frame.color, gray_alpha()[:, :, :1])
    assert frame.alpha is not None
    assert np.array_equal(frame.alpha, gray_alpha()[:, :, 1])


def test_deep_gray_with_alpha_is_turned_upright(tmp_path: Path) -> None:
    write_tiff(tmp_path / "in.tiff", gray_alpha(), GRAY, extra=2, turn=6)
    assert probe(tmp_path / "in.tiff", LIMITS).width == 17
    frame = decode(tmp_path / "in.tiff", LIMITS).frames[0]
    assert np.array_equal(frame.color[:, :, 0], np.rot90(gray_alpha()[:, :, 0], -1))


@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA"])
def test_a_turned_uncompressed_tiff_of_eight_bit_is_upright(tmp_path: Path, mode: str) -> None:
    stored = Image.fromarray(photo(23, 17)).convert(mode)
    stored.save(tmp_path / "in.tiff", tiffinfo={274: 6})
    frame = decode(tmp_path / "in.tiff", LIMITS).frames[0]
    upright = np.asarray(stored.transpose(Image.Transpose.ROTATE_270))
    assert np.array_equal(frame.color, upright.reshape(23, 17, -1)[:, :, :3])


def test_a_second_sample_of_unspecified_meaning_is_no_alpha(tmp_path: Path) -> None:
    write_tiff(tmp_path / "in.tiff", gray_alpha(), GRAY, extra=0)
    assert probe(tmp_path / "in.tiff", LIMITS).alpha is False
    assert decode(tmp_path / "in.tiff", LIMITS).frames[0].alpha is None


def test_a_fourth_sample_of_unspecified_meaning_is_no_alpha(tmp_path: Path) -> None:
    write_tiff(tmp_path / "in.tiff", np.full((9, 8, 4), 20_000, np.uint16), RGB, extra=0)
    assert probe(tmp_path / "in.tiff", LIMITS).alpha is False
    assert decode(tmp_path / "in.tiff", LIMITS).frames[0].alpha is None


@pytest.mark.parametrize(("photometric", "samples"), [(GRAY, 2), (RGB, 4)])
def test_premultiplied_colour_is_divided_by_its_alpha(tmp_path: Path, photometric: int, samples: int) -> None:
    pixels = np.full((9, 8, samples), 20_000, np.uint16)
    pixels[:, :, -1] = 40_000
    pixels[0, 0] = 0
    write_tiff(tmp_path / "in.tiff", pixels, photometric, extra=1)
    frame = decode(tmp_path / "in.tiff", LIMITS).frames[0]
    assert set(frame.color[1:].ravel()) == {32_768}
    assert set(frame.color[0, 0]) == {0}
    assert frame.alpha is not None
    assert frame.alpha[1, 1] == 40_000


@pytest.mark.parametrize("extra", [None, 2])
def test_white_is_zero_is_no_negative(tmp_path: Path, extra: int | None) -> None:
    pixels = gray_alpha() if extra else gray_alpha()[:, :, :1]
    write_tiff(tmp_path / "in.tiff", pixels, WHITE_IS_ZERO, extra=extra)
    frame = decode(tmp_path / "in.tiff", LIMITS).frames[0]
    assert np.array_equal(frame.color, 65_535 - gray_alpha()[:, :, :1])


def test_deep_cmyk_says_that_it_lost_its_depth(tmp_path: Path) -> None:
    write_tiff(tmp_path / "in.tiff", np.full((9, 8, 4), 20_000, np.uint16), CMYK)
    made = decode(tmp_path / "in.tiff", LIMITS)
    assert made.bits == 8
    assert made.notes == ("CMYK of 16 bit became sRGB of 8 bit",)
