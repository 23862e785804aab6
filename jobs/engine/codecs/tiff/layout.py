"""The layout of a TIFF page, from its directory: TIFF 6.0, sections 3, 7, 14 to 16, 18; SampleFormat, section 19."""

from dataclasses import dataclass
from typing import Any

from jobs.engine.codecs import foreign
from jobs.engine.errors import FormatUnsupported, ImageRejected

_WIDTH, _HEIGHT, _BITS, _COMPRESSION, _PHOTOMETRIC, _FILL_ORDER = 256, 257, 258, 259, 262, 266
_STRIPS, _ORIENTATION, _SAMPLES, _ROWS, _STRIP_BYTES, _PLANAR, _PREDICTOR = 273, 274, 277, 278, 279, 284, 317
_COLOR_MAP, _TILE_WIDTH, _TILE_HEIGHT, _TILES, _TILE_BYTES, _INK_SET, _EXTRA = 320, 322, 323, 324, 325, 332, 338
_FORMAT = 339
WHITE_IS_ZERO, BLACK_IS_ZERO, RGB, PALETTE, CMYK, YCBCR, LAB = 0, 1, 2, 3, 5, 6, 8
#: Colour samples of each kind that is read here.
COLORS = {WHITE_IS_ZERO: 1, BLACK_IS_ZERO: 1, RGB: 3, PALETTE: 1, CMYK: 4, LAB: 3}
_NAMES = {
    4: "a transparency mask", 9: "ICC L*a*b*", 10: "ITU L*a*b*", 32803: "a colour filter array",
    32844: "LogL", 32845: "LogLuv",
}  # fmt: skip
#: Compressions of bytes, whatever these mean: none, LZW, deflate, PackBits, LZMA, Zstandard.
BYTEWISE = (1, 5, 8, 32773, 32946, 34925, 50000)
#: Those of them that know predictors; the others' files may have the tag, and it means nothing there.
_PREDICTED = (5, 8, 32946, 34925, 50000)
UNSIGNED, _SIGNED, FLOAT, _UNDEFINED = 1, 2, 3, 4
_FLOATS = (16, 32, 64)
NONE, HORIZONTAL, FLOATING = 1, 2, 3
#: Meanings of a further sample: unspecified, alpha that colour is multiplied with, alpha. 999 is Corel Draw's alpha.
_UNSPECIFIED, ASSOCIATED, _UNASSOCIATED, _COREL = 0, 1, 2, 999
_TURNED = (5, 6, 7, 8)
_MOST_SAMPLES = 64
_OLD_JPEG, _JPEG = 6, 7


