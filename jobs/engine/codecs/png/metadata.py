"""The data beside a PNG's pixels: colour, texts, EXIF, XMP, IPTC, density.

PNG specification (W3C, third edition), section 11.3; colour descriptions rule in the order cICP, iCCP, sRGB, gAMA with
cHRM (4.3). All texts and profiles together may inflate to 64 MiB.
"""

import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from jobs.engine.codecs.metadata import exif as exif_block
from jobs.engine.codecs.metadata.credentials import CREDENTIALS
from jobs.engine.codecs.metadata.photoshop import IPTC, resource
from jobs.engine.codecs.png.chunks import Chunk, PngFile
from jobs.engine.types import Cicp, LightLevel, MasteringDisplay, Metadata, Text

_MOST_INFLATED = 64 << 20
_XMP_KEYWORD = "XML:com.adobe.xmp"
_RAW_PROFILE = "Raw profile type "
#: ISO 22028 and PNG agree: sRGB is the pair of BT.709's primaries and IEC 61966-2-1's transfer function.
_SRGB = Cicp(1, 13)
#: Chunks that describe the old pixels or their making, and have no meaning for new ones (11.3.3 to 11.3.6).
_OF_OLD_PIXELS = {b"bKGD", b"hIST", b"sBIT", b"sPLT", b"tIME", b"oFFs", b"sTER", b"gIFg", b"gIFx", b"pCAL", b"sCAL"}


@dataclass
class _Found:
    values: dict[str, Any] = field(default_factory=dict)
    texts: list[Text] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)
    raw: dict[str, bytes] = field(default_factory=dict)  # by the name behind "Raw profile type"
    room: int = _MOST_INFLATED
    exif_after_pixels: bool = False
    profiles_only: bool = False  # leave texts packed that are no profile

    def inflated(self, data: bytes, thing: str) -> bytes | None:
        press = zlib.decompressobj()
        try:
            content = press.decompress(data, self.room + 1)
        except zlib.error:
            self.lost.append(f"{thing}, which is damaged")
            return None
        if len(content) > self.room:
            self.lost.append(f"{thing}: texts and profiles of more than {_MOST_INFLATED >> 20} MiB")
            return None
        self.room -= len(content)
        return content


def read(image: PngFile) -> tuple[Metadata, tuple[str, ...]]:
    """Return what stands beside the pixels, upright, and what of it is not kept; the profile is not yet checked."""
    found = _found(image)
    values = found.values
    if values.pop("srgb", False):
        values.pop("gamma", None)
        values.pop("chromaticities", None)
        if not values.get("icc"):
            values.setdefault("cicp", _SRGB)
    exif, xmp = _exif(found), values.pop("xmp", None) or found.raw.get("xmp")
    values.pop("exif", None)
    iptc = found.raw.get("iptc") or found.raw.get("8bim")
    if iptc and iptc.startswith(b"8BIM"):
        iptc = resource(iptc, IPTC)
    values.setdefault("icc", found.raw.get("icc") or found.raw.get("icm"))
    meta = Metadata(
        exif=exif_block.upright(exif) if exif and exif_block.readable(exif) else None,
        xmp=xmp or None,
        iptc=iptc or None,
        texts=tuple(found.texts),
        **values,
    )
    damaged = [f"the PNG chunk {name.decode('latin-1')!r}, which is damaged" for name in sorted(image.damaged)]
    return meta, tuple(f"not kept: {thing}" for thing in (*found.lost, *damaged))


def oriented_exif(image: PngFile) -> bytes | None:
    """Return the EXIF block's bytes whose orientation counts: one behind the pixels comes too late for a viewer."""
    found = _found(image, only={b"eXIf", b"zTXt", b"tEXt"})
    return None if found.exif_after_pixels else _exif(found)


def _exif(found: _Found) -> bytes | None:
    exif = found.values.get("exif") or found.raw.get("exif") or found.raw.get("APP1")
    return exif if isinstance(exif, bytes) else None


def _found(image: PngFile, *, only: set[bytes] | None = None) -> _Found:
    found = _Found(profiles_only=only is not None)
    for chunk, data in image.contents():
        if only is not None and chunk.name not in only:
            continue
        reader = _READERS.get(chunk.name)
        try:
            if reader:
                reader(found, chunk, data)
            elif chunk.name == b"caBX":
                found.lost.append(CREDENTIALS)
            elif chunk.name not in _OF_OLD_PIXELS:
                found.lost.append(f"the PNG chunk {chunk.name.decode('latin-1')!r}")
        except (struct.error, ValueError, IndexError):
            found.lost.append(f"the PNG chunk {chunk.name.decode('latin-1')!r}, which is damaged")
    return found


def _once(name: str, value: Any, found: _Found) -> None:
    """Keep the first of several chunks of a kind that may stand but once."""
    found.values.setdefault(name, value)


