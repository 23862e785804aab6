"""JPEG XL: headers of every kind against the library's own reading, metadata, refusals, bombs, damage."""

import contextlib
import io
import struct
import sys
from pathlib import Path
from typing import Any

import numpy as np
import piexif
import pytest
from numpy.typing import NDArray
from PIL import Image

from jobs.engine.codec import decode, encode
from jobs.engine.codecs import jxl, jxl_writer
from jobs.engine.codecs.probe import probe
from jobs.engine.errors import EngineError, FormatUnsupported, ImageTooLarge
from tests.jobs.engine.codecs.samples import read
from tests.jobs.engine.conftest import LIMITS, photo

pytest.importorskip("pillow_jxl", reason="pillow-jxl-plugin is not installed")

EXIF = piexif.dump({"0th": {piexif.ImageIFD.Make: b"Camera", piexif.ImageIFD.Orientation: 6}}).removeprefix(b"Exif\0\0")


def written(pixels: NDArray[Any], **settings: Any) -> bytes:
    file = io.BytesIO()
    squeezed = pixels[:, :, 0] if pixels.ndim == 3 and pixels.shape[2] == 1 else pixels
    Image.fromarray(squeezed).save(file, "JXL", **{"lossless": True, **settings})
    return file.getvalue()


@pytest.mark.parametrize("size", [(1, 1), (8, 8), (40, 30), (256, 256), (257, 100), (160, 90), (300, 200), (2000, 3)])
@pytest.mark.parametrize("container", [False, True])
@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_the_header_says_what_the_library_decodes(
    tmp_path: Path, size: tuple[int, int], container: bool, channels: int
) -> None:
    pixels = photo(*size, channels=channels)
    data = written(pixels, use_container=container)
    (tmp_path / "in.jxl").write_bytes(data)
    header = probe(tmp_path / "in.jxl", LIMITS)
    assert (header.width, header.height, header.bits) == (*size, 8)
    assert (header.gray, header.alpha) == (channels < 3, channels in (2, 4))
    frame = decode(tmp_path / "in.jxl", LIMITS).frames[0]
    colors = 1 if channels < 3 else 3
    if frame.alpha is None:
        assert channels in (1, 3)
        assert np.array_equal(frame.color, pixels)
    else:
        seen = frame.alpha > 0
        assert np.array_equal(frame.alpha, pixels[:, :, -1])
        assert np.array_equal(frame.color[seen], pixels[:, :, :colors][seen])


def test_gray_of_16_bit_keeps_every_bit(tmp_path: Path) -> None:
    pixels = photo(40, 30, channels=1, bits=16)
    made = read(tmp_path, written(pixels))
    assert made.bits == 16
    assert np.array_equal(made.frames[0].color, pixels)


def test_metadata_is_kept_and_the_picture_is_turned_once(tmp_path: Path) -> None:
    """In JPEG XL the codestream turns; EXIF's orientation says nothing (18181-2)."""
    made = read(tmp_path, written(photo(40, 30), exif=EXIF, xmp=b"<x:xmpmeta xmlns:x='adobe:ns:meta/'/>"))
    assert (made.width, made.height) == (40, 30)
    assert made.metadata.exif is not None
    found = piexif.load(made.metadata.exif)["0th"]
    assert (found[piexif.ImageIFD.Make], found[piexif.ImageIFD.Orientation]) == (b"Camera", 1)
    assert made.metadata.xmp == b"<x:xmpmeta xmlns:x='adobe:ns:meta/'/>"
    assert made.metadata.icc is not None
    assert encode(made, tmp_path / "out").format == ("jxl" if jxl_writer.installed() else "png")


def compressed(kind: bytes, data: bytes) -> bytes:
    """A file with a box of metadata that is compressed by Brotli."""
    box = (12 + len(data)).to_bytes(4, "big") + b"brob" + kind + data
    plain = written(photo(40, 30), use_container=True)
    return plain[:32] + box + plain[32:]


def test_compressed_metadata_is_read(tmp_path: Path) -> None:
    brotli = pytest.importorskip("brotli")
    made = read(tmp_path, compressed(b"Exif", brotli.compress(bytes(4) + EXIF)))
    assert made.metadata.exif is not None
    assert piexif.load(made.metadata.exif)["0th"][piexif.ImageIFD.Make] == b"Camera"
    assert made.notes == ()
    packet = b"<x:xmpmeta xmlns:x='adobe:ns:meta/'/>"
    assert read(tmp_path, compressed(b"xml ", brotli.compress(packet))).metadata.xmp == packet


