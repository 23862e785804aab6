"""Encoding: from a Picture to a file. Metadata is kept unless it is to be stripped; the colour profile always stays."""

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

from PIL.WebPImagePlugin import WebPImageFile

from jobs.engine.codecs import avif_writer, frame_times, jxl_writer
from jobs.engine.codecs.color.description import rgb_profile
from jobs.engine.codecs.color.pixels import to_image
from jobs.engine.codecs.jpeg import writer as jpeg
from jobs.engine.codecs.metadata import exif as exif_block
from jobs.engine.codecs.metadata.carry import SHOWN, carried
from jobs.engine.codecs.metadata.xmp import resized_xmp, without_location
from jobs.engine.codecs.output_format import choose
from jobs.engine.codecs.png import animation
from jobs.engine.codecs.png import writer as png
from jobs.engine.codecs.tiff import writer as tiff
from jobs.engine.types import Encoded, EncodeOptions, Metadata, Picture

_WEBP_QUALITY = 90
_LOSSLESS = {"png", "tiff"}
#: Milliseconds of one frame: a number of 24 bit.
_WEBP_LONGEST = (1 << 24) - 1
_WEBP_LONGEST_SUM = (1 << 31) - 1


def write(picture: Picture, path: Path, options: EncodeOptions) -> Encoded:
    """Write the picture, (H, W, 1 or 3) frames of uint8 or uint16; return the format and what it had no place for.

    :raises FormatUnsupported: when the format asked for cannot hold the result.
    """
    name = choose(picture, options)
    meta, notes = carried(_kept(picture, options), name)
    provenance = None if options.strip_metadata is True else options.provenance
    if name in ("webp", "avif", "jxl") and provenance:  # no place for a comment, so the line becomes an EXIF entry
        meta = replace(meta, exif=exif_block.with_software(meta.exif, provenance))
    if name == "tiff":
        with path.open("wb") as file:
            tiff.write(file, picture.frames, meta, provenance)
    elif name == "png" and len(picture.frames) == 1:
        _write(path, png.still(picture.frames[0], meta, provenance))
    elif name == "png":
        times, changes = frame_times.fractions(picture.frames)
        notes += changes
        _write(path, animation.write(picture.frames, times, meta, provenance))
    elif name == "jpeg":
        notes += jpeg.write(picture, path, meta, provenance, options)
    elif name == "jxl":
        jxl_writer.write(picture.frames[0], path, meta, options)
    elif name == "avif":
        notes += avif_writer.write(picture, path, meta, options)
    else:
        notes += _webp(picture, path, meta, options)
    if len(picture.frames) > 1 and picture.frames[0].duration_ms is None and name != "tiff":
        notes += (f"not kept: the pages, which became the frames of an animation in {SHOWN[name]}",)
    if picture.gain_map and name != "jpeg":
        notes += (f"not kept: the gain map (HDR), which {SHOWN[name]} cannot hold",)
    if options.quality is not None and (options.lossless or name in _LOSSLESS) and name != "jpeg":
        notes += (f"quality {options.quality} changed nothing: this {SHOWN[name]} is lossless",)
    if options.lossless and name == "jpeg":
        notes += ("lossless changed nothing: JPEG is never lossless",)
    return Encoded(name, notes)


def _kept(picture: Picture, options: EncodeOptions) -> Metadata:
    """Return the metadata to write. Stripping leaves what showing needs: colour, aspect, the loop count."""
    meta = picture.metadata
    if options.strip_metadata is True:
        return Metadata(
            icc=meta.icc,
            cicp=meta.cicp,
            gamma=meta.gamma,
            chromaticities=meta.chromaticities,
            light=meta.light,
            mastering=meta.mastering,
            aspect=meta.aspect,
            loop=meta.loop,
        )
    exif, xmp, texts = meta.exif, meta.xmp, meta.texts
    if options.strip_metadata == "location":
        exif = exif_block.without_location(exif) if exif else None
        xmp = without_location(xmp) if xmp else None
        texts = tuple(text for text in texts if "gps" not in text.keyword.lower())
    return replace(
        meta,
        exif=exif_block.resized(exif, picture.width, picture.height) if exif else None,
        xmp=resized_xmp(xmp, picture.width, picture.height) if xmp else None,
        texts=texts,
    )


def _write(path: Path, pieces: Iterable[bytes | memoryview]) -> None:
    with path.open("wb") as file:
        for piece in pieces:
            file.write(piece)


def _webp(picture: Picture, path: Path, meta: Metadata, options: EncodeOptions) -> tuple[str, ...]:
    """Write a WebP by Pillow; return what was not kept. It has no gray: its numbers are RGB's."""
    first, *others = (to_image(frame) for frame in picture.frames)
    settings: dict[str, Any] = {"icc_profile": rgb_profile(meta), "exact": True, "method": 2}
    settings |= {"lossless": options.lossless, "quality": options.quality or _WEBP_QUALITY}
    if options.lossless:
        settings["quality"] = 50  # here quality is effort; higher takes minutes for percents
    if meta.exif:
        settings["exif"] = b"Exif\0\0" + meta.exif
    if meta.xmp:
        settings["xmp"] = meta.xmp
    notes: tuple[str, ...] = ()
    if others:
        longest = min(_WEBP_LONGEST, _WEBP_LONGEST_SUM // len(picture.frames))
        times, notes = frame_times.whole_milliseconds(picture.frames, longest)
        settings |= {"save_all": True, "append_images": others, "duration": times, "loop": meta.loop or 0}
    with path.open("wb") as file:
        first.save(file, format="WEBP", **settings)
    return notes + (_joined(path, len(picture.frames)) if others else ())


def _joined(path: Path, count: int) -> tuple[str, ...]:
    """Say which of ``count`` frames libwebp left out: those that equal the one before; unless lossless, nearly."""
    with WebPImageFile(path) as image:
        left = image.n_frames
    if left == 1:
        return (f"not kept: the animation: its {count} frames look alike, and WebP's encoder made them a still",)
    return ("frames that look like the one before were joined with it, with their time",) if left < count else ()
