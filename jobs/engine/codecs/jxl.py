"""JPEG XL, read by the package pillow-jxl-plugin; the header by us, since the package decodes what it opens.

ISO/IEC 18181-1, annex D (image header: size, orientation, depth, channels) and 18181-2 (the container's boxes). It is
written by another package (`jobs.engine.codecs.jxl_writer`): this one's encoder takes no colour profile.
"""

import io
import os
from dataclasses import dataclass
from typing import IO, Any

from PIL import ImageFile

from jobs.engine.errors import FormatUnsupported

SIGNATURE = b"\xff\x0a"
CONTAINER = b"\0\0\0\x0cJXL \r\n\x87\n"
_MOST_BOXES = 10_000
_MOST_METADATA = 64 << 20
#: Width of height, by the header's ratio (D.2).
_RATIOS = {1: (1, 1), 2: (12, 10), 3: (4, 3), 4: (3, 2), 5: (16, 9), 6: (5, 4), 7: (2, 1)}
_ALPHA, _SPOT, _CFA = 0, 2, 5
_GRAY = 1


@dataclass(frozen=True)
class Header:
    """A picture's header. Sides in px as displayed: the orientation, 1 to 8, is applied to them."""

    width: int
    height: int
    orientation: int
    animated: bool
    bits: int
    is_float: bool
    gray: bool
    alpha: bool


class JxlFile(ImageFile.ImageFile):
    """A lazy picture: the header is read on opening, the pixels when they are asked for."""

    format = "JXL"

    def _open(self) -> None:
        assert self.fp is not None
        self.header = read_header(self.fp)
        self._size = (self.header.width, self.header.height)
        self._mode = ("L" if self.header.gray else "RGB") + ("A" if self.header.alpha else "")
        self.tile = []
        self._decoded = False
        #: Kinds of metadata whose compression, Brotli, could not be undone.
        self.packed: list[str] = []
        for name, content in map(self._plain, _boxes(self.fp)):
            if name == b"Exif" and len(content) > 4:  # four bytes say where it begins (18181-2)
                plain = content[:4] in (b"II*\0", b"MM\0*")  # as some encoders write it, without those four bytes
                self.info["exif"] = content if plain else content[4 + int.from_bytes(content[:4], "big") :]
            elif name == b"xml ":
                self.info["xmp"] = content

    def _plain(self, box: tuple[bytes, bytes]) -> tuple[bytes, bytes]:
        """Return a box's name and content, those inside where it is a compressed one (18181-2, brob)."""
        name, content = box
        if name != b"brob":
            return box
        inside = _decompressed(content[4:])
        if inside is None:
            self.packed.append(content[:4].decode("latin-1").strip())
            return name, b""
        return content[:4], inside

    def load(self) -> Any:
        """Decode; the profile is in ``info`` afterwards.

        :raises FormatUnsupported: where the package is not installed.
        """
        if self._decoded:
            return self.im.pixel_access(self.readonly)
        try:
            from pillow_jxl.JpegXLImagePlugin import JXLImageFile  # noqa: PLC0415 - a native library that few jobs need
        except ImportError as error:
            raise FormatUnsupported("JPEG XL is read where pillow-jxl-plugin is installed") from error
        assert self.fp is not None
        self.fp.seek(0)
        data = self.fp.read()
        try:
            picture = JXLImageFile(io.BytesIO(data))
            picture.load()  # type: ignore[no-untyped-call]  # the plug-in has no types
        except RuntimeError:  # also where only metadata is damaged: the pixels may be whole
            picture = JXLImageFile(io.BytesIO(whole_codestream(data)))
            picture.load()  # type: ignore[no-untyped-call]  # the plug-in has no types
        if picture.size != self._size and picture.size[::-1] != self._size:
            raise ValueError("the pixels have another size than the header says")
        self._mode, self.im = picture.mode, picture.im
        self._size = picture.size
        self.info["icc_profile"] = picture.info.get("icc_profile")
        self._decoded = True
        return self.im.pixel_access(self.readonly)


def _decompressed(data: bytes) -> bytes | None:
    """Undo Brotli (RFC 7932); None for what is damaged or larger than 64 MiB, or where the package is not there."""
    try:
        import brotli  # noqa: PLC0415 - may be absent
    except ImportError:
        return None
    decompressor = brotli.Decompressor()
    try:
        made: bytes = decompressor.process(data, output_buffer_limit=_MOST_METADATA)
    except brotli.error:
        return None
    return made if decompressor.is_finished() else None


def read_header(file: IO[bytes]) -> Header:
    """Return the header of a file's bytes. The position is restored.

    :raises ValueError: when there is no codestream, or it ends in its header.
    """
    before = file.tell()
    data = _codestream(file)
    file.seek(before)
    if not data.startswith(SIGNATURE):
        raise ValueError("no codestream")
    return _header(_Bits(data[2:]))


def _codestream(file: IO[bytes]) -> bytes:
    """Return the first bytes of the codestream: bare, or of the boxes jxlc or jxlp."""
    file.seek(0)
    head = file.read(4096)
    if not head.startswith(CONTAINER):
        return head
    found = b""
    for name, at, size in _spans(file):
        if name in (b"jxlc", b"jxlp"):
            skip = 4 if name == b"jxlp" else 0
            file.seek(at + skip)
            found += file.read(min(size - skip, 4096))
            if len(found) >= 512 or name == b"jxlc":
                break
    return found


