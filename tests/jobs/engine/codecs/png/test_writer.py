"""PNG packed by ourselves: every sample comes back, by three decoders, whatever the strips and the threads."""

import io
import zlib
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from jobs.engine.codecs import deflate
from jobs.engine.codecs.png import pixels as png_pixels
from jobs.engine.codecs.png import writer as png
from jobs.engine.types import Frame, Metadata

Array = NDArray[Any]


def frame(height: int, width: int, samples: int, dtype: Any) -> Frame:
    """Half noise, half a slope, so that different strips want different filters."""
    rng = np.random.default_rng(height * 7 + width)
    whole: Any = rng.integers(0, np.iinfo(dtype).max + 1, (height, width, samples), dtype)
    whole[height // 2 :] = (np.arange(width) * 3 % 251)[np.newaxis, :, np.newaxis]
    if samples in (2, 4):
        return Frame(color=np.ascontiguousarray(whole[:, :, :-1]), alpha=np.ascontiguousarray(whole[:, :, -1]))
    return Frame(color=whole)


def packed(shot: Frame) -> bytes:
    return b"".join(png.still(shot, Metadata(), None))


def by_opencv(data: bytes, samples: int) -> Array:
    found: Array = np.asarray(cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED))
    if samples == 1:
        return found[:, :, np.newaxis]
    return found[:, :, {2: [0, 3], 3: [2, 1, 0], 4: [2, 1, 0, 3]}[samples]]


def wanted(shot: Frame) -> Array:
    return shot.color if shot.alpha is None else np.dstack((shot.color, shot.alpha))


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("samples", [1, 2, 3, 4])
@pytest.mark.parametrize(("height", "width"), [(1, 1), (2, 1), (1, 3), (37, 53), (900, 700)])
def test_every_sample_comes_back(height: int, width: int, samples: int, dtype: Any) -> None:
    shot = frame(height, width, samples, dtype)
    data = packed(shot)
    found = by_opencv(data, samples)
    assert found.dtype == dtype
    assert np.array_equal(found, wanted(shot))
    with Image.open(io.BytesIO(data)) as image:
        image.load()  # checks every CRC and the Adler-32 of the whole
        assert image.size == (width, height)
        if dtype is np.uint8:
            assert np.array_equal(np.asarray(image).reshape(height, width, samples), wanted(shot))


def test_a_large_picture_is_packed_in_several_strips_with_filters_of_their_own() -> None:
    shot = frame(900, 1500, 3, np.uint8)
    data = packed(shot)
    assert data.count(b"IDAT") > 4
    stream = b"".join(png_pixels.strips(shot))
    rows = np.frombuffer(zlib.decompress(stream), np.uint8).reshape(900, -1)
    assert len(set(rows[:, 0])) > 1


@pytest.mark.parametrize("threads", [1, 2, 16])
def test_the_number_of_threads_does_not_show(monkeypatch: pytest.MonkeyPatch, threads: int) -> None:
    shot = frame(900, 1500, 3, np.uint8)
    expected = packed(shot)
    monkeypatch.setattr(deflate, "_cores", lambda: threads)
    assert packed(shot) == expected


def test_the_standard_library_packs_as_well(monkeypatch: pytest.MonkeyPatch) -> None:
    shot = frame(300, 700, 4, np.uint16)
    monkeypatch.setattr(deflate, "deflater", zlib)
    assert np.array_equal(by_opencv(packed(shot), 4), wanted(shot))


def test_the_fast_library_is_the_one_that_is_used() -> None:
    assert deflate.deflater.__name__.startswith("zlib_ng")


def test_no_larger_than_opencv_on_photographs(shared_dir: Any) -> None:
    for name in ("00003.png", "OST_009.png"):
        pixels = np.asarray(cv2.imread(str(shared_dir / "images" / name)))
        pixels = np.asarray(cv2.resize(pixels, None, fx=2, fy=2, interpolation=cv2.INTER_CUBIC))
        done, data = cv2.imencode(".png", pixels)
        assert done
        assert len(packed(Frame(color=np.ascontiguousarray(pixels[:, :, ::-1])))) <= len(data)


def test_checksums_of_pieces_make_that_of_the_whole() -> None:
    data = np.random.default_rng(0).integers(0, 256, 200_000, np.uint8).tobytes()
    for cut in (0, 1, 65_521, 65_522, 199_999, 200_000):
        one, two = zlib.adler32(data[:cut]), zlib.adler32(data[cut:])
        assert png_pixels.combine(one, two, len(data) - cut) == zlib.adler32(data)
