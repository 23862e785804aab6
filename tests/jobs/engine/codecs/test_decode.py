"""Pictures are read as they are meant, from real files that other programs' encoders wrote."""

import struct
import zlib
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pillow_heif
import pytest
from PIL import Image

from jobs.engine.codec import decode
from jobs.engine.codecs.probe import probe
from jobs.engine.errors import FormatUnsupported
from tests.jobs.engine.conftest import LIMITS, difference, photo


def tile_of(pixels: np.ndarray) -> np.ndarray:
    return pixels.reshape(-1)


def test_sixteen_bits_are_decided_by_the_file_not_by_its_pixels(tmp_path: Path) -> None:
    dark = (photo(20, 20) // 2).astype(np.uint16)  # no value above 127: the reference takes this for 8 bit
    cv2.imwrite(str(tmp_path / "dark.png"), dark)
    back = decode(tmp_path / "dark.png", LIMITS)
    assert back.bits == 16
    assert difference(back.frames[0].color, np.ascontiguousarray(dark[:, :, ::-1])) == 0


@pytest.mark.parametrize(
    ("mode", "wanted"),
    [("1", "gray"), ("L", "gray"), ("LA", "gray+alpha"), ("P", "rgb"), ("RGB", "rgb"), ("RGBA", "rgb+alpha")],
)
def test_png_modes_become_gray_or_rgb_with_the_same_values(tmp_path: Path, mode: str, wanted: str) -> None:
    source = Image.fromarray(np.dstack((photo(31, 17), photo(31, 17, channels=1, seed=9)))).convert("RGBA")
    source = source.quantize(64) if mode == "P" else source.convert(mode)
    if mode == "P":
        source.info.pop("transparency", None)
        source = Image.fromarray(photo(31, 17)).quantize(64)
    path = tmp_path / "in.png"
    source.save(path)
    frame = decode(path, LIMITS).frames[0]
    assert frame.color.shape[2] == (1 if wanted.startswith("gray") else 3)
    expected = np.asarray(source.convert({"gray": "L", "gray+alpha": "LA", "rgb": "RGB", "rgb+alpha": "RGBA"}[wanted]))
    if expected.ndim == 2:
        expected = expected[:, :, np.newaxis]
    assert difference(frame.color, np.ascontiguousarray(expected[:, :, : frame.color.shape[2]])) == 0
    assert (frame.alpha is not None) == wanted.endswith("alpha")
    if frame.alpha is not None:
        assert difference(frame.alpha, np.ascontiguousarray(expected[:, :, -1])) == 0
    header = probe(path, LIMITS)
    assert (header.gray, header.alpha) == (wanted.startswith("gray"), wanted.endswith("alpha"))


def test_a_transparent_palette_entry_becomes_alpha(tmp_path: Path) -> None:
    source = Image.fromarray(photo(31, 17)).quantize(16)
    source.save(tmp_path / "in.png", transparency=3)
    frame = decode(tmp_path / "in.png", LIMITS).frames[0]
    assert frame.alpha is not None
    assert np.array_equal(frame.alpha == 0, np.asarray(source) == 3)


@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("channels", [1, 3])
def test_a_transparent_colour_becomes_alpha(tmp_path: Path, bits: int, channels: int) -> None:
    """tRNS on gray and RGB, 8 and 16 bit (PNG specification, 11.3.1.1)."""
    pixels = photo(12, 9, channels=channels, bits=bits)
    pixels[2:4, 3:6] = pixels[0, 0]
    data = cv2.imencode(".png", pixels[:, :, ::-1] if channels == 3 else pixels)[1].tobytes()
    key = b"".join(int(value).to_bytes(2, "big") for value in pixels[0, 0])
    chunk = b"tRNS" + key
    data = data[:33] + struct.pack(">I", len(key)) + chunk + struct.pack(">I", zlib.crc32(chunk)) + data[33:]
    (tmp_path / "in.png").write_bytes(data)
    assert probe(tmp_path / "in.png", LIMITS).alpha
    frame = decode(tmp_path / "in.png", LIMITS).frames[0]
    assert frame.alpha is not None
    assert frame.color.shape[2] == channels
    assert frame.color.dtype == pixels.dtype
    hidden = (pixels == pixels[0, 0]).all(axis=2)
    assert np.array_equal(frame.alpha == 0, hidden)
    assert np.array_equal(frame.color[~hidden], pixels[~hidden])


@pytest.mark.parametrize("name", ["bmp", "gif", "webp", "jpeg", "avif", "heic", "tiff"])
def test_every_input_format_is_read(tmp_path: Path, name: str) -> None:
    source = Image.fromarray(photo(64, 48))
    path = tmp_path / "in.dat"  # the name says nothing
    if name == "heic":
        pillow_heif.from_pillow(source).save(path, quality=95, format="HEIF")
    else:
        source.save(path, format=name.upper())
    header = probe(path, LIMITS)
    assert (header.format, header.width, header.height, header.frames) == (name, 64, 48, 1)
    frame = decode(path, LIMITS).frames[0]
    assert frame.color.shape == (48, 64, 3)
    error = np.abs(frame.color.astype(int) - np.asarray(source).astype(int)).mean()
    assert error < 12


def test_ten_bit_heic_keeps_its_depth(tmp_path: Path) -> None:
    deep = photo(64, 48, bits=16)
    pillow_heif.encode("RGB;16", (64, 48), deep.tobytes(), str(tmp_path / "in.heic"), quality=-1)
    header = probe(tmp_path / "in.heic", LIMITS)
    assert header.bits == 16
    back = decode(tmp_path / "in.heic", LIMITS).frames[0].color
    assert back.dtype == np.uint16
    assert np.abs(back.astype(int) - deep.astype(int)).mean() < 3000
    assert len(np.unique(back)) > 256


def test_big_endian_and_planar_and_cmyk_tiff(tmp_path: Path) -> None:
    pixels = photo(20, 10, bits=16)
    cv2.imwrite(str(tmp_path / "a.tiff"), pixels[:, :, ::-1], [cv2.IMWRITE_TIFF_COMPRESSION, 1])
    assert difference(decode(tmp_path / "a.tiff", LIMITS).frames[0].color, pixels) == 0
    Image.fromarray(photo(20, 10)).convert("CMYK").save(tmp_path / "b.tiff")
    assert decode(tmp_path / "b.tiff", LIMITS).frames[0].color.shape == (10, 20, 3)
    Image.fromarray(photo(20, 10, channels=1).astype(np.float32)[:, :, 0]).save(tmp_path / "c.tiff")
    with pytest.raises(FormatUnsupported, match="floating-point"):
        decode(tmp_path / "c.tiff", LIMITS)


def test_twelve_bits_of_a_tiff_reach_over_the_whole_range(tmp_path: Path) -> None:
    values = [0, 1, 2048, 4095]
    packed = bytes.fromhex("".join(f"{value:03x}" for value in values))
    entries = {256: 4, 257: 1, 258: 12, 259: 1, 262: 1, 273: 8, 277: 1, 278: 1, 279: len(packed)}
    data = struct.pack("<2sHI", b"II", 42, 8 + len(packed)) + packed + struct.pack("<H", len(entries))
    data += b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in entries.items()) + bytes(4)
    (tmp_path / "in.tiff").write_bytes(data)
    found = decode(tmp_path / "in.tiff", LIMITS).frames[0].color[0, :, 0]
    assert found.tolist() == [round(value * 65535 / 4095) for value in values]


def test_decoding_is_what_opencv_and_so_the_reference_sees(shared_dir: Path) -> None:
    for path in sorted((shared_dir / "images").iterdir()):
        ours = decode(path, LIMITS).frames[0]
        theirs: Any = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
        if theirs.ndim == 2:
            theirs = theirs[:, :, np.newaxis]
        color = theirs if theirs.shape[2] == 1 else theirs[:, :, 2::-1]
        assert difference(ours.color, np.ascontiguousarray(color)) <= 1
