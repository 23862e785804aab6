"""Metadata for which a format has no place of its own, carried where readers of that format look: in EXIF and XMP.

| what | PNG | JPEG | TIFF | WebP, AVIF, JPEG XL |
| --- | --- | --- | --- | --- |
| texts | chunks | comments; others in XMP | XMP | XMP |
| density, aspect | pHYs | JFIF | XResolution | EXIF XResolution |
| IPTC | Raw profile | APP13 | its tag | EXIF, tag 0x83BB |

The prompt of an image generator, else a comment, stands in EXIF's UserComment, too, of all but PNG.
"""

from dataclasses import replace

from jobs.engine.codecs.color.description import is_hdr
from jobs.engine.codecs.metadata import exif as exif_block
from jobs.engine.codecs.metadata.texts import into_xmp
from jobs.engine.types import Metadata, Text, Written

#: Names of formats in messages.
SHOWN: dict[Written, str] = {
    "png": "PNG",
    "jpeg": "JPEG",
    "webp": "WebP",
    "avif": "AVIF",
    "tiff": "TIFF",
    "jxl": "JPEG XL",
}
#: Keywords whose text programs look for in EXIF's UserComment, the first found: Stable Diffusion's prompt, a comment.
_USER_COMMENTS = ("parameters", "Comment")
#: Characters of a UserComment in a JPEG, which has room for 64 kB of EXIF and loses all of a larger block.
_MOST_IN_JPEG = 8_000


def carried(meta: Metadata, name: Written) -> tuple[Metadata, tuple[str, ...]]:
    """Return the metadata as the format can hold it, and what it cannot."""
    if name == "png":
        return meta, ()
    meta, lost = _texts(meta, name)
    if meta.light or meta.mastering:
        lost += ("not kept: the light levels of HDR, which are written into PNG only",)
    if is_hdr(meta) and name != "avif":
        lost += (
            f"HDR is told to {SHOWN[name]}'s viewers by the profile alone: those that do not know it cut the lights",
        )
    if name in ("webp", "avif", "jxl"):
        meta = _into_exif(meta)
    return meta, lost


def _texts(meta: Metadata, name: Written) -> tuple[Metadata, tuple[str, ...]]:
    speaking = next((text for key in _USER_COMMENTS for text in meta.texts if text.keyword == key and text.value), None)
    if speaking and (name != "jpeg" or len(speaking.value) < _MOST_IN_JPEG):
        meta = replace(meta, exif=exif_block.with_user_comment(meta.exif, speaking.value))
    kept = tuple(text for text in meta.texts if name == "jpeg" and _is_comment(text))
    homeless = tuple(text for text in meta.texts if name != "jpeg" or not _is_comment(text))
    if not homeless:
        return meta, ()
    xmp = into_xmp(meta.xmp, homeless)
    if xmp is None:
        names = ", ".join(dict.fromkeys(repr(text.keyword) for text in homeless))
        return replace(meta, texts=kept), (f"not kept: the texts {names}, since the XMP packet cannot be edited",)
    return replace(meta, texts=kept, xmp=xmp), ()


def _is_comment(text: Text) -> bool:
    return text.keyword == "Comment" and not text.language and not text.translated


def _into_exif(meta: Metadata) -> Metadata:
    exif = meta.exif
    if meta.dpi:
        exif = exif_block.with_resolution(exif, meta.dpi, unit=2)
    elif meta.aspect:
        exif = exif_block.with_resolution(exif, meta.aspect, unit=1)
    if meta.iptc:
        exif = exif_block.with_iptc(exif, meta.iptc)
    return replace(meta, exif=exif)
