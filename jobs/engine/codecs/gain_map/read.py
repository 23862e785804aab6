"""Reading: a picture with the gain map that its file holds, and without claims of one."""

from dataclasses import replace
from pathlib import Path

from jobs.engine.codecs.color.pixels import turn
from jobs.engine.codecs.gain_map import claims, heif
from jobs.engine.codecs.jpeg import gain_map as jpeg
from jobs.engine.types import GainMap, Limits, Picture


def attach(path: Path, picture: Picture, orientation: int, limits: Limits) -> Picture:
    """Return the picture with its gain map, (h, w, 1 or 3) uint8, turned as EXIF's orientation, 1 to 8, wants it.

    The XMP says nothing of a map any more: who writes one writes its claim. A map that cannot be used is noted.

    :raises MemoryError: when the map is too large for this machine.
    """
    found: GainMap | None = None
    notes: tuple[str, ...] = ()
    if picture.format == "jpeg":
        found, notes = jpeg.read(path, picture, limits)
    elif picture.format in ("heic", "avif"):
        found, notes = heif.read(path, picture, limits)
        orientation = 1
    meta = picture.metadata
    claimed = claims.removed(meta.xmp) if meta.xmp else claims.Claims(None)
    if meta.xmp and claimed.xmp is None:
        notes += ("not kept: XMP that speaks of a gain map, and is no XML that we can change",)
    elif claimed.gain_map and not found and not notes:
        notes += (f"not kept: the XMP's claim of a gain map (HDR), which the {picture.format.upper()} file lacks",)
    if claimed.video:
        notes += ("not kept: the video of a motion photo",)
    if found:
        found = replace(found, frame=replace(found.frame, color=turn(found.frame.color, orientation)))
    return replace(picture, metadata=replace(meta, xmp=claimed.xmp), gain_map=found, notes=(*picture.notes, *notes))
