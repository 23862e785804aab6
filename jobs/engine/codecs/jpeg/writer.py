"""The JPEG writer: Pillow codes the pixels, the segments beside them are ours; what they cannot hold is named."""

import math
from pathlib import Path
from typing import Any

from jobs.engine.codecs.color.description import equal_profile
from jobs.engine.codecs.color.pixels import to_image
from jobs.engine.codecs.jpeg.segments import APP1, APP13, COM, ROOM, compose
from jobs.engine.codecs.jpeg.xmp import compose_xmp
from jobs.engine.codecs.metadata.photoshop import iptc_resource
from jobs.engine.types import EncodeOptions, Metadata, Picture

_QUALITY = 95
_EXIF = b"Exif\0\0"
_PHOTOSHOP = b"Photoshop 3.0\0"
_JFIF_UNIT = 13  # where JFIF's density stands in the file: a unit, two numbers of 16 bit
_MOST_DENSITY = 65_535


def write(
    picture: Picture, path: Path, meta: Metadata, provenance: str | None, options: EncodeOptions
) -> tuple[str, ...]:
    """Write the first frame (H, W, 1 or 3) uint8 with its metadata; return what JPEG has no place for."""
    extra, notes = _segments(meta, provenance)
    frame = picture.frames[0]
    settings: dict[str, Any] = {
        "icc_profile": equal_profile(meta, frame.color.shape[2]),
        "quality": options.quality or _QUALITY,
        "extra": extra,
    }
    if settings["quality"] >= 90:
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
    return notes


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
