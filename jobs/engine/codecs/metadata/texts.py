"""Texts in XMP, for formats that have no place for them: PNG's keywords and comments survive JPEG, WebP, AVIF and TIFF.

All of them stand in one description of a namespace of ours, out of which they become texts again. The few that XMP has
names for (Dublin Core) are repeated there, for other programs, where the packet does not name them itself.
"""

import base64
import binascii
import re
from xml.etree import ElementTree as ET
from xml.sax.saxutils import escape

from jobs.engine.types import Text

_NAMESPACE = "urn:upscaler:png-text:1.0"
_RDF = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"
_OPEN = f'xmlns:text="{_NAMESPACE}"'.encode()
_BEGIN, _CLOSE = b"<rdf:Description ", b"</rdf:Description>"
_END = re.compile(rb"</(?:[\w.-]+:)?RDF\s*>")
_NEW = (
    b'<?xpacket begin="\xef\xbb\xbf" id="W5M0MpCehiHzreSzNTczkc9d"?><x:xmpmeta xmlns:x="adobe:ns:meta/">'
    b'<rdf:RDF xmlns:rdf="' + _RDF.encode() + b'"></rdf:RDF></x:xmpmeta><?xpacket end="w"?>'
)
#: Dublin Core's names for PNG's keywords (PNG specification, 11.3.3.1), and the kind of list each is.
_DUBLIN_CORE = {"Title": ("title", "Alt"), "Author": ("creator", "Seq"), "Copyright": ("rights", "Alt")}
_DUBLIN_CORE["Description"] = ("description", "Alt")
#: Characters that XML 1.0 cannot hold, and lone surrogates: bytes that are no UTF-8.
_UNSPEAKABLE = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]|\r")


def into_xmp(xmp: bytes | None, texts: tuple[Text, ...]) -> bytes | None:
    """Return the packet's bytes, or a new packet's, with the texts in it; None for a packet that cannot be edited."""
    packet = _parted(xmp)[0] if xmp else _NEW
    ends = list(_END.finditer(packet))
    if not ends or b"\0" in packet:  # no RDF, or UTF-16
        return None
    at = ends[-1].start()
    return packet[:at] + _described(texts) + _dublin_core(texts, packet) + packet[at:]


def from_xmp(xmp: bytes) -> tuple[bytes, tuple[Text, ...]]:
    """Return the packet's bytes without our description, and the texts that it held."""
    rest, ours = _parted(xmp)
    if not ours or b"<!" in ours:
        return xmp, ()
    try:
        # Rewriting may have moved the declaration of the prefix to the element around it.
        description = ET.fromstring(b'<rdf:RDF xmlns:rdf="' + _RDF.encode() + b'">' + ours + b"</rdf:RDF>")  # noqa: S314 - without "<!" there are no entities to expand
        texts = tuple(_text(item) for item in description.iter(f"{{{_RDF}}}li"))
    except (ET.ParseError, binascii.Error, ValueError):
        return xmp, ()
    return rest, texts


def _parted(xmp: bytes) -> tuple[bytes, bytes]:
    """Return the packet's bytes without our description, and that description's; one that was rewritten stays.

    A JPEG's two packets may hold it twice: a shell in the first, the texts in the second.
    """
    kept, ours, at = [], b"", 0
    while (mark := xmp.find(_OPEN, at)) >= 0:
        begin, end = xmp.rfind(_BEGIN, at, mark), xmp.find(_CLOSE, mark)
        if begin < 0 or end < 0:
            break
        end += len(_CLOSE)
        kept.append(xmp[at:begin])
        ours = max(ours, xmp[begin:end], key=len)
        at = end
    return b"".join((*kept, xmp[at:])), ours


def _text(item: ET.Element) -> Text:
    def part(name: str) -> str:
        return item.findtext(f"{{{_NAMESPACE}}}{name}") or ""

    packed = part("bytes")
    value = base64.b64decode(packed, validate=True).decode("utf-8", "surrogateescape") if packed else part("value")
    return Text(part("keyword"), value, part("language"), part("translated"))


def _described(texts: tuple[Text, ...]) -> bytes:
    items = "".join(
        '<rdf:li rdf:parseType="Resource">'
        + _element("keyword", text.keyword)
        + _value(text.value)
        + (_element("language", text.language) if text.language else "")
        + (_element("translated", text.translated) if text.translated else "")
        + "</rdf:li>"
        for text in texts
    )
    head = f'<rdf:Description rdf:about="" xmlns:rdf="{_RDF}" xmlns:text="{_NAMESPACE}">'
    return f"{head}<text:texts><rdf:Seq>{items}</rdf:Seq></text:texts></rdf:Description>".encode()


def _value(value: str) -> str:
    if _UNSPEAKABLE.search(value):
        return _element("bytes", base64.b64encode(value.encode("utf-8", "surrogateescape")).decode())
    return _element("value", value)


def _element(name: str, content: str) -> str:
    return f"<text:{name}>{escape(_UNSPEAKABLE.sub('?', content))}</text:{name}>"


def _dublin_core(texts: tuple[Text, ...], packet: bytes) -> bytes:
    parts = ""
    for keyword, (name, kind) in _DUBLIN_CORE.items():
        value = next((text.value for text in texts if text.keyword == keyword and text.value), None)
        if value is None or f"dc:{name}".encode() in packet or _UNSPEAKABLE.search(value):
            continue
        language = ' xml:lang="x-default"' if kind == "Alt" else ""
        parts += f"<dc:{name}><rdf:{kind}><rdf:li{language}>{escape(value)}</rdf:li></rdf:{kind}></dc:{name}>"
    if not parts:
        return b""
    head = f'<rdf:Description rdf:about="" xmlns:rdf="{_RDF}" xmlns:dc="http://purl.org/dc/elements/1.1/">'
    return f"{head}{parts}</rdf:Description>".encode()
