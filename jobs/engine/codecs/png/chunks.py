"""PNG files as chunks: the pixels' go to the decoders, all others are read here, within bounds of our own.

Pillow refuses a file for a text or a profile of more than 1 MiB, and reads none that follows the pixels.
PNG specification (W3C, third edition), sections 5 and 11: a chunk is length, name, content, CRC-32 of name and content.
"""

import io
import os
import struct
import zlib
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO

from PIL.PngImagePlugin import PngImageFile

from jobs.engine.errors import ImageRejected

SIGNATURE = b"\x89PNG\r\n\x1a\n"
#: What decoders of pixels need: the picture's kind, palette, transparency, pixels, animation.
_PIXELS = {b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"acTL", b"fcTL", b"fdAT", b"IEND"}
#: Chunks beside the pixels in one file; a hostile file has millions, and each costs memory.
_MOST_CHUNKS = 10_000
#: Bytes of one chunk beside the pixels.
_MOST_BYTES = 64 << 20


@dataclass(frozen=True)
class Chunk:
    """A chunk beside the pixels; its content is read when it is asked for. ``start`` and ``length`` are in bytes."""

    name: bytes
    start: int
    length: int
    after_pixels: bool


class PngFile(PngImageFile):
    """Pillow's PNG over the pixels' chunks alone. ``chunks`` are the others, in the file's order."""

    def __init__(self, file: IO[bytes], filename: str = "") -> None:
        self.whole = file
        self.chunks, self.spans = scan(file)
        self.damaged: set[bytes] = set()  # names of chunks whose CRC was seen to be wrong
        super().__init__(io.BufferedReader(_Spans(file, self.spans)), filename)
        self._fit_the_key()

    def _fit_the_key(self) -> None:
        """Bring a transparent gray of 2 or 4 bit, and a colour of 16, to the 8 bit that Pillow makes of the pixels.

        Bits of a key above the file's depth do not count (11.3.1.1).
        """
        assert self.png is not None
        file = self._fp
        at = file.tell()
        file.seek(24)
        bits, kind = file.read(2)
        file.seek(at)
        full = (1 << bits) - 1
        infos = (self.info, self.png.im_info, self.png.rewind_state.info)
        for info in {id(info): info for info in infos}.values():  # some are one
            key = info.get("transparency")
            if isinstance(key, int) and kind == 0 and bits != 1:
                info["transparency"] = (key & full) * (255 // full if bits < 8 else 1)
            elif isinstance(key, tuple) and bits == 16:
                info["transparency"] = tuple(value >> 8 for value in key)

    def contents(self) -> Iterator[tuple[Chunk, bytes]]:
        """Yield chunks with their content in bytes; those of a wrong CRC or beyond 64 MiB are left out."""
        before = self.whole.tell()
        for chunk in self.chunks:
            if chunk.length > _MOST_BYTES:
                continue
            self.whole.seek(chunk.start)
            data = self.whole.read(chunk.length + 4)
            if zlib.crc32(chunk.name + data[:-4]) == int.from_bytes(data[-4:], "big"):
                yield chunk, data[:-4]
            else:
                self.damaged.add(chunk.name)
        self.whole.seek(before)

    def pixel_bytes(self) -> bytes:
        """Return the bytes of a PNG file of the pixels' chunks alone."""
        before = self.whole.tell()
        pieces = []
        for start, end in self.spans:
            self.whole.seek(start)
            pieces.append(self.whole.read(end - start))
        self.whole.seek(before)
        return b"".join(pieces)


def scan(file: IO[bytes]) -> tuple[tuple[Chunk, ...], list[tuple[int, int]]]:
    """Follow the chunks to their end without reading them, so that half an upload is refused before it is a job.

    OpenCV returns black rows for a file that ends early, and says nothing. The file's position in bytes is restored.

    :returns: the chunks beside the pixels, and the spans (start, end) in bytes of all the rest.
    :raises ImageRejected: when the chunks stop before IEND, or are too many.
    """
    before = file.tell()
    size, at = file.seek(0, os.SEEK_END), len(SIGNATURE)
    chunks: list[Chunk] = []
    spans = [(0, at)]
    seen_pixels = False
    while at + 12 <= size:
        file.seek(at)
        length, name = struct.unpack(">I4s", file.read(8))
        end = min(at + 12 + length, size)  # an end mark may claim what is not there, and reading would make room for it
        if name in _PIXELS:
            seen_pixels = seen_pixels or name == b"IDAT"
            start, last = spans[-1]
            if last == at:
                spans[-1] = (start, end)
            else:
                spans.append((at, end))
        else:
            chunks.append(Chunk(name, at + 8, length, seen_pixels))
            if len(chunks) > _MOST_CHUNKS:
                raise ImageRejected(f"the PNG file has more than {_MOST_CHUNKS} chunks beside its pixels")
        if name == b"IEND":
            file.seek(before)
            return tuple(chunks), spans
        at = end
    raise ImageRejected("the PNG file is truncated: it ends too early")


class _Spans(io.RawIOBase):
    """A read-only file made of spans (start, end), in bytes, of another one."""

    def __init__(self, file: IO[bytes], spans: list[tuple[int, int]]) -> None:
        super().__init__()
        self._file = file
        self._spans = spans
        self._starts = [0]  # where each span begins in this file
        for start, end in spans:
            self._starts.append(self._starts[-1] + end - start)
        self._at = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self._starts[-1]}[whence]
        self._at = max(0, base + offset)
        return self._at

    def tell(self) -> int:
        return self._at

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override] # RawIOBase hands a memoryview
        if self._at >= self._starts[-1]:
            return 0
        index = bisect_right(self._starts, self._at) - 1
        start, end = self._spans[index]
        at = start + self._at - self._starts[index]
        self._file.seek(at)
        data = self._file.read(min(len(buffer), end - at))
        buffer[: len(data)] = data
        self._at += len(data)
        return len(data)