def whole_codestream(data: bytes) -> bytes:
    """Return the bytes of the codestream of a file: itself where it is bare, else from its boxes jxlc or jxlp.

    :raises ValueError: there is none.
    """
    if data.startswith(SIGNATURE):
        return data
    parts = [
        data[at + (4 if name == b"jxlp" else 0) : at + size]
        for name, at, size in _spans(io.BytesIO(data))
        if name in (b"jxlc", b"jxlp")
    ]
    if not parts:
        raise ValueError("no codestream")
    return b"".join(parts)


def _boxes(file: IO[bytes]) -> list[tuple[bytes, bytes]]:
    """Return the boxes of metadata, name and content, of a container; none of a bare codestream."""
    before = file.tell()
    file.seek(0)
    found = []
    if file.read(12) == CONTAINER:
        for name, at, size in _spans(file):
            if name in (b"Exif", b"xml ", b"brob") and size <= _MOST_METADATA:
                file.seek(at)
                found.append((name, file.read(size)))
    file.seek(before)
    return found


def _spans(file: IO[bytes]) -> list[tuple[bytes, int, int]]:
    """Return name, begin of the content and its size in bytes of all top boxes."""
    end, at, found = file.seek(0, os.SEEK_END), 0, []
    for _ in range(_MOST_BOXES):
        file.seek(at)
        head = file.read(16)
        if len(head) < 8:
            break
        size, begin = int.from_bytes(head[:4], "big"), 8
        if size == 1:
            size, begin = int.from_bytes(head[8:16], "big"), 16
        elif size == 0:
            size = end - at
        if size < begin:
            break
        found.append((head[4:8], at + begin, min(size, end - at) - begin))
        at += size
    return found


class _Bits:
    """Numbers of a codestream, the lowest bit first (18181-1, annex B)."""

    def __init__(self, data: bytes) -> None:
        self._value = int.from_bytes(data[:4000], "little")
        self._left = 8 * min(len(data), 4000)

    def number(self, bits: int) -> int:
        if bits > self._left:
            raise ValueError("the header ends early")
        value = self._value & ((1 << bits) - 1)
        self._value >>= bits
        self._left -= bits
        return value

    def flag(self) -> bool:
        return bool(self.number(1))

    def choice(self, *options: tuple[int, int]) -> int:
        """Return a number by two bits that choose (base, bits): U32 of the standard."""
        base, bits = options[self.number(2)]
        return base + self.number(bits)

    def enumerated(self) -> int:
        return self.choice((0, 0), (1, 0), (2, 4), (18, 6))


def _size(bits: _Bits) -> tuple[int, int]:
    small = bits.flag()

    def side() -> int:
        return 8 * (bits.number(5) + 1) if small else bits.choice((1, 9), (1, 13), (1, 18), (1, 30))

    height = side()
    ratio = bits.number(3)
    if ratio == 0:
        return side(), height
    above, below = _RATIOS[ratio]
    return height * above // below, height


def _depth(bits: _Bits) -> tuple[int, bool]:
    if not bits.flag():
        return bits.choice((8, 0), (10, 0), (12, 0), (1, 6)), False
    depth = bits.choice((32, 0), (16, 0), (24, 0), (1, 6))
    bits.number(4)
    return depth, True


def _header(bits: _Bits) -> Header:
    width, height = _size(bits)
    if bits.flag():  # everything else as usual: 8 bit RGB
        return Header(width, height, 1, False, 8, False, False, False)
    orientation, animated = 1, False
    if bits.flag():
        orientation = 1 + bits.number(3)
        if bits.flag():
            _size(bits)
        if bits.flag():
            _preview(bits)
        animated = bits.flag()
        if animated:
            bits.choice((100, 0), (1000, 0), (1, 10), (1, 30))
            bits.choice((1, 0), (1001, 0), (1, 8), (1, 10))
            bits.choice((0, 0), (0, 3), (0, 16), (0, 32))
            bits.flag()
    depth, is_float = _depth(bits)
    bits.flag()
    kinds = [_channel(bits) for _ in range(bits.choice((0, 0), (1, 0), (2, 4), (1, 12)))]
    bits.flag()
    gray = not bits.flag() and not bits.flag() and bits.enumerated() == _GRAY
    if orientation >= 5:
        width, height = height, width
    return Header(width, height, orientation, animated, depth, is_float, gray, _ALPHA in kinds)


def _preview(bits: _Bits) -> None:
    by_eight = bits.flag()
    options = ((16, 0), (32, 0), (1, 5), (33, 9)) if by_eight else ((1, 6), (65, 8), (321, 10), (1345, 12))
    bits.choice(*options)
    if bits.number(3) == 0:
        bits.choice(*options)


def _channel(bits: _Bits) -> int:
    """Pass over an extra channel and return its type."""
    if bits.flag():
        return _ALPHA
    kind = bits.enumerated()
    _depth(bits)
    bits.choice((0, 0), (3, 0), (4, 0), (1, 3))
    for _ in range(bits.choice((0, 0), (0, 4), (16, 5), (48, 10))):
        bits.number(8)
    if kind == _ALPHA:
        bits.flag()
    elif kind == _SPOT:
        bits.number(64)
    elif kind == _CFA:
        bits.choice((1, 0), (0, 2), (3, 4), (19, 8))
    return kind
