"""Decoding: from an opened file to a Picture, upright, gray or RGB, alpha apart, in its own depth, all frames."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFile

from jobs.engine.codecs import gif, isobmff
from jobs.engine.codecs.bmp.pixels import BmpFile
from jobs.engine.codecs.color import pixels as color
from jobs.engine.codecs.metadata import read as metadata
from jobs.engine.codecs.open import BROKEN_FILE, open_image
from jobs.engine.codecs.png import frames as png_frames
from jobs.engine.codecs.png.chunks import PngFile
from jobs.engine.codecs.probe import avif_depths
from jobs.engine.codecs.tiff.file import TiffFile
from jobs.engine.errors import FormatUnsupported, ImageRejected
from jobs.engine.types import Frame, Header, Metadata, Picture


def read(path: Path, name: str, image: ImageFile.ImageFile, header: Header, *, for_viewing: bool = False) -> Picture:
    """Return the picture of an opened image whose header was checked: frames (H, W, 1 or 3), uint8 or uint16.

    :param for_viewing: colour of 16 bit may come as its upper 8, and OpenCV is not needed.

    :raises ImageRejected: or one of its children; and whatever Pillow raises for a broken file.
    """
    if name == "gif":
        return _gif(path, image, header)
    if isinstance(image, TiffFile):
        return _tiff(path, image, header)
    animated = header.frames > 1 or image.info.get("default_image")  # a still may be behind an animation of one frame
    if animated and isinstance(image, PngFile):
        return _apng(path, image, header, for_viewing=for_viewing)
    if animated:
        return _frames(path, name, image, header)
    if name == "jxl":
        image.load()  # its profile is known only then
    loaded_meta, notes = metadata.read(name, image, path)
    orientation = metadata.orientation(name, image)
    depth = _depth(image, header)  # Pillow closes AVIF files with the last of their frames
    if found := _apart(path, name, image, header):
        pixels, alpha = found
        icc = metadata.fitting_profile(loaded_meta.icc, pixels.shape[2])
    elif (name == "png" or (name == "avif" and header.bits == 16)) and _opencv_reads(image) and not for_viewing:
        pixels, alpha = _by_opencv(path, name, image, header)
        icc = metadata.fitting_profile(loaded_meta.icc, pixels.shape[2])
    else:
        image.load()
        pixels, alpha, icc = color.to_arrays(image, loaded_meta.icc)
        if alpha is None and pixels.dtype == np.uint16:
            alpha = _keyed(image, pixels)
        if header.bits == 16 and pixels.dtype == np.uint8:
            notes = (
                *notes,
                f"{image.mode} of 16 bit became sRGB of 8 bit",
            )
    frame = Frame(
        color=color.turn(pixels, orientation), alpha=None if alpha is None else color.turn(alpha, orientation)
    )
    return Picture(
        format=name,
        frames=(frame,),
        metadata=_with_icc(loaded_meta, icc),
        depth=depth,
        notes=(*notes, *_unfitting(loaded_meta, icc)),
    )


def _apart(
    path: Path, name: str, image: ImageFile.ImageFile, header: Header
) -> tuple[NDArray[Any], NDArray[Any] | None] | None:
    """Return colour (H, W, 1 or 3) and alpha (H, W) or None of kinds with a reader of their own; None for others."""
    if name == "heic" and header.bits == 16:
        return _deep_heic(path)
    if isinstance(image, BmpFile):
        return image.samples()
    return None


def _depth(image: ImageFile.ImageFile, header: Header) -> int:
    """Return the bits per channel that the file has, where the arrays' 16 stand for 10 or 12."""
    if header.bits == 8:
        return 8
    if header.format == "avif":
        return max(avif_depths(image))
    if header.format == "heic":
        return int(image.info.get("bit_depth", 16))
    return 16


def _with_icc(meta: Metadata, icc: bytes | None) -> Metadata:
    return replace(meta, icc=icc)


def _unfitting(meta: Metadata, icc: bytes | None) -> tuple[str, ...]:
    """Return a note where a profile stands in the file, and none is left for the pixels."""
    return (
        ("not kept: the colour profile, which is damaged or for pixels of another kind",)
        if meta.icc and not icc
        else ()
    )


