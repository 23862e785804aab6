"""Colour: Pillow images of any mode to arrays of gray or RGB, with alpha apart; other colour spaces become sRGB."""

import io
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms

from jobs.engine.codecs.metadata.read import fitting_profile
from jobs.engine.errors import FormatUnsupported
from jobs.engine.types import Frame

Array = NDArray[Any]


def to_arrays(image: Image.Image, icc: bytes | None) -> tuple[Array, Array | None, bytes | None]:
    """Return the pixels of a loaded image.

    :returns: colour (H, W, 1 or 3), gray or RGB, uint8 or uint16 over the full range; alpha (H, W) of the same dtype or
        None; and the ICC profile that fits the colour.
    :raises FormatUnsupported: for floating-point and 32-bit pixels.
    """
    mode = image.mode
    if mode in ("I;16", "I;16L", "I;16B", "I;16N"):
        gray = np.asarray(image).astype(np.uint16)
        return gray[:, :, np.newaxis].copy(), None, fitting_profile(icc, 1)
    if mode in ("I", "F"):
        raise FormatUnsupported(f"the image holds 32-bit pixels (mode {mode}); 1 to 16 bit are supported")
    if mode in ("CMYK", "LAB", "YCbCr", "HSV"):
        image, icc = _to_srgb(image, icc)
    image = _plain(image)
    pixels = np.asarray(image)
    if image.mode == "L":
        return pixels[:, :, np.newaxis].copy(), None, fitting_profile(icc, 1)
    if image.mode == "LA":
        return pixels[:, :, :1].copy(), pixels[:, :, 1].copy(), fitting_profile(icc, 1)
    if image.mode == "RGBA":
        return np.ascontiguousarray(pixels[:, :, :3]), pixels[:, :, 3].copy(), fitting_profile(icc, 3)
    return np.ascontiguousarray(pixels), None, fitting_profile(icc, 3)


def to_image(frame: Frame) -> Image.Image:
    """Return a frame's colour (H, W, 1 or 3) uint8, with its alpha if it has one, as Pillow's L, LA, RGB or RGBA."""
    if frame.alpha is not None:
        return Image.fromarray(np.concatenate((frame.color, frame.alpha[:, :, np.newaxis]), axis=2))  # (H, W, 2 or 4)
    return Image.fromarray(frame.color[:, :, 0] if frame.color.shape[2] == 1 else frame.color)


def _plain(image: Image.Image) -> Image.Image:
    """Convert without loss to L, LA, RGB or RGBA: palettes are looked up, a transparent colour becomes alpha."""
    transparent = "transparency" in image.info
    if image.mode in ("L", "LA", "RGB", "RGBA") and not transparent:
        return image
    if image.mode == "1" and not transparent:
        return image.convert("L")
    if image.mode in ("1", "L", "La"):
        return image.convert("LA")
    if image.mode in ("P", "PA"):
        return image.convert("RGBA" if transparent or image.mode == "PA" else "RGB")
    return image.convert("RGBA" if transparent or image.mode in ("RGBA", "RGBa") else "RGB")


def _to_srgb(image: Image.Image, icc: bytes | None) -> tuple[Image.Image, bytes]:
    """Convert colour spaces that no network knows, through the file's own profile where it has a usable one."""
    srgb = ImageCms.createProfile("sRGB")
    written = ImageCms.ImageCmsProfile(srgb).tobytes()
    try:
        if image.mode == "LAB":
            source = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB"))
        elif image.mode == "CMYK" and icc and icc[16:20] == b"CMYK":
            source = ImageCms.ImageCmsProfile(io.BytesIO(icc))
        else:
            return image.convert("RGB"), written
        converted = ImageCms.profileToProfile(
            image,
            source,
            srgb,
            renderingIntent=ImageCms.Intent.RELATIVE_COLORIMETRIC,
            outputMode="RGB",
            flags=ImageCms.Flags.BLACKPOINTCOMPENSATION,
        )
    except (ImageCms.PyCMSError, OSError):
        return image.convert("RGB"), written
    if converted is None:
        raise FormatUnsupported(f"a {image.mode} image could not be converted to RGB")
    return converted, written


def straight(pixels: Array, alpha: Array) -> Array:
    """Divide premultiplied colour (H, W, C) by its alpha (H, W), both uint8 or both uint16; 0 where alpha is 0."""
    most = np.iinfo(pixels.dtype).max
    cover = alpha[:, :, np.newaxis].astype(np.uint32)
    color = (pixels.astype(np.uint32) * most + cover // 2) // np.maximum(cover, 1)
    return np.where(cover > 0, np.minimum(color, most), 0).astype(pixels.dtype)


def turn(pixels: Array, orientation: int) -> Array:
    """Turn (H, W, ...) pixels as EXIF orientation (1 to 8) wants them shown; a new contiguous array unless it is 1."""
    if orientation not in range(2, 9):
        return pixels
    if orientation in (5, 6, 7, 8):
        pixels = pixels.swapaxes(0, 1)  # (W, H, ...)
    # After the transposition of 5 to 8, what is left is the mirroring of rows and of columns.
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    return np.ascontiguousarray(pixels)
