"""Probing: an image file's header, without decoding pixels. Cheap enough for a web request; no torch."""

from pathlib import Path

from PIL import ImageFile

from jobs.engine.codecs import avif, gif, jxl
from jobs.engine.codecs.bmp.pixels import BmpFile
from jobs.engine.codecs.metadata.read import orientation
from jobs.engine.codecs.open import BROKEN_FILE, open_image
from jobs.engine.codecs.tiff.file import TiffFile
from jobs.engine.codecs.truncation import damaged
from jobs.engine.errors import FormatUnsupported, ImageRejected, ImageTooLarge
from jobs.engine.tiling.passes import Passes
from jobs.engine.types import Header, Limits

#: EXIF orientations that swap width and height.
_TURNED = (5, 6, 7, 8)

#: Formats whose frames are shown one after another (or, TIFF, are pages). HEIC holds a primary image and extras.
_FRAMED = ("png", "gif", "webp", "avif", "tiff")


def probe(path: Path, limits: Limits) -> Header:
    """Read the header and check every limit, without decoding a pixel. Sizes are in pixels.

    :raises ImageRejected: or one of its children; the message names the limit that was passed.
    """
    try:
        with path.open("rb") as file:
            name, image = open_image(file, path)
            try:
                header = describe(name, image, limits)
            except BROKEN_FILE as error:
                raise damaged(name, file) from error
    except OSError as error:
        raise ImageRejected(f"the image file cannot be read: {error.strerror}") from error
    check(header, limits)
    return header


def check(header: Header, limits: Limits) -> None:
    """Check a header against the limits, in pixels and frames.

    :raises ImageTooLarge: naming the first limit that the picture passes.
    :raises ImageRejected: when a side has no pixels.
    """
    size = f"{header.width}×{header.height} px"
    if header.width < 1 or header.height < 1:
        raise ImageRejected(f"the image is {size}")
    if header.frames > limits.max_frames:
        raise ImageTooLarge(f"the image has more than {limits.max_frames} frames, the limit is {limits.max_frames}")
    if max(header.width, header.height) > limits.max_side:
        raise ImageTooLarge(f"the image is {size}, the limit is {limits.max_side} px per side")
    if header.pixels > limits.max_input_pixels:
        frames = f" in {header.frames} frames" if header.frames > 1 else ""
        raise ImageTooLarge(
            f"the image is {size}{frames}, {area(header.pixels)}; the limit is {area(limits.max_input_pixels)}"
        )


def area(pixels: int) -> str:
    """Return a number of pixels as people say it: "63.5 megapixels"; below 10,000 the pixels themselves."""
    return f"{pixels / 1e6:.5g} megapixels" if pixels >= 10_000 else f"{pixels} pixels"


def check_output(header: Header, scale: float, limits: Limits) -> None:
    """Check the size of the result at that scale, in pixels of all frames.

    :raises ImageTooLarge: when it would be beyond the limit on output pixels.
    """
    width, height = int(header.width * scale), int(header.height * scale)
    if width * height * header.frames > limits.max_output_pixels:
        raise ImageTooLarge(
            f"the result would be {width}×{height} px, {area(width * height * header.frames)}; "
            f"the limit is {area(limits.max_output_pixels)}"
        )


def check_passes(header: Header, passes: Passes, limits: Limits) -> None:
    """Check the result's size as `check_output`, and that of a frame between two passes, where it may be larger.

    :raises ImageTooLarge: when one of them would be beyond the limit on output pixels.
    """
    check_output(header, passes.scale, limits)
    width, height = max(passes.inputs, key=lambda size: size[0] * size[1])
    if len(passes.inputs) > 1 and width * height > limits.max_output_pixels:
        raise ImageTooLarge(
            f"between two models the image would be {width}×{height} px, {area(width * height)}; "
            f"the limit is {area(limits.max_output_pixels)}"
        )