def _opencv_reads(image: ImageFile.ImageFile) -> bool:
    """Return True where OpenCV decodes: PNG at twice Pillow's speed, and deep AVIF; palettes stay with Pillow."""
    return image.mode in ("L", "LA", "RGB", "RGBA", "I;16", "I;16B", "I;16L")


def _by_opencv(
    path: Path, name: str, image: ImageFile.ImageFile, header: Header
) -> tuple[NDArray[Any], NDArray[Any] | None]:
    """Return what `_opencv` does, put right where it leaves numbers as they are stored."""
    pixels, alpha = _opencv(path, image, header)
    if name == "avif":
        pixels, alpha = _from_avif(path, pixels, alpha, avif_depths(image))
    elif pixels.itemsize * 8 != header.bits:
        raise FormatUnsupported(f"the {name.upper()} file's 16 bit per channel would be lost in reading it")
    # OpenCV heeds a transparent colour in RGB files only.
    return pixels, _keyed(image, pixels) if alpha is None else alpha


def _keyed(image: Image.Image, pixels: NDArray[Any]) -> NDArray[Any] | None:
    """Return the alpha (H, W) of gray pixels (H, W, 1) one value of which is transparent; None where none is."""
    key = image.info.get("transparency")
    if not isinstance(key, int):
        return None
    return np.where(pixels[:, :, 0] == key, 0, np.iinfo(pixels.dtype).max).astype(pixels.dtype)


def _opencv(path: Path, image: Image.Image, header: Header) -> tuple[NDArray[Any], NDArray[Any] | None]:
    """Return colour (H, W, 1 or 3) gray or RGB, and alpha (H, W) or None, at the file's own depth."""
    import cv2  # noqa: PLC0415 - a native library that the web process's image does not have

    if isinstance(image, PngFile):
        data = np.frombuffer(image.pixel_bytes(), np.uint8)
    elif header.format == "avif":
        data = np.frombuffer(isobmff.without_metadata(path.read_bytes()), np.uint8)
    else:
        data = np.fromfile(path, np.uint8)
    try:
        pixels = cv2.imdecode(data, cv2.IMREAD_UNCHANGED)  # (H, W), (H, W, 3) BGR or (H, W, 4) BGRA
    except cv2.error as error:
        raise ImageRejected(f"the {header.format.upper()} file is broken or truncated") from error
    if pixels is None:
        raise ImageRejected(f"the {header.format.upper()} file is broken or truncated")
    if pixels.dtype not in (np.uint8, np.uint16):
        raise FormatUnsupported(f"the {header.format.upper()} file holds pixels of type {pixels.dtype}")
    if pixels.ndim == 2:
        return pixels[:, :, np.newaxis], None
    alpha = pixels[:, :, 3].copy() if pixels.shape[2] == 4 and header.alpha else None
    if header.gray:  # gray with alpha comes as four channels, three of them equal
        return pixels[:, :, :1].copy(), alpha
    code = cv2.COLOR_BGRA2RGB if pixels.shape[2] == 4 else cv2.COLOR_BGR2RGB
    return cv2.cvtColor(pixels, code), alpha  # (H, W, 3) RGB


def _from_avif(
    path: Path, pixels: NDArray[Any], alpha: NDArray[Any] | None, depths: frozenset[int]
) -> tuple[NDArray[Any], NDArray[Any] | None]:
    """Stretch OpenCV's values to 16 bit; they are of 8 bit where only a thumbnail or a gain map has more."""
    if pixels.dtype == np.uint8:
        return pixels, alpha
    deep = [depth for depth in depths if depth > 8]
    if len(deep) != 1:
        raise FormatUnsupported("the AVIF file holds pictures of 10 and of 12 bit; one depth is supported")
    full = _widened(pixels, deep[0])
    if pixels.shape[2] == 1:  # OpenCV brings colour to the full range, gray it leaves
        low, high = 16 << (deep[0] - 8), 235 << (deep[0] - 8)
        stretched = (np.clip(pixels, low, high).astype(np.float32) - low) / (high - low)
        limited = np.rint(stretched * 65535).astype(np.uint16)
        if _is_limited(path, limited, full):
            full = limited
    return full, None if alpha is None else _widened(alpha, deep[0])


