"""Small browser-safe renditions of inputs and results, made when a page asks and kept by the browser.

Browsers show no HEIC and no TIFF, and nobody wants a 200 MB PNG in an <img>. Decoding costs this web process memory,
so pictures beyond ``MAX_PIXELS`` are not decoded (their preview, made by the worker, is used where there is one), and
only a few are decoded at a time.
"""

import io
from pathlib import Path
from threading import BoundedSemaphore

from PIL import Image, ImageOps

from jobs.engine.codecs.open import BROKEN_FILE, open_image
from jobs.engine.errors import ImageRejected
from jobs.models import Job
from jobs.storage import files
from modelstore.errors import StorageUnavailable

#: 40 million pixels take about 160 MB while they are decoded.
MAX_PIXELS = 40_000_000
SIDES = {"thumb": 112, "view": 1600}
CONTENT_TYPE = "image/webp"

_decoding = BoundedSemaphore(2)


class NoRendition(Exception):
    """There is none: the file is gone, broken or too large to decode here. The message says which."""


def of_input(job: Job, size: str) -> bytes:
    """Return the uploaded picture as WebP, at most ``SIDES[size]`` pixels on its longer side.

    :raises NoRendition:
    """
    if not job.has_input:
        raise NoRendition("the input was deleted when the job ended")
    return _render(job.input_file, SIDES[size])


def of_result(job: Job, size: str) -> bytes:
    """Return the result as WebP. A result too large to decode here is shown by the preview that its worker made.

    :raises NoRendition:
    """
    if not job.result_file:
        raise NoRendition("no result")
    pixels = (job.result_width or 0) * (job.result_height or 0)
    use_preview = (size == "thumb" or pixels > MAX_PIXELS) and files.exists(job.preview_file)  # it may fail alone
    return _render(job.preview_file if use_preview else job.result_file, SIDES[size])


def _render(name: str, side: int) -> bytes:
    try:
        with _decoding, files.local(name) as path, path.open("rb") as file:
            return _shrink(file, path, side)
    except FileNotFoundError:
        raise NoRendition("the file is gone") from None
    except (ImageRejected, MemoryError, StorageUnavailable, *BROKEN_FILE) as error:
        raise NoRendition(str(error) or "the file cannot be decoded") from error


def _shrink(file: "io.BufferedReader", path: Path, side: int) -> bytes:
    _, opened = open_image(file, path)
    opened.draft("RGB" if opened.mode in ("RGB", "YCbCr", "CMYK") else "L", (side, side))  # JPEG: decode small at once
    if opened.width * opened.height > MAX_PIXELS:
        raise NoRendition(f"{opened.width}×{opened.height} px are too many to decode here")
    image: Image.Image = opened
    if image.mode.startswith(("I", "F")):  # 16 bit gray: Pillow would clip instead of scaling
        image = image.convert("I").point(lambda value: value / 256).convert("L")
    image = ImageOps.exif_transpose(image)
    alpha = "A" in image.getbands() or "transparency" in image.info
    image = image.convert("RGBA" if alpha else "RGB")
    image.thumbnail((side, side), Image.Resampling.LANCZOS)
    target = io.BytesIO()
    image.save(target, "WEBP", quality=82, method=2)
    return target.getvalue()
