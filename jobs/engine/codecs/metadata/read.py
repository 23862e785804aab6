"""Metadata: EXIF, XMP, IPTC, ICC profile, density; read by Pillow and corrected for upright, converted pixels."""

import struct
from dataclasses import replace
from pathlib import Path
from typing import Any

from PIL import Image
from PIL.TiffImagePlugin import TiffImageFile

from jobs.engine.codecs import isobmff, webp
from jobs.engine.codecs.bmp import color as bmp
from jobs.engine.codecs.color.description import SRGB
from jobs.engine.codecs.jpeg import metadata as jpeg
from jobs.engine.codecs.jxl import JxlFile
from jobs.engine.codecs.metadata import exif as exif_block
from jobs.engine.codecs.metadata.credentials import CREDENTIALS
from jobs.engine.codecs.metadata.exif import DESCRIPTIVE, as_stored, readable, upright
from jobs.engine.codecs.metadata.photoshop import IPTC, resources
from jobs.engine.codecs.metadata.texts import from_xmp
from jobs.engine.codecs.metadata.xmp import upright_xmp
from jobs.engine.codecs.png import metadata as png
from jobs.engine.codecs.png.chunks import PngFile
from jobs.engine.types import Cicp, Metadata, Text

#: Values of H.273 that say nothing; viewers take sRGB.
_UNSPECIFIED = (0, 2)
#: A hostile file has 200,000 comments; as many chunks of a PNG nobody reads, we neither.
_MOST_TEXTS = 1000
_ORIENTATION = 274
_IPTC_TAG = 33723  # TIFF
_PHOTOSHOP_TAG = 34377
_C2PA_TAG = 52545
_X_RESOLUTION, _Y_RESOLUTION, _RESOLUTION_UNIT = 282, 283, 296
_WHITE_POINT, _PRIMARIES = 318, 319
#: EXIF orientations that swap width and height.
TURNED = (5, 6, 7, 8)
_SPACES = {1: b"GRAY", 3: b"RGB "}


def read(name: str, image: Image.Image, path: Path, *, loop: int | None = None) -> tuple[Metadata, tuple[str, ...]]:
    """Return the metadata of an opened image, before any pixel is decoded, and what of it is not kept.

    The profile is not yet checked.
    """
    meta, notes = _of_format(image, path)
    if meta.xmp:
        xmp, texts = from_xmp(meta.xmp)
        meta = replace(meta, xmp=xmp, texts=(*meta.texts, *texts))
    if len(meta.texts) > _MOST_TEXTS:
        notes = (*notes, f"not kept: {len(meta.texts) - _MOST_TEXTS} texts behind the first {_MOST_TEXTS}")
        meta = replace(meta, texts=meta.texts[:_MOST_TEXTS])
    if meta.exif and not meta.iptc:
        exif, iptc = exif_block.parted_iptc(meta.exif)
        meta = replace(meta, exif=exif, iptc=iptc) if iptc else meta
    meta = _with_density(meta)
    if meta.xmp and is_turned(name, image):
        meta = replace(meta, xmp=upright_xmp(meta.xmp))
    if orientation(name, image) in TURNED:
        meta = replace(meta, dpi=meta.dpi and meta.dpi[::-1], aspect=meta.aspect and meta.aspect[::-1])
    return replace(meta, loop=loop), notes


def _of_format(image: Image.Image, path: Path) -> tuple[Metadata, tuple[str, ...]]:
    """Return what Pillow and our readers of the format find, and what of it is not kept."""
    if isinstance(image, PngFile):
        return png.read(image)
    meta, notes = _by_pillow(image), tuple[str, ...]()
    if image.format in ("AVIF", "HEIF"):
        return _described(meta, path), notes
    if isinstance(image, JxlFile):
        return meta, tuple(f"not kept: {kind} compressed by Brotli" for kind in image.packed)
    if isinstance(image, TiffImageFile):
        if not meta.icc:
            meta = replace(meta, chromaticities=_tiff_chromaticities(image))
        return meta, (f"not kept: {CREDENTIALS}",) if _C2PA_TAG in image.tag_v2 else notes
    with path.open("rb") as file:
        if image.format == "JPEG":
            return jpeg.read(file, meta)
        if image.format == "WEBP":
            return meta, tuple(f"not kept: {thing}" for thing in webp.further(file))
        if image.format == "BMP":
            found = bmp.color(file)
            return replace(meta, icc=found.icc, gamma=found.gamma, chromaticities=found.chromaticities), notes
    return meta, notes


def _with_density(meta: Metadata) -> Metadata:
    """Add density or aspect from EXIF, for formats that have no other place for it."""
    found = exif_block.resolution(meta.exif) if meta.exif and not meta.dpi and not meta.aspect else None
    if found is None:
        return meta
    across, down, unit = found
    if unit == 1:
        return replace(meta, aspect=(round(across), round(down)) if across != down else None)
    inches = 2.54 if unit == 3 else 1.0
    return replace(meta, dpi=_dpi((across * inches, down * inches)))


def _described(meta: Metadata, path: Path) -> Metadata:
    """Add what the boxes of AVIF and HEIC say of colour; a profile beside it rules (23000-22, 7.3.6.4)."""
    with path.open("rb") as file:
        found = isobmff.describe(file)
    meta = replace(meta, light=found.light, mastering=found.mastering)
    if meta.icc or found.color is None:
        return meta
    primaries, transfer = found.color.cicp.primaries, found.color.cicp.transfer
    if primaries in _UNSPECIFIED and transfer in _UNSPECIFIED:
        return meta
    return replace(
        meta,
        cicp=Cicp(
            SRGB.primaries if primaries in _UNSPECIFIED else primaries,
            SRGB.transfer if transfer in _UNSPECIFIED else transfer,
        ),
    )


