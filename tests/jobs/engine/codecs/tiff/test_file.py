"""The TIFF plugin beside the matrix: turning, small renditions, YCbCr and JPEG, palettes, pages, big-endian BigTIFF."""

import io
import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from jobs.engine.codec import decode, encode
from jobs.engine.codecs.color.pixels import turn
from jobs.engine.codecs.open import open_image
from jobs.engine.codecs.probe import probe
from jobs.engine.errors import FormatUnsupported
from jobs.engine.types import EncodeOptions, Picture
from tests.jobs.engine.codecs.tiff.made import (
    BLACK,
    DEFLATE,
    FLOAT,
    JPEG,
    LZW,
    MASK,
    NONE,
    PACKBITS,
    PALETTE,
    RGB,
    WHITE,
    YCBCR,
    Page,
    packed,
    tiff,
)
from tests.jobs.engine.conftest import LIMITS, photo

Array = NDArray[Any]


def values(bits: int, samples: int, *, size: tuple[int, int] = (21, 19), seed: int = 0) -> Array:
    width, height = size
    return np.random.default_rng(seed).integers(0, 1 << bits, (height, width, samples))


def read(folder: Path, data: bytes) -> Picture:
    (folder / "in.tif").write_bytes(data)
    return decode(folder / "in.tif", LIMITS)


def rendition(path: Path) -> Array:
    """The pixels that Pillow's own methods give of the opened file: what thumbnails are made of."""
    with path.open("rb") as file:
        return np.asarray(open_image(file, path)[1])


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("planar", [False, True])
@pytest.mark.parametrize("bits", [8, 12, 16])
@pytest.mark.parametrize("samples", [3, 4])
def test_every_kind_is_turned_upright_and_so_is_its_rendition(
    tmp_path: Path, samples: int, bits: int, planar: bool, orientation: int
) -> None:
    stored = values(bits, samples)
    page = Page(stored, RGB, bits, extra=(2,) * (samples - 3), planar=planar, orientation=orientation)
    frame = read(tmp_path, tiff(page)).frames[0]
    shown = turn(np.rint(stored * (255 if bits == 8 else 65535) / ((1 << bits) - 1)).astype(np.int64), orientation)
    assert np.array_equal(frame.color, shown[:, :, :3])
    assert frame.alpha is None or np.array_equal(frame.alpha, shown[:, :, 3])
    header = probe(tmp_path / "in.tif", LIMITS)
    assert (header.height, header.width) == shown.shape[:2]
    assert np.array_equal(rendition(tmp_path / "in.tif"), shown if bits == 8 else shown >> 8)


@pytest.mark.parametrize("compression", [NONE, LZW, DEFLATE, PACKBITS])
@pytest.mark.parametrize("bits", [1, 2, 4, 8, 12, 16])
@pytest.mark.parametrize("samples", [1, 3])
def test_bytes_whose_bits_stand_the_other_way_round(tmp_path: Path, samples: int, bits: int, compression: int) -> None:
    for order in "<>":
        page = Page(values(bits, samples), RGB if samples == 3 else BLACK, bits, compression=compression)
        usual = read(tmp_path, tiff(page, order=order)).frames[0].color
        turned = Page(page.pixels, page.photometric, bits, compression=compression, reversed_bits=True)
        assert np.array_equal(read(tmp_path, tiff(turned, order=order)).frames[0].color, usual)


@pytest.mark.parametrize("compression", ["lzma", "zstd", "tiff_lzw"])
@pytest.mark.parametrize("bits", [8, 16])
def test_what_libtiff_itself_packed(tmp_path: Path, bits: int, compression: str) -> None:
    """Long runs of bytes come again, so that LZW's codes become longer than those of `made`."""
    pixels = np.tile(photo(90, 7, channels=1, bits=bits)[:, :, 0], (20, 2))
    Image.fromarray(pixels).save(tmp_path / "in.tif", compression=compression)
    assert np.array_equal(decode(tmp_path / "in.tif", LIMITS).frames[0].color[:, :, 0], pixels)


@pytest.mark.parametrize(("bits", "depth"), [(2, 8), (8, 8), (10, 10), (12, 12), (14, 16), (16, 16), (32, 16)])
def test_the_depth_is_told_and_every_value_comes_back(tmp_path: Path, bits: int, depth: int) -> None:
    made = read(tmp_path, tiff(Page(values(bits, 3), RGB, bits)))
    assert made.depth == depth
    encode(made, tmp_path / "out.tif")
    assert np.array_equal(decode(tmp_path / "out.tif", LIMITS).frames[0].color, made.frames[0].color)