def describe(name: str, image: ImageFile.ImageFile, limits: Limits) -> Header:
    """Return the header of an image opened by `open_image`; limits stop the counting of frames.

    :raises ImageTooLarge: when a GIF's frames have more pixels than the limit, beyond its screen.
    """
    width, height = image.size
    alpha = _has_alpha(image)
    bits = 8
    if name == "png":
        bits = _header_byte(image, 24)
    elif isinstance(image, TiffFile):
        bits = _tiff_bits(image, limits.max_frames)
    elif name == "avif":
        bits = max(avif_depths(image))
    elif isinstance(image, BmpFile):
        bits = image.bits
    elif name == "heic":
        bits = int(image.info.get("bit_depth", 8))
    elif isinstance(image, jxl.JxlFile):
        bits = image.header.bits
        if image.header.animated or image.header.is_float or (bits > 8 and not image.header.gray):
            raise FormatUnsupported(
                "the JPEG XL file holds an animation, floating-point samples or colour of more than 8 bit; "
                "stills of 8 bit and gray of 16 bit are read"
            )
    elif name == "gif":
        screen = gif_screen(image, limits.max_frames + 1)
        width, height, alpha = screen.width, screen.height, screen.has_alpha
        if screen.stored_pixels > limits.max_input_pixels >= width * height * len(screen.parts):
            raise ImageTooLarge(
                f"the image is {width}×{height} px, but its frames hang over it and have "
                f"{area(screen.stored_pixels)}; the limit is {area(limits.max_input_pixels)}"
            )
    frames = count_frames(name, image, limits.max_frames)
    if name == "avif" and frames > 1:
        bits = 8  # of animations Pillow gives no more
    if orientation(name, image) in _TURNED:
        width, height = height, width
    return Header(
        format=name,
        width=width,
        height=height,
        frames=frames,
        bits=16 if bits > 8 else 8,
        gray=_is_gray(name, image),
        alpha=alpha,
    )


def _is_gray(name: str, image: ImageFile.ImageFile) -> bool:
    if name == "png":
        return png_is_gray(image)
    return image.mode in ("1", "L", "LA", "La", "I", "I;16", "I;16B", "I;16L")


def _has_alpha(image: ImageFile.ImageFile) -> bool:
    return image.mode in ("LA", "La", "PA", "RGBA", "RGBa") or "transparency" in image.info


def count_frames(name: str, image: ImageFile.ImageFile, limit: int) -> int:
    """Return the number of shown frames, at most ``limit + 1``; the image stands at its first frame afterwards."""
    if name not in _FRAMED:
        return 1
    if name == "gif":
        return len(gif_screen(image, limit + 1).parts)  # no count in its header: the blocks tell, up to the limit
    if isinstance(image, TiffFile):
        return min(len(image.pages), limit + 1)
    count = int(getattr(image, "n_frames", 1))
    if name == "png" and image.info.get("default_image"):
        count -= 1  # the still image for viewers that know no animation is not part of the animation
    return max(count, 1)


def gif_screen(image: ImageFile.ImageFile, most: int) -> gif.Screen:
    """Return a GIF's screen in px and its frames, ``most`` of them at most."""
    if image.fp is None:
        raise ValueError("the file is closed")
    return gif.read(image.fp, most)


def png_is_gray(image: ImageFile.ImageFile) -> bool:
    """Return True if a PNG's colour type, byte 25, is gray: Pillow opens gray with alpha of 16 bit as RGBA."""
    return _header_byte(image, 25) in (0, 4)


def _header_byte(image: ImageFile.ImageFile, index: int) -> int:
    """Return one byte of a PNG's IHDR, which stands at a fixed place (PNG specification, 11.2.1)."""
    file = image.fp
    if file is None:
        raise ValueError("the file is closed")
    position = file.tell()
    file.seek(index)
    byte = file.read(1)[0]
    file.seek(position)
    return byte


def avif_depths(image: ImageFile.ImageFile) -> frozenset[int]:
    """Return the bit depths that `avif.depths` finds in the image's file."""
    if image.fp is None:
        raise ValueError("the file is closed")
    return avif.depths(image.fp)


def _tiff_bits(image: TiffFile, most: int) -> int:
    """Return the bits per channel of the deepest of the first pages.

    :raises FormatUnsupported: when they differ in size.
    """
    pages = image.pages[:most]
    sizes = dict.fromkeys(page.size for page in pages)
    if len(sizes) > 1:
        (width, height), (other_width, other_height), *_ = sizes
        raise FormatUnsupported(
            f"a TIFF with pages of different sizes ({width}×{height} px and {other_width}×{other_height} px); "
            "only pages of one size can be upscaled together: send each as a file of its own"
        )
    return max(page.bits for page in pages)