def _is_limited(path: Path, limited: NDArray[Any], full: NDArray[Any]) -> bool:
    """Return True if a gray AVIF is of limited range: by its box, or, where it has none, by the AV1 data.

    The latter only the decoder reads: Pillow's picture of 8 bit is near to one of the two (H, W, 1) uint16.
    """
    with path.open("rb") as file:
        described = isobmff.describe(file).color
        if described:
            return not described.full_range
        _, image = open_image(file, path)
        shown = np.asarray(image.convert("L"), np.float32)[:, :, np.newaxis] * 257
    far = [float(np.abs(shown - one).mean()) for one in (limited, full)]
    return far[0] < far[1]


def _widened(pixels: NDArray[Any], depth: int) -> NDArray[Any]:
    """Stretch values of 10 or 12 bit over the full range of 16."""
    full = (1 << depth) - 1
    return ((pixels.astype(np.uint32) * 65535 + full // 2) // full).astype(np.uint16)


def _deep_heic(path: Path) -> tuple[NDArray[Any], NDArray[Any] | None]:
    """Decode 10 and 12 bit HEIC to colour (H, W, 1 or 3) and alpha (H, W) or None, uint16 over the full range."""
    import pillow_heif  # noqa: PLC0415 - a native library that few jobs need

    picture = pillow_heif.open_heif(path, convert_hdr_to_8bit=False, hdr_to_16bit=True)
    pixels = np.asarray(picture)  # (H, W), (H, W, 3) or (H, W, 4)
    if pixels.ndim == 2:
        return pixels[:, :, np.newaxis].astype(np.uint16), None
    alpha = pixels[:, :, 3].astype(np.uint16) if pixels.shape[2] == 4 else None
    return np.ascontiguousarray(pixels[:, :, :3]).astype(np.uint16), alpha


def _frames(path: Path, name: str, image: ImageFile.ImageFile, header: Header) -> Picture:
    """Decode every frame as it is shown, composed by Pillow."""
    meta, notes = metadata.read(name, image, path, loop=_plays(name, image))
    if name == "avif" and (bits := max(avif_depths(image))) > 8:
        notes = (*notes, f"not kept: {bits} bit per channel, of which animations are read as 8 bit")
    orientation = metadata.orientation(name, image)
    durations: list[float | None] = []
    exact: tuple[float, ...] = ()
    if name == "avif":  # whose times Pillow rounds to milliseconds
        with path.open("rb") as file:
            exact = isobmff.frame_times(file, header.frames)
    arrays, icc = [], meta.icc
    for index in range(header.frames):
        image.seek(index)
        image.load()
        durations.append(exact[index] if index < len(exact) else float(image.info.get("duration", 100)))
        pixels, alpha, icc = color.to_arrays(image.copy(), meta.icc)
        arrays.append((pixels, alpha))
    if name == "webp" and all(alpha is not None and alpha.min() == 255 for _, alpha in arrays):
        arrays = [(pixels, None) for pixels, _ in arrays]  # read with alpha in any case, see `AnimatedWebp`
    return Picture(
        format=name,
        frames=_alike(arrays, durations, orientation),
        metadata=_with_icc(meta, icc),
        notes=(*notes, *_unfitting(meta, icc)),
    )


def _apng(path: Path, image: PngFile, header: Header, *, for_viewing: bool) -> Picture:
    """Decode an animated PNG as browsers show it."""
    meta, notes = metadata.read("png", image, path, loop=_plays("png", image))
    if image.info.get("default_image"):
        notes = (*notes, "not kept: the still picture for viewers that know no animation")
    shown = list(png_frames.composed(image.whole, header.frames, for_viewing=for_viewing))
    opaque = all(pixels[:, :, 3].min() == np.iinfo(pixels.dtype).max for pixels, _ in shown)
    channels = 1 if header.gray else 3
    frames = tuple(
        Frame(
            color=np.ascontiguousarray(pixels[:, :, :channels]),
            alpha=None if opaque and not header.alpha else pixels[:, :, 3].copy(),
            duration_ms=time,
        )
        for pixels, time in shown
    )
    orientation = metadata.orientation("png", image)
    icc = metadata.fitting_profile(meta.icc, channels)
    return Picture(
        format="png",
        frames=_alike([(one.color, one.alpha) for one in frames], [one.duration_ms for one in frames], orientation),
        metadata=_with_icc(meta, icc),
        notes=(*notes, *_unfitting(meta, icc)),
    )


def _tiff(path: Path, image: TiffFile, header: Header) -> Picture:
    """Decode a TIFF's pages, each as it is shown; they have no duration, and the depth of the deepest."""
    meta, notes = metadata.read("tiff", image, path)
    durations: list[float | None] = [None] * header.frames
    arrays, icc = [], meta.icc
    profiles = set[bytes | None]()
    for page in image.pages[: header.frames]:
        image.seek(page.number)
        pixels, alpha, icc = image.arrays(meta.icc)
        notes = (*notes, *(note for note in image.notes() if note not in notes))
        profiles.add(image.info.get("icc_profile"))
        arrays.append((pixels, alpha))
    if any(pixels.dtype == np.uint16 for pixels, _ in arrays):
        arrays = [(_deep(pixels), None if alpha is None else _deep(alpha)) for pixels, alpha in arrays]
    frames = _alike(arrays, durations, 1)
    bits = 8 if frames[0].color.dtype == np.uint8 else image.layout.bits if image.layout.bits in (10, 12) else 16
    depth = bits if len(frames) == 1 else 0
    notes = (*notes, *_unfitting(meta, icc))
    if len(profiles) > 1:
        notes = (*notes, "not kept: colour profiles of pages that differ from the first one's")
    if image.is_cut:
        notes = (*notes, "not kept: further pages, before which the file ends")
    return Picture(format="tiff", frames=frames, metadata=_with_icc(meta, icc), depth=depth, notes=notes)


def _deep(pixels: NDArray[Any]) -> NDArray[Any]:
    """Return uint8 or uint16 as uint16, over the full range."""
    return pixels if pixels.dtype == np.uint16 else pixels.astype(np.uint16) * np.uint16(257)


def _gif(path: Path, image: ImageFile.ImageFile, header: Header) -> Picture:
    """Decode a GIF as browsers show it, animated or not."""
    meta, notes = metadata.read("gif", image, path, loop=_plays("gif", image) if header.frames > 1 else None)
    with path.open("rb") as file:
        screen = gif.read(file, header.frames + 1)  # one more, to see whether the file ends in it
        shown = []
        try:
            for composed in gif.composed(file, screen):
                shown.append(composed)  # noqa: PERF402 - those before a damaged one are kept
        except BROKEN_FILE:
            if not shown:
                raise
            notes = (*notes, f"not kept: frames from number {len(shown) + 1} on, which are damaged")
    if screen.cut:
        notes = (*notes, "not kept: a last frame, in which the file ends")
    opaque = all(frame[:, :, 3].min() == 255 for frame in shown)
    frames = tuple(
        Frame(
            color=np.ascontiguousarray(frame[:, :, : 1 if header.gray else 3]),
            alpha=None if opaque else frame[:, :, 3].copy(),
            duration_ms=part.duration_ms if header.frames > 1 else None,
        )
        for frame, part in zip(shown, screen.parts, strict=False)  # a damaged frame ends them
    )
    return Picture(format="gif", frames=frames, metadata=_with_icc(meta, None), notes=notes)


def _alike(
    arrays: list[tuple[NDArray[Any], NDArray[Any] | None]], durations: list[float | None], orientation: int
) -> tuple[Frame, ...]:
    """Give all frames colour or alpha if one has it: frames of one animation may come in different modes."""
    colored = any(pixels.shape[2] == 3 for pixels, _ in arrays)
    transparent = any(alpha is not None for _, alpha in arrays)
    frames = []
    for (pixels, alpha), duration in zip(arrays, durations, strict=True):
        full = np.repeat(pixels, 3, axis=2) if colored and pixels.shape[2] == 1 else pixels
        mask = np.full(full.shape[:2], np.iinfo(full.dtype).max, full.dtype) if transparent and alpha is None else alpha
        frames.append(
            Frame(
                color=color.turn(full, orientation),
                alpha=None if mask is None else color.turn(mask, orientation),
                duration_ms=duration,
            )
        )
    return tuple(frames)


def _plays(name: str, image: Image.Image) -> int:
    """Return how often the animation runs, 0 for ever. GIF counts repeats after the first; no count means one run."""
    loop = image.info.get("loop")
    if name == "gif":
        return 1 if loop is None else 0 if loop == 0 else int(loop) + 1
    return int(loop or 0)