@pytest.mark.parametrize("bits", [4, 10, 12, 24])
def test_the_horizontal_predictor_of_odd_depths(tmp_path: Path, bits: int) -> None:
    plain = Page(values(bits, 3), RGB, bits, compression=DEFLATE)
    predicted = Page(plain.pixels, RGB, bits, compression=DEFLATE, predictor=2)
    found = read(tmp_path, tiff(predicted)).frames[0].color
    assert np.array_equal(found, read(tmp_path, tiff(plain)).frames[0].color)


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("big", [False, True])
@pytest.mark.parametrize("compression", [NONE, LZW, DEFLATE])
@pytest.mark.parametrize("across, down", [(1, 1), (2, 1), (2, 2)])  # noqa: PT006 - one idea, two numbers
def test_ycbcr_is_read_with_its_subsampling(
    tmp_path: Path, across: int, down: int, compression: int, big: bool, order: str
) -> None:
    """JFIF's formula (BT.601, full range); chroma of one value for each block, so that no filter matters."""
    random = np.random.default_rng(3)
    light = random.integers(60, 200, (16, 24))
    blue, red = (random.integers(100, 156, (16 // down, 24 // across)) for _ in range(2))
    units = light.reshape(16 // down, down, 24 // across, across).swapaxes(1, 2).reshape(-1, across * down)
    data = np.concatenate((units, blue.reshape(-1, 1), red.reshape(-1, 1)), axis=1).astype(np.uint8)
    rows = 4 // down * (24 // across)  # data units in a strip of four rows
    strips = [data[at : at + rows] for at in range(0, len(data), rows)]
    coded = tuple(packed(strip.reshape(4, -1), compression) for strip in strips)
    more = {530: (3, [across, down])}
    page = Page(np.zeros((16, 24, 3)), YCBCR, compression=compression, coded=coded, more=more)
    frame = read(tmp_path, tiff(page, order=order, big=big)).frames[0]
    full = [np.kron(part, np.ones((down, across))) - 128 for part in (blue, red)]
    wanted = np.dstack(
        (light + 1.402 * full[1], light - 0.344136 * full[0] - 0.714136 * full[1], light + 1.772 * full[0])
    )
    assert np.abs(frame.color - wanted).max() <= 2  # libtiff rounds twice


def stream(pixels: Array, **options: Any) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels.astype(np.uint8).squeeze()).save(file, "JPEG", quality=95, **options)
    return file.getvalue()


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("big", [False, True])
@pytest.mark.parametrize("tile", [0, 16])
@pytest.mark.parametrize("kind", ["gray", "white is zero", "RGB", "RGB in planes", "YCbCr"])
def test_jpeg_in_strips_and_tiles(tmp_path: Path, kind: str, tile: int, big: bool, order: str) -> None:
    picture = photo(32, 32, channels=1 if kind in ("gray", "white is zero") else 3)
    planes = np.moveaxis(picture, 2, 0)[..., np.newaxis] if kind == "RGB in planes" else picture[np.newaxis]
    boxes = [(top, left, 16, 16) for top in (0, 16) for left in (0, 16)] if tile else [(0, 0, 16, 32), (16, 0, 16, 32)]
    options = {"keep_rgb": True} if kind == "RGB" else {"subsampling": 0} if kind == "YCbCr" else {}
    coded, wanted = [], np.zeros_like(picture)
    for number, plane in enumerate(planes):
        for top, left, height, width in boxes:
            coded.append(stream(plane[top : top + height, left : left + width], **options))
            part = np.asarray(Image.open(io.BytesIO(coded[-1]))).reshape(height, width, -1)
            target = wanted[:, :, number : number + 1] if len(planes) > 1 else wanted
            target[top : top + height, left : left + width] = part
    photometric = {"gray": BLACK, "white is zero": WHITE, "YCbCr": YCBCR}.get(kind, RGB)
    more = {530: (3, [1, 1])} if kind == "YCbCr" else {}
    page = Page(
        picture, photometric, compression=JPEG, tile=tile, rows=16, planar=len(planes) > 1, coded=tuple(coded),
        more=more,
    )  # fmt: skip
    found = read(tmp_path, tiff(page, order=order, big=big)).frames[0].color
    if kind == "white is zero":
        wanted = 255 - wanted
    assert np.abs(found.astype(int) - wanted).max() <= 1  # libtiff's libjpeg may not be Pillow's


@pytest.mark.parametrize("bits", [1, 4, 8])
@pytest.mark.parametrize("planar", [False, True])
def test_a_palette_of_eight_bit_numbers_is_not_black(tmp_path: Path, bits: int, planar: bool) -> None:
    """Some writers forget that a ColorMap reaches to 65535; libtiff heeds it too."""
    colors = np.random.default_rng(1).integers(0, 256, (1 << bits, 3))
    more = {320: (3, [int(value) for value in colors.T.ravel()])}
    extra = (2,) if planar else ()
    stored = values(bits, 1 + planar)
    frame = read(tmp_path, tiff(Page(stored, PALETTE, bits, extra=extra, planar=planar, more=more))).frames[0]
    assert np.array_equal(frame.color, colors[stored[:, :, 0]])
    if planar:
        assert frame.alpha is not None
        assert np.array_equal(frame.alpha, stored[:, :, 1] * 255 // ((1 << bits) - 1))


PAGES = {
    "gray of 8 bit": Page(values(8, 1)),
    "gray of 16 bit": Page(values(16, 1, seed=1), BLACK, 16, compression=LZW),
    "RGB in planes": Page(values(8, 3, seed=2), RGB, planar=True),
    "RGB of 12 bit": Page(values(12, 3, seed=3), RGB, 12),
    "RGB with alpha": Page(values(8, 4, seed=4), RGB, extra=(2,), compression=DEFLATE),
    "floating point": Page(np.random.default_rng(5).random((19, 21, 1)), BLACK, 32, format=FLOAT),
}


@pytest.mark.parametrize("big", [False, True])
@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("first, second", itertools.permutations(PAGES, 2))  # noqa: PT006 - one idea
def test_pages_of_two_kinds_become_alike_and_come_back(
    tmp_path: Path, first: str, second: str, order: str, big: bool
) -> None:
    alone = [read(tmp_path, tiff(PAGES[name])).frames[0] for name in (first, second)]
    mask = Page(values(1, 1), MASK, 1, more={254: (4, [4])})
    together = read(tmp_path, tiff(PAGES[first], mask, PAGES[second], order=order, big=big))
    deep = any(frame.color.dtype == np.uint16 for frame in alone)
    assert probe(tmp_path / "in.tif", LIMITS).bits == (16 if deep else 8)
    assert len(together.frames) == 2
    for one, frame in zip(alone, together.frames, strict=True):
        factor = 257 if deep and one.color.dtype == np.uint8 else 1
        assert np.array_equal(frame.color, np.broadcast_to(one.color * np.uint16(factor), frame.color.shape))
        if one.alpha is not None:
            assert frame.alpha is not None
            assert np.array_equal(frame.alpha, one.alpha * np.uint16(factor))
        elif frame.alpha is not None:
            assert frame.alpha.min() == np.iinfo(frame.alpha.dtype).max
    encode(together, tmp_path / "out.tif")
    for one, frame in zip(together.frames, decode(tmp_path / "out.tif", LIMITS).frames, strict=True):
        assert np.array_equal(one.color, frame.color)


def test_deep_pages_do_not_become_an_animation_of_eight_bit(tmp_path: Path) -> None:
    made = read(tmp_path, tiff(PAGES["gray of 16 bit"], PAGES["RGB of 12 bit"]))
    with pytest.raises(FormatUnsupported, match=r"WEBP cannot hold the result: .*8 bit .* tiff can"):
        encode(made, tmp_path / "out", EncodeOptions(format="webp"))
    encode(made, tmp_path / "out", EncodeOptions(format="png"))
    for one, frame in zip(made.frames, decode(tmp_path / "out", LIMITS).frames, strict=True):
        assert frame.color.dtype == np.uint16
        assert np.array_equal(one.color, frame.color)


@pytest.mark.parametrize("big", [False, True])
@pytest.mark.parametrize("order", ["<", ">"])
def test_pages_of_different_sizes_are_refused_with_both_sizes(tmp_path: Path, order: str, big: bool) -> None:
    pages = [Page(values(8, 1)), Page(values(16, 1, size=(20, 19)), BLACK, 16)]
    (tmp_path / "in.tif").write_bytes(tiff(*pages, order=order, big=big))
    with pytest.raises(FormatUnsupported, match=r"21×19 px and 20×19 px.*each as a file of its own"):
        probe(tmp_path / "in.tif", LIMITS)


def test_pages_that_are_turned_to_one_size_belong_together(tmp_path: Path) -> None:
    pages = [Page(values(8, 1)), Page(values(16, 1, size=(19, 21)), BLACK, 16, orientation=6)]
    made = read(tmp_path, tiff(*pages))
    assert [frame.color.shape for frame in made.frames] == [(19, 21, 1)] * 2
    assert np.array_equal(made.frames[1].color, turn(pages[1].pixels, 6))


@pytest.mark.parametrize("order", ["<", ">"])
def test_a_thumbnail_that_is_not_read_hides_no_page(tmp_path: Path, order: str) -> None:
    thumbnail = Page(values(8, 1), BLACK, format=2, more={254: (4, [1])})
    page = Page(values(16, 3, size=(40, 30)), RGB, 16)
    made = read(tmp_path, tiff(thumbnail, page, order=order))
    assert np.array_equal(made.frames[0].color, page.pixels)
