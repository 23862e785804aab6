"""The engine's two doors to files: a file becomes a Picture, a Picture becomes a file."""

from pathlib import Path

from jobs.engine.codecs.decode import read
from jobs.engine.codecs.encode import write
from jobs.engine.codecs.foreign import obstacle
from jobs.engine.codecs.gain_map.read import attach
from jobs.engine.codecs.metadata.read import orientation
from jobs.engine.codecs.open import BROKEN_FILE, open_image
from jobs.engine.codecs.probe import check, describe
from jobs.engine.codecs.truncation import damaged
from jobs.engine.errors import EngineError, FormatUnsupported, ImageRejected
from jobs.engine.types import Encoded, EncodeOptions, Limits, Picture


def decode(path: Path, limits: Limits, *, for_viewing: bool = False) -> Picture:
    """Read a whole image; limits are checked on its header first.

    :param for_viewing: colour of 16 bit may come as its upper 8 bits: OpenCV is not needed then.
    :returns: frames with colour (H, W, 1 or 3) and alpha (H, W) or None, uint8 or uint16 over the full range.
    :raises ImageRejected: or one of its children, for files that are no image, broken, truncated or beyond a limit.
    """
    try:
        with path.open("rb") as file:
            name, image = open_image(file, path)
            try:
                header = describe(name, image, limits)
                check(header, limits)
                picture = read(path, name, image, header, for_viewing=for_viewing)
                picture = attach(path, picture, orientation(name, image), limits)
            except (ImageRejected, *BROKEN_FILE) as error:
                if isinstance(error, ImageRejected) and "broken" not in str(error):
                    raise
                if reason := obstacle(name, file):
                    raise FormatUnsupported(f"the {name.upper()} file cannot be read: {reason}") from error
                raise damaged(name, file) from error
            except MemoryError as error:
                raise ImageRejected(
                    f"there is too little memory to decode {header.width}×{header.height} px"
                ) from error
    except OSError as error:
        raise ImageRejected(f"the image file cannot be read: {error.strerror}") from error
    if (picture.width, picture.height) != (header.width, header.height):
        raise ImageRejected("the image's pixels have another size than its header says")
    return picture


def encode(picture: Picture, path: Path, options: EncodeOptions | None = None) -> Encoded:
    """Write the picture, (H, W, 1 or 3) frames of uint8 or uint16, and return the format's name and what was not kept.

    ``path`` is written under exactly that name, whatever its extension, and not touched after the call.

    :raises FormatUnsupported: when the format asked for cannot hold the result.
    :raises EngineError: on other failures.
    """
    options = options or EncodeOptions()
    name = options.format
    try:
        encoded = write(picture, path, options)
    except (ValueError, SystemError, OverflowError) as error:
        shown = "an image" if name == "auto" else name.upper()
        raise EngineError(f"the result could not be written as {shown}: {error}") from error
    return encoded
