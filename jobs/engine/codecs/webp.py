"""WebP's container: what stands beside the pixels that we do not read.

WebP Container Specification: RIFF, a size, "WEBP", then chunks of a name, a size and padded content.
"""

import os
import struct
from typing import IO

from jobs.engine.codecs.metadata.credentials import CREDENTIALS

_READ = {b"VP8 ", b"VP8L", b"VP8X", b"ALPH", b"ANIM", b"ANMF", b"ICCP", b"EXIF", b"XMP "}
_MOST_CHUNKS = 10_000


def further(file: IO[bytes]) -> tuple[str, ...]:
    """Return what stands in further chunks, by name; the position in bytes is restored."""
    before = file.tell()
    size, at = file.seek(0, os.SEEK_END), 12
    found = dict[str, None]()
    for _ in range(_MOST_CHUNKS):
        if at + 8 > size:
            break
        file.seek(at)
        name, length = struct.unpack("<4sI", file.read(8))
        if name == b"C2PA":
            found[CREDENTIALS] = None
        elif name not in _READ:
            found[f"the WebP chunk {name.decode('latin-1')!r}"] = None
        at += 8 + length + length % 2
    file.seek(before)
    return tuple(found)[:20]