def _iccp(found: _Found, __: Chunk, data: bytes) -> None:
    name, _, rest = data.partition(b"\0")
    if rest[:1] == b"\0" and (icc := found.inflated(rest[1:], f"the colour profile {name.decode('latin-1')!r}")):
        _once("icc", icc, found)


def _cicp(found: _Found, __: Chunk, data: bytes) -> None:
    primaries, transfer, matrix, full = struct.unpack(">4B", data)
    if matrix or not full:
        # 11.3.2.6: pixels of a PNG are RGB; narrow-range ones are for television, and no viewer shows them.
        found.lost.append("a cICP chunk for pixels that are not full-range RGB")
    elif primaries not in (0, 2) and transfer not in (0, 2):
        _once("cicp", Cicp(primaries, transfer), found)


def _gama(found: _Found, __: Chunk, data: bytes) -> None:
    (value,) = struct.unpack(">I", data)
    if value:
        _once("gamma", value / 100_000, found)


def _chrm(found: _Found, __: Chunk, data: bytes) -> None:
    values = tuple(value / 100_000 for value in struct.unpack(">8I", data))
    if all(0 < y <= 1 for y in values[1::2]):
        _once("chromaticities", values, found)


def _mdcv(found: _Found, __: Chunk, data: bytes) -> None:
    *xy, most, least = struct.unpack(">8H2I", data)
    _once("mastering", MasteringDisplay(tuple(xy), most / 10_000, least / 10_000), found)


def _clli(found: _Found, __: Chunk, data: bytes) -> None:
    most, average = struct.unpack(">2I", data)
    _once("light", LightLevel(most / 10_000, average / 10_000), found)


def _phys(found: _Found, __: Chunk, data: bytes) -> None:
    across, down, unit = struct.unpack(">IIB", data)
    if unit == 1:
        dpi = (across * 0.0254, down * 0.0254)
        if all(1 < value < 100_000 for value in dpi):
            _once("dpi", dpi, found)
    elif across and down and across != down:
        _once("aspect", (across, down), found)


def _exif_chunk(found: _Found, chunk: Chunk, data: bytes) -> None:
    if data and "exif" not in found.values:
        found.values["exif"] = data
        found.exif_after_pixels = chunk.after_pixels


def _text(found: _Found, __: Chunk, data: bytes) -> None:
    keyword, _, value = data.partition(b"\0")
    _keep(found, keyword.decode("latin-1"), value.decode("latin-1"))


def _compressed_text(found: _Found, __: Chunk, data: bytes) -> None:
    keyword, _, rest = data.partition(b"\0")
    name = keyword.decode("latin-1")
    if found.profiles_only and not name.startswith(_RAW_PROFILE):
        return
    value = found.inflated(rest[1:], f"the text {name!r}")
    if value is not None:
        _keep(found, name, value.decode("latin-1"))


def _international_text(found: _Found, __: Chunk, data: bytes) -> None:
    keyword, _, rest = data.partition(b"\0")
    compressed = rest[0]
    language, _, rest = rest[2:].partition(b"\0")
    translated, _, value = rest.partition(b"\0")
    name = keyword.decode("latin-1")
    if compressed:
        content = found.inflated(value, f"the text {name!r}")
        if content is None:
            return
        value = content
    if name == _XMP_KEYWORD:
        _once("xmp", value, found)
        return
    shown = translated.decode("utf-8", "replace")
    found.texts.append(Text(name, value.decode("utf-8", "surrogateescape"), language.decode("latin-1"), shown))


def _keep(found: _Found, keyword: str, value: str) -> None:
    """Keep a text, or what it holds: ImageMagick and ExifTool write blocks as hexadecimal digits under a heading."""
    if not keyword.startswith(_RAW_PROFILE):
        found.texts.append(Text(keyword, value))
        return
    kind = keyword.removeprefix(_RAW_PROFILE)
    try:
        data = bytes.fromhex("".join(value.split("\n")[3:]))
    except ValueError:
        found.lost.append(f"the text {keyword!r}, which is damaged")
        return
    if kind == "APP1" and data.startswith(b"http://ns.adobe.com/xap/1.0/\0"):
        kind, data = "xmp", data.partition(b"\0")[2]
    if kind in ("exif", "APP1", "iptc", "8bim", "xmp", "icc", "icm") and data:
        found.raw.setdefault(kind, data)
    else:
        found.texts.append(Text(keyword, value))


_READERS: dict[bytes, Callable[[_Found, Chunk, bytes], None]] = {
    b"iCCP": _iccp,
    b"cICP": _cicp,
    b"sRGB": lambda found, _, __: _once("srgb", True, found),
    b"gAMA": _gama,
    b"cHRM": _chrm,
    b"mDCV": _mdcv,
    b"cLLI": _clli,
    b"pHYs": _phys,
    b"eXIf": _exif_chunk,
    b"tEXt": _text,
    b"zTXt": _compressed_text,
    b"iTXt": _international_text,
}
