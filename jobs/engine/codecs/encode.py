"""Encoding: from a Picture to a file. Metadata is kept unless it is to be stripped; the colour profile always stays."""

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, PngImagePlugin

from jobs.engine.codecs.metadata import exif as exif_block
from jobs.engine.codecs.metadata.xmp import resized_xmp
from jobs.engine.codecs.output_format import choose
from jobs.engine.codecs.png import writer as png
from jobs.engine.codecs.tiff import writer as tiff
from jobs.engine.errors import EngineError, FormatUnsupported
from jobs.engine.types import Encoded, EncodeOptions, Frame, Metadata, Picture, Written

_QUALITY = {"jpeg": 95, "webp": 90, "avif": 80}
#: A JPEG segment holds 65533 bytes; EXIF and XMP begin with a name in it.
_JPEG_SEGMENT = 65_500


def write(picture: Picture, path: Path, options: EncodeOptions) -> Encoded:
    """Write the picture, (H, W, 1 or 3) frames of uint8 or uint16; return the format and what it had no place for.

    :raises FormatUnsupported: when the format asked for cannot hold the result.
    """
    name = choose(picture, options)
    meta = _kept(picture, options)
    provenance = None if options.strip_metadata is True else options.provenance
    if name == "tiff":
        with path.open("wb") as file:
            tiff.write(file, picture.frames, meta, provenance)
    elif name == "png" and len(picture.frames) == 1:
        _write(path, png.still(picture.frames[0], meta, provenance))
    elif name == "avif" and options.lossless:
        _write(path, [_lossless_avif(picture, meta, provenance)])
    else:
        _pillow(picture, path, name, meta, provenance, options)
    return Encoded(name)


def _kept(picture: Picture, options: EncodeOptions) -> Metadata:
    """Return the metadata to write. Stripping leaves what showing needs: the profile and the loop count."""
    meta = picture.metadata
    if options.strip_metadata:
        return Metadata(icc=meta.icc, loop=meta.loop)
    exif, xmp = meta.exif, meta.xmp
    return replace(
        meta,
        exif=exif_block.resized(exif, picture.width, picture.height) if exif else None,
        xmp=resized_xmp(xmp, picture.width, picture.height) if xmp else None,
    )


def _write(path: Path, pieces: Iterable[bytes | memoryview]) -> None:
    with path.open("wb") as file:
        for piece in pieces:
            file.write(piece)


def _pillow(
    picture: Picture, path: Path, name: Written, meta: Metadata, provenance: str | None, options: EncodeOptions
) -> None:
    first, *others = (_image(frame) for frame in picture.frames)
    settings: dict[str, Any] = {"icc_profile": meta.icc}
    if name == "jpeg":
        settings |= _jpeg(meta, provenance)
        settings |= {"quality": options.quality or _QUALITY["jpeg"]}
        if settings["quality"] >= 90:
            settings["subsampling"] = 0  # halved colour is the first thing that shows at high quality
    elif name in ("webp", "avif"):
        settings |= _still_or_moving(meta, provenance, options, name)
    elif name == "png":
        settings |= _animated_png(meta, provenance)
    if others:
        settings |= {
            "save_all": True,
            "append_images": others,
            "duration": [frame.duration_ms or 0 for frame in picture.frames],
            "loop": meta.loop or 0,
        }
        if name == "avif":
            del settings["loop"]  # the encoder has no such setting; AVIF sequences repeat as the viewer likes
    with path.open("wb") as file:
        first.save(file, format={"jpeg": "JPEG", "webp": "WEBP", "avif": "AVIF", "png": "PNG"}[name], **settings)


def _image(frame: Frame) -> Image.Image:
    if frame.alpha is not None:
        return Image.fromarray(np.concatenate((frame.color, frame.alpha[:, :, np.newaxis]), axis=2))  # (H, W, 2 or 4)
    return Image.fromarray(frame.color[:, :, 0] if frame.color.shape[2] == 1 else frame.color)