@pytest.mark.parametrize("kind", ["damaged", "cut short", "a bomb", "not installed"])
def test_compressed_metadata_that_is_not_read_is_named(
    tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    brotli = pytest.importorskip("brotli")
    data = brotli.compress(bytes(80 << 20) if kind == "a bomb" else bytes(4) + EXIF * 50)
    if kind == "damaged":
        data = b"\xff" * 40
    elif kind == "cut short":
        data = data[:-9]
    elif kind == "not installed":
        monkeypatch.setitem(sys.modules, "brotli", None)
    made = read(tmp_path, compressed(b"Exif", data))
    assert made.metadata.exif is None
    assert made.notes == ("not kept: Exif compressed by Brotli",)


def test_a_jpeg_inside_is_the_jpeg(tmp_path: Path) -> None:
    Image.fromarray(photo(40, 30)).save(tmp_path / "in.jpg", quality=95)
    with Image.open(tmp_path / "in.jpg") as image:
        file = io.BytesIO()
        image.save(file, "JXL", lossless_jpeg=True)
        wanted = np.asarray(image)
    assert np.array_equal(read(tmp_path, file.getvalue()).frames[0].color, wanted)


def bits(*fields: tuple[int, int]) -> bytes:
    """A bare codestream of (value, bits), the lowest bit first."""
    value, at = 0, 0
    for number, count in fields:
        value |= number << at
        at += count
    return b"\xff\x0a" + value.to_bytes(at // 8 + 40, "little")


#: Not small, height 30,000 by 18 bits, width the same; everything else as usual.
BOMB = bits((0, 1), (2, 2), (29_999, 18), (1, 3), (1, 1))


def test_a_bomb_is_refused_before_anything_is_decoded(tmp_path: Path) -> None:
    (tmp_path / "in.jxl").write_bytes(BOMB)
    with pytest.raises(ImageTooLarge, match="30000×30000"):
        probe(tmp_path / "in.jxl", LIMITS)
    with pytest.raises(ImageTooLarge, match="30000×30000"):
        decode(tmp_path / "in.jxl", LIMITS)


SIZE = ((1, 1), (0, 5), (1, 3), (0, 1))  # small, 8×8, not all as usual


@pytest.mark.parametrize(
    "fields",
    [
        (*SIZE, (1, 1), (0, 3), (0, 1), (0, 1), (1, 1)),  # an animation
        (*SIZE, (0, 1), (1, 1), (0, 2), (7, 4)),  # floating point
        (*SIZE, (0, 1), (0, 1), (1, 2)),  # 10 bit
    ],
    ids=["animation", "floating point", "10 bit"],
)
def test_what_is_not_read_is_refused_by_name(tmp_path: Path, fields: tuple[tuple[int, int], ...]) -> None:
    (tmp_path / "in.jxl").write_bytes(bits(*fields))
    with pytest.raises(FormatUnsupported, match="animation, floating-point samples or colour of more than 8 bit"):
        probe(tmp_path / "in.jxl", LIMITS)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_the_codestream_s_orientation_swaps_the_sides(orientation: int) -> None:
    fields = ((1, 1), (0, 5), (0, 3), (1, 5), (0, 1), (1, 1), (orientation - 1, 3))  # 16 wide, 8 high
    header = jxl.read_header(io.BytesIO(bits(*fields)))
    assert header.orientation == orientation
    assert (header.width, header.height) == ((8, 16) if orientation >= 5 else (16, 8))


def test_without_the_package_it_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "in.jxl").write_bytes(written(photo(40, 30)))
    monkeypatch.setitem(sys.modules, "pillow_jxl.JpegXLImagePlugin", None)
    assert probe(tmp_path / "in.jxl", LIMITS).width == 40
    with pytest.raises(FormatUnsupported, match="pillow-jxl-plugin"):
        decode(tmp_path / "in.jxl", LIMITS)


def test_damage_ends_in_a_picture_or_an_error_of_ours(tmp_path: Path) -> None:
    random = np.random.default_rng(3)
    wholes = [
        written(photo(40, 30)), written(photo(40, 30, channels=4), exif=EXIF, xmp=b"<x/>"),
        written(photo(40, 30, channels=1)), written(photo(60, 50), lossless=False, quality=80),
    ]  # fmt: skip
    path = tmp_path / "in.jxl"
    for index in range(1000):
        data = bytearray(wholes[index % len(wholes)])
        for _ in range(random.integers(1, 6)):
            data[int(random.integers(0, len(data)))] = random.integers(0, 256)
        if index % 5 == 0:
            del data[int(random.integers(1, len(data))) :]
        path.write_bytes(data)
        with contextlib.suppress(EngineError):
            decode(path, LIMITS)


def test_boxes_of_any_size_are_passed_over() -> None:
    data = jxl.CONTAINER + struct.pack(">I4sQ", 1, b"junk", 20) + b"1234" + struct.pack(">I4s", 0, b"jxlc") + BOMB
    assert jxl.read_header(io.BytesIO(data)).width == 30_000
