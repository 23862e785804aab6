"""The JPEG writer: Pillow codes the pixels, the segments beside them are ours; what they cannot hold is named."""

import io
import math
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

from jobs.engine.codecs.color.description import equal_profile
from jobs.engine.codecs.color.pixels import to_image
from jobs.engine.codecs.gain_map.claims import with_gain_map
from jobs.engine.codecs.gain_map.parameters import ISO_NAME, ISO_VERSIONS, only_parameters
from jobs.engine.codecs.jpeg import mpf
from jobs.engine.codecs.jpeg.segments import APP1, APP2, APP13, COM, ROOM, before_pixels, compose
from jobs.engine.codecs.jpeg.xmp import compose_xmp
from jobs.engine.codecs.metadata.photoshop import iptc_resource
from jobs.engine.codecs.metadata.xmp_outline import Unreadable
from jobs.engine.types import EncodeOptions, GainMap, Metadata, Picture

_QUALITY = 95
_MAP_QUALITY = 85
_EXIF = b"Exif\0\0"
_PHOTOSHOP = b"Photoshop 3.0\0"
_JFIF_UNIT = 13  # where JFIF's density stands in the file: a unit, two numbers of 16 bit
_MOST_DENSITY = 65_535


def write(
    picture: Picture, path: Path, meta: Metadata, provenance: str | None, options: EncodeOptions
) -> tuple[str, ...]:
    """Write the first frame (H, W, 1 or 3) uint8 with metadata and gain map; return what JPEG has no place for."""
    quality = options.quality or _QUALITY
    notes: tuple[str, ...] = ()
    second = b""
    if picture.gain_map:
        second = _coded(picture.gain_map, quality, strip=options.strip_metadata is True)
        meta, notes = _claiming(meta, picture.gain_map, len(second))
    extra, more = _segments(meta, provenance)
    notes += more
    if picture.gain_map:
        if picture.gain_map.iso:
            extra += compose(APP2, ISO_NAME + ISO_VERSIONS)
        extra += compose(APP2, mpf.compose(0, 0, 0))
    frame = picture.frames[0]
    settings: dict[str, Any] = {
        "icc_profile": equal_profile(meta, frame.color.shape[2]),
        "quality": quality,
        "extra": extra,
    }
    if quality >= 90:
        settings["subsampling"] = 0  # halved colour is the first thing that shows at high quality
    dpi = tuple(round(each) for each in meta.dpi) if meta.dpi else None
    if dpi and max(dpi) > _MOST_DENSITY:
        notes += (f"not kept: a resolution of {max(dpi)} dpi, JPEG holds {_MOST_DENSITY}",)
    elif dpi:
        settings["dpi"] = dpi
    with path.open("wb") as file:
        to_image(frame).save(file, format="JPEG", **settings)
    if meta.aspect and not dpi:
        _write_aspect(path, meta.aspect)
    if second:
        _append(path, second)
    return notes


def _coded(gain_map: GainMap, quality: int, *, strip: bool) -> bytes:
    """Return the map's JPEG, with its parameters. An error in it is multiplied: it is coded no worse than 85."""
    extra = b""
    if gain_map.xmp:
        extra += compose_xmp(only_parameters(gain_map.xmp) if strip else gain_map.xmp)
    if gain_map.iso:
        extra += compose(APP2, ISO_NAME + gain_map.iso)
    stream = io.BytesIO()
    to_image(gain_map.frame).save(
        stream,
        "JPEG",
        quality=max(quality, _MAP_QUALITY),
        subsampling=0,
        extra=extra,
        icc_profile=gain_map.icc,
    )
    return stream.getvalue()


def _claiming(meta: Metadata, gain_map: GainMap, length: int) -> tuple[Metadata, tuple[str, ...]]:
    """Return the metadata whose XMP tells of the map. Readers of ISO 21496-1 find it by the index alone."""
    if not gain_map.xmp:
        return meta, ()
    try:
        return replace(meta, xmp=with_gain_map(meta.xmp, length)), ()
    except Unreadable:
        return replace(meta, xmp=with_gain_map(None, length)), (
            "not kept: XMP that is no RDF; the gain map needs its place",
        )


def _append(path: Path, second: bytes) -> None:
    """Put the second picture behind the first, and their places into the index."""
    with path.open("r+b") as file:
        at = next(one.at for one in before_pixels(file) if one.marker == APP2 and one.content.startswith(mpf.NAME))
        primary = file.seek(0, os.SEEK_END)
        file.write(second)
        file.seek(at)
        file.write(mpf.compose(at, primary, len(second)))


def _segments(meta: Metadata, provenance: str | None) -> tuple[bytes, tuple[str, ...]]:
    notes = []
    pieces = []
    if meta.exif and len(_EXIF + meta.exif) <= ROOM:
        pieces.append(compose(APP1, _EXIF + meta.exif))
    elif meta.exif:
        notes.append(f"not kept: EXIF of {_kilobytes(meta.exif)}, JPEG holds 64 kB")
    if meta.xmp:
        pieces.append(compose_xmp(meta.xmp))
    if meta.iptc:
        resource, room = iptc_resource(meta.iptc), ROOM - len(_PHOTOSHOP)
        pieces += [
            compose(APP13, _PHOTOSHOP + resource[start : start + room]) for start in range(0, len(resource), room)
        ]
    lines = [text.value for text in meta.texts if text.keyword == "Comment"]
    if provenance and provenance not in lines:
        lines.append(provenance)
    for line in lines:
        parts = _parts(line.encode("utf-8", "surrogateescape"))
        pieces += [compose(COM, part) for part in parts]
        if len(parts) > 1:
            notes.append(f"a comment is split into {len(parts)}: JPEG holds 64 kB in one")
    return b"".join(pieces), tuple(notes)


def _parts(comment: bytes) -> list[bytes]:
    """Cut a comment into pieces that fit a segment, between two characters of UTF-8 where it is UTF-8."""
    parts = []
    while len(comment) > ROOM:
        end = next((at for at in range(ROOM, ROOM - 4, -1) if comment[at] & 0xC0 != 0x80), ROOM)
        parts.append(comment[:end])
        comment = comment[end:]
    return [*parts, comment] if comment else parts


def _kilobytes(data: bytes) -> str:
    return f"{math.ceil(len(data) / 1024)} kB"


def _write_aspect(path: Path, aspect: tuple[int, int]) -> None:
    """Write JFIF's density without a unit, as the lowest terms that 16 bit hold (JFIF 1.02, page 5)."""
    divisor = math.gcd(*aspect)
    across, down = aspect[0] // divisor, aspect[1] // divisor
    shrink = max(1.0, max(across, down) / _MOST_DENSITY)
    density = [max(1, round(each / shrink)) for each in (across, down)]
    with path.open("r+b") as file:
        file.seek(_JFIF_UNIT)
        file.write(bytes(1) + b"".join(each.to_bytes(2, "big") for each in density))
