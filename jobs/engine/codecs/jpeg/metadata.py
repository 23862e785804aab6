"""The metadata of a JPEG file that Pillow does not give whole: comments, XMP, IPTC, pixel aspect. Pure bytes."""

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import IO

from jobs.engine.codecs.jpeg import xmp
from jobs.engine.codecs.jpeg.segments import APP0, APP2, APP13, COM, Segment, before_pixels
from jobs.engine.codecs.metadata.credentials import CREDENTIALS
from jobs.engine.codecs.metadata.photoshop import IPTC, resources
from jobs.engine.types import Metadata, Text

_OURS = re.compile(rb"[^\n]{1,100} (?:[\d.]{1,8}x|x[\d.]{1,8}), (?:Real-ESRGAN )?upscaler \d[\d.]{1,20}")
_PHOTOSHOP = b"Photoshop 3.0\0"
_JFIF = b"JFIF\0"
_ICC = b"ICC_PROFILE\0"
_APP11 = 0xEB
#: Bytes of a segment within which a JUMBF box tells its kind.
_C2PA_WITHIN = 200


def read(file: IO[bytes], meta: Metadata) -> tuple[Metadata, tuple[str, ...]]:
    """Return what Pillow read with the rest, and what is not kept. The file's position in bytes is restored."""
    segments = before_pixels(file)
    packet, notes = xmp.read(segments)
    if any(one.marker == _APP11 and b"c2pa" in one.content[:_C2PA_WITHIN] for one in segments):
        notes += (f"not kept: {CREDENTIALS}",)
    if not meta.icc and any(one.marker == APP2 and one.content.startswith(_ICC) for one in segments):
        notes += ("not kept: the colour profile, of which a part is missing",)
    return replace(
        meta,
        dpi=meta.dpi if _has_unit(segments) else None,
        texts=_comments(segments),
        xmp=packet or None,
        iptc=_iptc(segments),
        aspect=_aspect(segments),
    ), notes


def _comments(segments: Sequence[Segment]) -> tuple[Text, ...]:
    """Return the comments; the line in which an earlier run of ours told of itself is none of the picture's."""
    return tuple(
        Text("Comment", segment.content.decode("utf-8", "surrogateescape"))
        for segment in segments
        if segment.marker == COM and segment.content and not _OURS.fullmatch(segment.content)
    )


def _iptc(segments: Sequence[Segment]) -> bytes | None:
    """Return all IPTC records as one: a resource may go on in the next segment, or each segment have one of its own."""
    parts = [
        segment.content[len(_PHOTOSHOP) :]
        for segment in segments
        if segment.marker == APP13 and segment.content.startswith(_PHOTOSHOP)
    ]
    records = dict.fromkeys(resources(b"".join(parts), IPTC))
    for part in parts[1:]:  # a broken one before them may have ended the chain
        if part.startswith(b"8BIM") and not records:
            records = dict.fromkeys(resources(part, IPTC))
    return b"".join(records) or None


def _has_unit(segments: Sequence[Segment]) -> bool:
    """Return True if JFIF's densities are per inch or centimetre; without it Pillow makes up 72 per inch."""
    head = next((one.content for one in segments if one.marker == APP0 and one.content.startswith(_JFIF)), b"")
    return len(head) >= 12 and head[7] in (1, 2)


def _aspect(segments: Sequence[Segment]) -> tuple[int, int] | None:
    """Return JFIF's densities where they have no unit and differ: they are the pixels' aspect (JFIF 1.02, page 5)."""
    head = next((one.content for one in segments if one.marker == APP0 and one.content.startswith(_JFIF)), b"")
    if len(head) < 12 or head[7] != 0:
        return None
    across, down = int.from_bytes(head[8:10], "big"), int.from_bytes(head[10:12], "big")
    return (across, down) if across and down and across != down else None