def _by_pillow(image: Image.Image) -> Metadata:
    info: dict[Any, Any] = image.info
    xmp = info.get("xmp")
    if isinstance(xmp, str):
        xmp = xmp.encode()
    return Metadata(
        icc=info.get("icc_profile") or None,
        exif=_exif(image, _raw_exif(image)),
        xmp=xmp,
        iptc=_iptc(image),
        dpi=_dpi(info.get("dpi")),
        aspect=_tiff_aspect(image),
        texts=_comment(image),
    )


def _comment(image: Image.Image) -> tuple[Text, ...]:
    """Return a GIF's comment; there it is one text of Latin-1 or of UTF-8."""
    value = image.info.get("comment")
    if image.format != "GIF" or not isinstance(value, bytes) or not value:
        return ()
    return (Text("Comment", value.decode("utf-8", "surrogateescape")),)


def _tiff_chromaticities(image: Image.Image) -> tuple[float, ...] | None:
    """Return white, red, green and blue of a TIFF (TIFF 6.0, section 20: WhitePoint, PrimaryChromaticities)."""
    if not isinstance(image, TiffImageFile):
        return None
    try:
        values = tuple(float(value) for tag in (_WHITE_POINT, _PRIMARIES) for value in image.tag_v2[tag])
    except (KeyError, TypeError, ValueError, ZeroDivisionError):
        return None
    return values if len(values) == 8 and all(0 < value < 1 for value in values[1::2]) else None


def _tiff_aspect(image: Image.Image) -> tuple[int, int] | None:
    """Return the aspect of a TIFF's pixels; without a unit (TIFF 6.0, ResolutionUnit 1) density says nothing else."""
    if not isinstance(image, TiffImageFile) or image.tag_v2.get(_RESOLUTION_UNIT) != 1:
        return None
    try:
        across, down = float(image.tag_v2[_X_RESOLUTION]), float(image.tag_v2[_Y_RESOLUTION])
    except (KeyError, TypeError, ValueError, ZeroDivisionError):
        return None
    sane = 0.001 < across < 1e6 and 0.001 < down < 1e6 and across != down
    return (round(across * 1000), round(down * 1000)) if sane else None


def is_turned(name: str, image: Image.Image) -> bool:
    """Return True where decoding turns the stored pixels, whoever does it; only then XMP's copy is told anew.

    An orientation that stands in XMP alone is applied by few viewers, and here by nobody: packet and pixels stay as
    they are, so that each viewer shows what it showed before.
    """
    if isinstance(image, TiffImageFile):
        return image.tag_v2.get(_ORIENTATION) in range(2, 9)
    return name in ("heic", "jxl") or orientation(name, image) != 1  # HEIC: boxes turn the pixels, and EXIF repeats it


def orientation(name: str, image: Image.Image) -> int:
    """Return how stored pixels must be turned, 1 to 8. Pillow turns TIFF itself, libheif HEIC, libjxl JPEG XL."""
    if isinstance(image, PngFile):
        raw = png.oriented_exif(image)
    else:
        raw = None if name in ("tiff", "heic", "jxl") else _raw_exif(image)
    return exif_block.orientation(raw) if raw else 1


def _raw_exif(image: Image.Image) -> bytes | None:
    raw = image.info.get("exif")
    return raw if isinstance(raw, bytes) and raw else None


def fitting_profile(icc: bytes | None, channels: int) -> bytes | None:
    """Return the profile's bytes if it is for that number of channels, 1 or 3: a gray one distorts RGB pixels."""
    # ICC.1:2022, 7.2.6: bytes 16 to 19 of the header name the data colour space.
    return icc if icc and len(icc) >= 128 and icc[16:20] == _SPACES[channels] else None


def _exif(image: Image.Image, raw: Any) -> bytes | None:
    if image.format == "TIFF":
        # A TIFF's own directory is its EXIF; what describes the old pixels' layout must not travel.
        exif = image.getexif()
        kept = Image.Exif()
        for tag in DESCRIPTIVE:
            if tag in exif:
                kept[tag] = as_stored(exif[tag])
        for directory in (0x8769, 0x8825):
            nested = exif.get_ifd(directory)
            if nested:
                kept.get_ifd(directory).update({tag: as_stored(value) for tag, value in nested.items()})
        raw = kept.tobytes() if len(kept) or kept.get_ifd(0x8769) or kept.get_ifd(0x8825) else None
    if not isinstance(raw, bytes) or not readable(raw):
        return None
    return upright(raw)


def _iptc(image: Image.Image) -> bytes | None:
    if isinstance(image, TiffImageFile):
        value = image.tag_v2.get(_IPTC_TAG)
        if isinstance(value, tuple):  # written as LONGs by some programs
            value = struct.pack(f"<{len(value)}I", *value)
        if isinstance(value, bytes) and value:
            return value
        block = image.tag_v2.get(_PHOTOSHOP_TAG)
        block = block[0] if isinstance(block, tuple) and block else block
        return next(iter(resources(block, IPTC)), None) if isinstance(block, bytes) else None
    return None


def _dpi(value: Any) -> tuple[float, float] | None:
    try:
        across, down = float(value[0]), float(value[1])
    except (TypeError, ValueError, IndexError, ZeroDivisionError):
        return None
    return (across, down) if 1 < across < 100_000 and 1 < down < 100_000 else None
