"""Opening an image file: the format comes from the first bytes, never from the name. Pillow only."""

from pathlib import Path
from typing import BinaryIO

from PIL import (
    AvifImagePlugin,
    GifImagePlugin,
    Image,
    ImageFile,
    JpegImagePlugin,
    WebPImagePlugin,
)

from jobs.engine.codecs import foreign, jxl
from jobs.engine.codecs.bmp.pixels import BmpFile
from jobs.engine.codecs.jpeg.segments import check_count
from jobs.engine.codecs.png.chunks import PngFile
from jobs.engine.codecs.tiff.file import TiffFile
from jobs.engine.codecs.truncation import damaged
from jobs.engine.errors import FormatUnsupported, ImageRejected

READABLE = "PNG, JPEG, WebP, TIFF, BMP, GIF, AVIF, HEIC and JPEG XL"

#: Errors that Pillow and its plugins raise for malformed files; SyntaxError is their "not this format".
BROKEN_FILE = (
    OSError,
    SyntaxError,
    ValueError,
    TypeError,
    KeyError,
    IndexError,
    EOFError,
    OverflowError,
    AttributeError,
    RuntimeError,
    ZeroDivisionError,
    Image.DecompressionBombError,
)


class AnimatedWebp(WebPImagePlugin.WebPImageFile):
    """Pillow's WebP with the alpha of every animation: frames that do not fill the canvas leave it transparent.

    A file need not say so in its header, and Pillow believes the header.
    """

    def _open(self) -> None:
        super()._open()
        if self.is_animated and self.rawmode == "RGBX":
            self._mode = self.rawmode = "RGBA"


_AVIF_BRANDS = {b"avif", b"avis"}
_HEIC_BRANDS = {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs"}


def sniff(head: bytes) -> str | None:
    """Return our name of the format, or None when it is none of ours.

    :param head: the first 64 bytes of the file, or more.
    """
    if head.startswith(b"\x89PNG\r\n\x1a\n"):
        return "png"
    if head.startswith(b"\xff\xd8\xff"):
        return "jpeg"
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "webp"
    if head.startswith((jxl.SIGNATURE, jxl.CONTAINER)):
        return "jxl"
    if head[:4] in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"):
        return "tiff"
    if head.startswith(b"BM"):
        return "bmp"
    if head.startswith((b"GIF87a", b"GIF89a")):
        return "gif"
    if head[4:8] == b"ftyp":
        # ISO/IEC 14496-12: box size, "ftyp", major brand, minor version, compatible brands.
        size = min(int.from_bytes(head[:4], "big"), len(head))
        brands = {head[8:12]} | {head[i : i + 4] for i in range(16, size - 3, 4)}
        if brands & _AVIF_BRANDS:
            return "avif"
        if brands & _HEIC_BRANDS:
            return "heic"
    return None


def open_image(file: BinaryIO, path: Path) -> tuple[str, ImageFile.ImageFile]:
    """Return the format's name and Pillow's lazy image: the header is read, no pixel is decoded.

    The plugin's class is called directly, since `Image.open` would check its own process-wide pixel limit instead of
    the caller's, and would try formats that we do not want to expose to strangers' files (EPS runs Ghostscript).

    :raises ImageRejected: when the file is empty or broken.
    :raises FormatUnsupported: when it has none of the formats that we read.
    """
    head = file.read(256)
    if not head:
        raise ImageRejected("the image file is empty")
    if foreign.is_raw(head):
        raise FormatUnsupported(foreign.RAW)
    name = sniff(head)
    if name is None:
        kind = foreign.named(head)
        if kind:
            raise FormatUnsupported(f"the file is {kind}, not an image of a format that we read: {READABLE}")
        raise FormatUnsupported(f"the file is not an image of a format that we read: {READABLE}")
    file.seek(0)
    if name == "jpeg":
        check_count(file)
    try:
        # Pillow maps an uncompressed TIFF by its name into memory, and then takes the rows of a turned one for columns.
        return name, _plugin(name)(file, "" if name == "tiff" else str(path))
    except BROKEN_FILE as error:
        if "unknown pixel mode" in str(error) or "unknown data organization" in str(error):
            raise FormatUnsupported(f"the {name.upper()} file holds pixels of a kind that we do not read") from error
        if reason := foreign.obstacle(name, file):
            raise FormatUnsupported(f"the {name.upper()} file cannot be read: {reason}") from error
        raise damaged(name, file) from error


def _plugin(name: str) -> type[ImageFile.ImageFile]:
    if name == "heic":
        from pillow_heif import HeifImageFile  # noqa: PLC0415 - a native library that few jobs need

        plugin: type[ImageFile.ImageFile] = HeifImageFile
        return plugin
    return {
        "png": PngFile,
        "jpeg": JpegImagePlugin.JpegImageFile,
        "webp": AnimatedWebp,
        "tiff": TiffFile,
        "jxl": jxl.JxlFile,
        "bmp": BmpFile,
        "gif": GifImagePlugin.GifImageFile,
        "avif": AvifImagePlugin.AvifImageFile,
    }[name]