def _jpeg(meta: Metadata, provenance: str | None) -> dict[str, Any]:
    settings: dict[str, Any] = {}
    extra = b""
    if meta.iptc and len(meta.iptc) < _JPEG_SEGMENT:
        resource = b"8BIM\x04\x04\0\0" + len(meta.iptc).to_bytes(4, "big") + meta.iptc + b"\0" * (len(meta.iptc) % 2)
        content = b"Photoshop 3.0\0" + resource
        extra = b"\xff\xed" + (len(content) + 2).to_bytes(2, "big") + content
    if extra:
        settings["extra"] = extra
    if meta.exif and len(meta.exif) < _JPEG_SEGMENT:
        settings["exif"] = b"Exif\0\0" + meta.exif
    if meta.xmp and len(meta.xmp) < _JPEG_SEGMENT:
        settings["xmp"] = meta.xmp
    if meta.dpi:
        settings["dpi"] = tuple(round(value) for value in meta.dpi)
    if provenance:
        settings["comment"] = provenance.encode()
    return settings


def _still_or_moving(meta: Metadata, provenance: str | None, options: EncodeOptions, name: Written) -> dict[str, Any]:
    settings: dict[str, Any] = {}
    # These formats have no place for a comment, so the line of provenance becomes an EXIF entry.
    exif = exif_block.with_software(meta.exif, provenance) if provenance else meta.exif
    if exif:
        exif = exif_block.without_orientation(exif) if name == "avif" else exif
        settings["exif"] = b"Exif\0\0" + exif
    if meta.xmp:
        settings["xmp"] = meta.xmp
    if name == "webp":
        settings |= {"lossless": options.lossless, "quality": options.quality or _QUALITY["webp"], "exact": True}
        if options.lossless:
            settings |= {"quality": 50, "method": 2}  # here quality is effort; higher takes minutes for percents
        else:
            settings["method"] = 2
    else:
        settings |= {"quality": options.quality or _QUALITY["avif"], "speed": 8}
        if settings["quality"] >= 90:
            settings["subsampling"] = "4:4:4"
    return settings


def _lossless_avif(picture: Picture, meta: Metadata, provenance: str | None) -> memoryview:
    """Encode with OpenCV, which stores RGB as it is at quality 100; Pillow's YCbCr loses the last bits."""
    if len(picture.frames) > 1:
        raise FormatUnsupported(
            "AVIF is written lossless for still pictures only; webp and png can hold this animation"
        )
    exif = exif_block.with_software(meta.exif, provenance) if provenance else meta.exif
    parts = (
        (cv2.IMAGE_METADATA_EXIF, exif),
        (cv2.IMAGE_METADATA_XMP, meta.xmp),
        (cv2.IMAGE_METADATA_ICCP, meta.icc),
    )
    there = [(kind, np.frombuffer(content, np.uint8)) for kind, content in parts if content]
    done, data = cv2.imencodeWithMetadata(
        ".avif",
        _for_opencv(picture.frames[0]),
        [kind for kind, _ in there],
        [content for _, content in there],
        [cv2.IMWRITE_AVIF_QUALITY, 100, cv2.IMWRITE_AVIF_SPEED, 8],
    )
    if not done:
        raise EngineError("the AVIF encoder failed")
    view: memoryview = data.reshape(-1).data
    return view


def _for_opencv(frame: Frame) -> NDArray[Any]:
    """Return pixels as OpenCV wants them: gray (H, W), BGR (H, W, 3) or BGRA (H, W, 4), also for gray with alpha."""
    color, alpha = frame.color, frame.alpha
    if color.shape[2] == 1 and alpha is None:
        return color[:, :, 0]
    if alpha is None:
        swapped: NDArray[Any] = cv2.cvtColor(color, cv2.COLOR_RGB2BGR)
        return swapped
    merged = np.empty((*color.shape[:2], 4), color.dtype)
    merged[:, :, :3] = color[:, :, ::-1]
    merged[:, :, 3] = alpha
    return merged


def _animated_png(meta: Metadata, provenance: str | None) -> dict[str, Any]:
    text = PngImagePlugin.PngInfo()
    if meta.xmp:
        text.add_itxt("XML:com.adobe.xmp", meta.xmp.decode("utf-8", "replace"))
    if provenance:
        text.add_text("Software", provenance)
    settings: dict[str, Any] = {"pnginfo": text, "compress_level": 3, "disposal": 0, "blend": 0}
    if meta.exif:
        settings["exif"] = meta.exif
    if meta.dpi:
        settings["dpi"] = meta.dpi
    return settings