@dataclass(frozen=True)
class Layout:
    """One page: its size in px as stored, its samples, and the blocks (strips or tiles) that hold them.

    Strips are blocks as wide as the picture, of which the last may be lower. ``places`` and ``sizes`` are in bytes, by
    plane, then by row of blocks; ``sizes`` is empty where the file tells none. ``alpha`` is the number of that sample.
    """

    order: str  # "<" or ">"
    width: int
    height: int
    bits: int  # of each sample
    samples: int
    is_float: bool
    photometric: int
    alpha: int | None
    premultiplied: bool
    further: int  # samples that are neither colour nor alpha
    planar: bool
    compression: int
    predictor: int
    reversed_bits: bool
    tiled: bool
    block_width: int
    block_height: int
    places: tuple[int, ...]
    sizes: tuple[int, ...]
    color_map: tuple[int, ...]
    orientation: int

    @property
    def size(self) -> tuple[int, int]:
        """Width and height in px as shown."""
        return (self.height, self.width) if self.orientation in _TURNED else (self.width, self.height)

    @property
    def across(self) -> int:
        """Blocks beside each other."""
        return -(-self.width // self.block_width)

    @property
    def down(self) -> int:
        """Rows of blocks."""
        return -(-self.height // self.block_height)

    @property
    def together(self) -> int:
        """Samples that lie beside each other in a block."""
        return 1 if self.planar else self.samples

    @property
    def row_bytes(self) -> int:
        """Bytes of a block's row."""
        return -(-self.block_width * self.together * self.bits // 8)

    @property
    def by_pillow(self) -> bool:
        """Return True for what Pillow reads rightly: JPEG and CCITT, and the usual kinds of up to 8 bit."""
        if self.compression not in BYTEWISE or self.photometric == YCBCR:
            return True
        if self.is_float or self.planar or self.bits not in (1, 2, 4, 8):
            return False
        if self.samples == 1:
            return self.photometric in (WHITE_IS_ZERO, BLACK_IS_ZERO, PALETTE)
        return (
            self.bits == 8
            and not self.reversed_bits
            and not self.premultiplied  # Pillow cuts off where we round
            and (self.photometric, self.samples) in ((BLACK_IS_ZERO, 2), (RGB, 3), (RGB, 4), (CMYK, 4), (LAB, 3))
        )


def of(tags: Any) -> Layout:
    """Return the layout that a directory (Pillow's ``tag_v2``) tells.

    :raises SyntaxError: where it makes no sense.
    :raises ImageRejected: where the directory names no pixels; FormatUnsupported for what is not read, by name.
    """
    width, height = _number(tags, _WIDTH), _number(tags, _HEIGHT)
    compression, photometric = _number(tags, _COMPRESSION, 1), _number(tags, _PHOTOMETRIC, 0)
    jpeg = compression in (_OLD_JPEG, _JPEG)
    samples = _number(tags, _SAMPLES, 3 if jpeg and photometric in (RGB, YCBCR) else 1)
    if not width or not height or not 0 < samples <= _MOST_SAMPLES:
        raise SyntaxError(f"{width}×{height} px, {samples} samples")
    depths = _numbers(tags, _BITS, (1,))[:samples]
    if len(set(depths)) > 1:
        raise FormatUnsupported(f"the TIFF holds samples of {_listed(depths)} bit in one pixel; they must be equal")
    bits = depths[0]
    extra = _numbers(tags, _EXTRA, ())
    if photometric == RGB and samples == 4 and not extra:
        extra = (_UNASSOCIATED,)
    colors = 3 if photometric == YCBCR else COLORS.get(photometric, samples)
    meanings = dict(zip(range(samples - min(len(extra), samples), samples), extra, strict=False))
    alpha = next(
        (at for at, kind in meanings.items() if at >= colors and kind in (ASSOCIATED, _UNASSOCIATED, _COREL)), None
    )
    planar = _number(tags, _PLANAR, 1) == 2  # also of one sample, where it changes nothing, but Pillow misreads it
    tiled = _TILES in tags
    block_width = _number(tags, _TILE_WIDTH) if tiled else width
    block_height = _number(tags, _TILE_HEIGHT) if tiled else min(_number(tags, _ROWS, height) or height, height)
    if not block_width or not block_height:
        raise SyntaxError("a tile without pixels")
    found = Layout(
        order="<" if tags.prefix == b"II" else ">",
        width=width,
        height=height,
        bits=bits,
        samples=samples,
        is_float=_is_float(tags, bits),
        photometric=photometric,
        alpha=alpha,
        premultiplied=alpha is not None and meanings[alpha] == ASSOCIATED,
        further=max(0, samples - colors - (alpha is not None)),
        planar=planar,
        compression=compression,
        predictor=_number(tags, _PREDICTOR, NONE) if compression in _PREDICTED else NONE,
        reversed_bits=_number(tags, _FILL_ORDER, 1) == 2,
        tiled=tiled,
        block_width=block_width,
        block_height=block_height,
        places=_numbers(tags, _TILES if tiled else _STRIPS, ()),
        sizes=_numbers(tags, _TILE_BYTES if tiled else _STRIP_BYTES, ()),
        color_map=_numbers(tags, _COLOR_MAP, ()) if photometric == PALETTE else (),
        orientation=turn if isinstance(turn := tags.get(_ORIENTATION), int) else 1,  # other types turn nothing
    )
    if not found.places and compression != _OLD_JPEG:
        raise ImageRejected("the TIFF file holds no pixels: its directory names neither strips nor tiles")
    if compression != _OLD_JPEG and len(found.places) < found.across * found.down * (samples if planar else 1):
        raise SyntaxError("strips or tiles are missing")  # Pillow would leave their places black
    _check(found, colors, _number(tags, _INK_SET, 1))
    return found


def _check(layout: Layout, colors: int, ink_set: int) -> None:
    """Refuse what is not read, by name; raise SyntaxError where the samples do not make a picture."""
    kind = layout.photometric
    if kind == YCBCR:
        if layout.planar or layout.bits != 8:
            raise FormatUnsupported(
                f"the TIFF holds YCbCr {'in separate planes' if layout.planar else f'of {layout.bits} bit'}; "
                "YCbCr of 8 bit with its samples beside each other is read, or send it as RGB"
            )
        return
    if kind not in COLORS:
        raise FormatUnsupported(
            f"the TIFF holds {_NAMES.get(kind, f'pixels of kind {kind} (PhotometricInterpretation)')}, which is not "
            "read; send it as gray or RGB"
        )
    if kind == CMYK and (layout.samples < colors or ink_set != 1):
        raise FormatUnsupported("the TIFF holds inks other than cyan, magenta, yellow and black; send it as RGB")
    if layout.samples < colors:
        raise SyntaxError(f"{layout.samples} samples of kind {kind}")
    if layout.compression in BYTEWISE:
        _check_numbers(layout)
        _check_meaning(layout)
    elif layout.bits > 8:
        name = "JPEG" if layout.compression == _JPEG else foreign.packing(layout.compression)
        raise FormatUnsupported(
            f"the TIFF file cannot be read: its pixels are packed by {name}, with {layout.bits} bit per channel; "
            "send it with LZW or deflate"
        )


def _check_numbers(layout: Layout) -> None:
    """Refuse numbers and predictors that are not read."""
    if not layout.is_float and layout.bits not in (*range(1, 25), 32):
        raise FormatUnsupported(f"the TIFF holds whole numbers of {layout.bits} bit; 1 to 24 and 32 are read")
    if layout.predictor not in (NONE, HORIZONTAL, *((FLOATING,) if layout.is_float else ())):
        raise FormatUnsupported(f"the TIFF's pixels are predicted by method {layout.predictor}, which is not read")


def _check_meaning(layout: Layout) -> None:
    """Refuse combinations of colour, depth and alpha of which there is no common reading."""
    bits, kind = layout.bits, layout.photometric
    if kind == PALETTE and (layout.is_float or bits > 16 or layout.premultiplied):
        raise FormatUnsupported("the TIFF holds a palette with samples that are no plain numbers; send it as RGB")
    if kind == PALETTE and len(layout.color_map) != 3 << bits:
        raise SyntaxError(f"a palette of {len(layout.color_map)} numbers for {bits} bit")
    if kind == LAB and (bits != 8 or layout.premultiplied):
        raise FormatUnsupported(
            f"the TIFF holds L*a*b* of {bits} bit{' with premultiplied alpha' if layout.premultiplied else ''}; "
            "8 bit without is read, or send it as RGB"
        )
    if kind == WHITE_IS_ZERO and layout.premultiplied:
        raise FormatUnsupported(
            'the TIFF holds "white is zero" multiplied by its alpha, which programs read differently; '
            "send it with black as zero or with alpha that is not premultiplied"
        )


def _is_float(tags: Any, bits: int) -> bool:
    """Return True for floating point, False for whole numbers from 0.

    :raises FormatUnsupported: for signed and complex numbers, for which TIFF names no black and no white.
    """
    kinds = set(_numbers(tags, _FORMAT, (UNSIGNED,)))
    if kinds <= {UNSIGNED, _UNDEFINED}:
        return False
    if kinds == {FLOAT}:
        if bits not in _FLOATS:
            raise FormatUnsupported(f"the TIFF holds floating-point samples of {bits} bit; 16, 32 and 64 are read")
        return True
    kind = "signed" if _SIGNED in kinds else "mixed, complex or unknown"
    raise FormatUnsupported(
        f"the TIFF holds {kind} {bits}-bit samples, of which no rule says what is black and what white; "
        "send whole numbers from 0, or floating point from 0 to 1"
    )


def _numbers(tags: Any, tag: int, default: tuple[int, ...]) -> tuple[int, ...]:
    """Return an entry's whole numbers; the default where it is not there."""
    value = tags.get(tag)
    if value is None:
        return default
    found = value if isinstance(value, tuple) else (value,)
    if not found or not all(isinstance(number, int) and number >= 0 for number in found):
        raise SyntaxError(f"tag {tag} holds no whole numbers")
    return found


def _number(tags: Any, tag: int, default: int | None = None) -> int:
    found = _numbers(tags, tag, () if default is None else (default,))
    if not found:
        raise SyntaxError(f"tag {tag} is missing")
    return found[0]


def _listed(depths: tuple[int, ...]) -> str:
    return ", ".join(map(str, depths))
