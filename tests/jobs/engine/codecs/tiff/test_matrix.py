"""TIFF of every kind in every coding: the pixels that it was made from, or a refusal that names the kind."""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageCms

from jobs.engine.codec import decode
from jobs.engine.codecs.probe import probe
from tests.jobs.engine.codecs.tiff.made import (
    BLACK,
    CMYK,
    DEFLATE,
    FLOAT,
    LAB,
    LZW,
    NONE,
    PACKBITS,
    PALETTE,
    RGB,
    UNSIGNED,
    WHITE,
    Page,
    tiff,
)
from tests.jobs.engine.conftest import LIMITS

WIDTH, HEIGHT = 21, 19  # two tiles across and down, five strips of which the last is lower
COLORS = {WHITE: 1, BLACK: 1, RGB: 3, PALETTE: 1, CMYK: 4, LAB: 3}
NAMES = {WHITE: "white-is-zero", BLACK: "black-is-zero", RGB: "RGB", PALETTE: "palette", CMYK: "CMYK", LAB: "Lab"}
#: ExtraSamples: unspecified, premultiplied alpha, alpha.
OTHER, ASSOCIATED, ALPHA = 0, 1, 2
Array = NDArray[Any]


@dataclass(frozen=True)
class Kind:
    """What the samples mean."""

    photometric: int
    bits: int
    format: int | None = None
    extra: tuple[int, ...] = ()

    def __str__(self) -> str:
        name = f"{NAMES[self.photometric]}-{'f' if self.format == FLOAT else ''}{self.bits}"
        return name + "".join(f"-{('other', 'premultiplied', 'alpha')[one]}" for one in self.extra)

    @property
    def samples(self) -> int:
        return COLORS[self.photometric] + len(self.extra)

    @property
    def full(self) -> int:
        """The number that is white, or full ink."""
        return 1 if self.format == FLOAT else (1 << self.bits) - 1

    @property
    def most(self) -> int:
        """That of the array that is decoded."""
        return 65535 if self.bits > 8 else 255

    def pixels(self) -> Array:
        """Samples as stored, both ends of the range among them."""
        random = np.random.default_rng(self.bits + self.samples)
        shape = (HEIGHT, WIDTH, self.samples)
        if self.format == FLOAT:
            values = random.random(shape).astype(f"f{self.bits // 8}")
        else:
            values = random.integers(0, self.full + 1, shape)
        values[0, 0], values[0, 1] = 0, self.full
        return values

    def shown(self) -> tuple[Array, Array | None]:
        """The colour and alpha that are to be seen, by the rules of TIFF 6.0 and this project's documents."""
        stored = self.pixels()
        color = stored[:, :, : COLORS[self.photometric]]
        if self.photometric != PALETTE:
            color = np.rint(color.astype(np.float64) * (self.most / self.full)).astype(np.int64)
        at = next((at for at, meaning in enumerate(self.extra) if meaning != OTHER), None)
        alpha = None
        if at is not None:
            alpha = stored[:, :, COLORS[self.photometric] + at].astype(np.float64)
            alpha = np.rint(alpha * (self.most / self.full)).astype(np.int64)
            if self.extra[at] == ASSOCIATED:
                whole = (color * self.most + alpha[:, :, None] // 2) // np.maximum(alpha[:, :, None], 1)
                color = np.where(alpha[:, :, None] > 0, np.minimum(whole, self.most), 0)
        if self.photometric == WHITE:
            color = self.most - color
        elif self.photometric == PALETTE:
            color = self.palette()[color[:, :, 0]]
        elif self.photometric in (CMYK, LAB):
            if self.most == 65535:  # other colour spaces become sRGB in 8 bit
                color = np.rint(color / 257)
                alpha = None if alpha is None else np.rint(alpha / 257).astype(np.int64)
            color = as_srgb(color.astype(np.uint8), self.photometric)
        return color, alpha

    def palette(self) -> Array:
        """Colours (n, 3) in the depth of the result, which is that of the indices."""
        colors = np.random.default_rng(1).integers(0, 256, (1 << self.bits, 3))
        return colors if self.most == 255 else colors * 257

    def page(self, **coding: Any) -> Page:
        more = {}
        if self.photometric == PALETTE:
            colors = self.palette() * (257 if self.most == 255 else 1)
            more[320] = (3, [int(value) for value in colors.T.ravel()])
        return Page(
            self.pixels(), self.photometric, self.bits, format=self.format, extra=self.extra, more=more, **coding
        )


def as_srgb(pixels: Array, photometric: int) -> Array:
    """What Pillow and LittleCMS make of CMYK and L*a*b* of 8 bit."""
    if photometric == CMYK:
        return np.asarray(Image.frombytes("CMYK", (WIDTH, HEIGHT), pixels.tobytes()).convert("RGB"))
    lab = Image.frombytes("LAB", (WIDTH, HEIGHT), pixels.tobytes(), "raw", "LAB")
    made = ImageCms.profileToProfile(
        lab, ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB"),
        renderingIntent=ImageCms.Intent.RELATIVE_COLORIMETRIC, outputMode="RGB",
        flags=ImageCms.Flags.BLACKPOINTCOMPENSATION,
    )  # fmt: skip
    assert made is not None
    return np.asarray(made)


def kinds() -> Iterator[Kind]:
    for photometric in (WHITE, BLACK, RGB):
        for bits in (1, 2, 3, 4, 6, 8, 9, 10, 12, 14, 16, 20, 24, 32):
            yield Kind(photometric, bits)
        for bits in (16, 32, 64):
            yield Kind(photometric, bits, FLOAT)
        yield Kind(photometric, 16, UNSIGNED)
        for extra in ((OTHER,), (ASSOCIATED,), (ALPHA,), (OTHER, ALPHA), (ALPHA, OTHER), (OTHER, OTHER)):
            if photometric != WHITE or ASSOCIATED not in extra:
                yield from (Kind(photometric, bits, None, extra) for bits in (4, 8, 12, 16, 32))
                yield Kind(photometric, 32, FLOAT, extra)
    yield from (Kind(PALETTE, bits) for bits in (1, 2, 4, 8, 16))
    yield from (Kind(PALETTE, 8, None, extra) for extra in ((OTHER,), (ALPHA,)))
    yield from (Kind(CMYK, bits) for bits in (8, 16, 32))
    yield Kind(CMYK, 32, FLOAT)
    yield from (Kind(CMYK, bits, None, (extra,)) for bits in (8, 16) for extra in (OTHER, ASSOCIATED, ALPHA))
    yield from (Kind(LAB, 8, None, extra) for extra in ((), (ALPHA,)))


#: Compression and predictor; 3 is that of floating point.
PACKINGS = ((NONE, 1), (NONE, 2), (PACKBITS, 1), (LZW, 1), (LZW, 2), (DEFLATE, 1), (DEFLATE, 2), (DEFLATE, 3))


#: Kinds that meet every coding. The others meet every ninth, each from another one on: 2,700 files of 14,800.
THOROUGH = {
    "white-is-zero-1", "white-is-zero-16", "black-is-zero-8", "black-is-zero-12", "black-is-zero-16-alpha", "RGB-8",
    "RGB-16", "RGB-32", "RGB-f32", "RGB-8-premultiplied", "palette-4", "CMYK-8",
}  # fmt: skip


def codings(kind: Kind) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    """Arguments of the page and of the file: order, width of offsets, plane, block and packing."""
    found = list(every_coding(kind))
    number = list(kinds()).index(kind)
    yield from found if str(kind) in THOROUGH else found[number % 9 :: 9]


def every_coding(kind: Kind) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    for order, big, planar, tile, (compression, predictor) in itertools.product(
        "<>", (False, True), (False, True), (0, 16), PACKINGS
    ):
        if predictor == 3 and kind.format != FLOAT:
            continue
        if predictor == 2 and kind.bits not in (8, 16, 32):
            continue  # libtiff writes none; one of another depth has a test of its own
        yield (
            {"planar": planar, "tile": tile, "compression": compression, "predictor": predictor},
            {"order": order, "big": big},
        )


def unpredicted(page: Page) -> Page:
    """Uncompressed data have no predictor, whatever the tag says: the tag alone is written."""
    return replace(page, predictor=1, more=page.more | {317: (3, [2])})


@pytest.mark.parametrize("kind", kinds(), ids=str)
def test_every_kind_is_read_exactly_in_every_coding(tmp_path: Path, kind: Kind) -> None:
    color, alpha = kind.shown()
    path = tmp_path / "in.tif"
    for coding, file in codings(kind):
        page = kind.page(**coding)
        if page.compression == NONE and page.predictor == 2:
            page = unpredicted(page)
        path.write_bytes(tiff(page, **file))
        header = probe(path, LIMITS)
        is_gray = kind.photometric in (WHITE, BLACK)
        assert (header.width, header.height, header.frames) == (WIDTH, HEIGHT, 1), (coding, file)
        assert (header.gray, header.alpha, header.bits) == (is_gray, alpha is not None, 16 if kind.bits > 8 else 8)
        picture = decode(path, LIMITS)
        frame = picture.frames[0]
        assert np.array_equal(frame.color, color), (coding, file)
        assert (frame.alpha is None) == (alpha is None), (coding, file)
        if frame.alpha is not None and alpha is not None:
            assert np.array_equal(frame.alpha, alpha), (coding, file)
        told = " ".join(picture.notes)
        assert ("further sample" in told) == (OTHER in kind.extra), (coding, told)
        deep = kind.bits > 16 or kind.format == FLOAT or (kind.photometric == CMYK and kind.bits > 8)
        assert (f"{kind.bits} bit" in told) == deep, (coding, told)
