"""The outline of an XMP packet: where its properties stand, so that some can be cut or moved and the rest stays.

XMP specification, part 1 (ISO 16684-1): rdf:RDF holds rdf:Description elements, whose attributes and children are the
properties. Expat checks that it is XML; packets that no XML reader takes, or that are made to exhaust one, are refused.
"""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from xml.parsers import expat

_ATTRIBUTE = re.compile(rb"\s*([^\s=/>]+)\s*=\s*(\"[^\"]*\"|'[^']*')")
_NAME = re.compile(rb"<([^\s/>\0]+)")
_DEEPEST = 100
_MOST_ELEMENTS = 500_000
_MOST_PROPERTIES = 10_000
_MOST_DECLARATIONS = 500
_RDF = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"


class Unreadable(ValueError):
    """The packet is no XML, or larger or deeper than any honest one."""


@dataclass(frozen=True)
class Property:
    """A property: its namespace and name, and the bytes from ``start`` to ``end`` that are it."""

    namespace: str
    name: str
    start: int
    end: int
    is_attribute: bool


@dataclass
class Description:
    """An rdf:Description: its name as written, ``start`` and ``end`` in bytes, and its properties.

    ``scope`` are the namespaces in force, by prefix, each as a whole declaration; ``about`` is that attribute's bytes.
    """

    name: bytes
    start: int
    open_end: int
    scope: dict[bytes, bytes]
    about: bytes = b""
    end: int = 0
    properties: list[Property] = field(default_factory=list)


@dataclass
class Outline:
    """The descriptions of a packet, and the bytes at which one more may be inserted; None where nothing may."""

    descriptions: list[Description] = field(default_factory=list)
    insert_at: int | None = None
    #: The name of rdf:RDF as written, and the namespaces in force there.
    rdf: bytes = b""
    rdf_scope: dict[bytes, bytes] = field(default_factory=dict)
    #: All namespaces that elements and attributes are in.
    namespaces: set[str] = field(default_factory=set)


def outline(xmp: bytes) -> Outline:
    """Return where the properties of the packet stand, in bytes.

    :raises Unreadable: when it is no XML in UTF-8, or made to exhaust its reader.
    """
    if b"\0" in xmp.rstrip(b"\0"):
        raise Unreadable("the XMP packet is not in UTF-8")
    reader = _Reader(xmp)
    try:
        reader.parser.Parse(xmp, True)
    except (expat.ExpatError, ValueError, IndexError) as error:
        if not reader.closed:  # bytes behind the last tag, as zeros that fill a segment, do no harm
            raise Unreadable(f"the XMP packet is no XML: {error}") from error
    return reader.found


def without(xmp: bytes, unwanted: Callable[[Property], bool]) -> bytes:
    """Return the packet's bytes without the properties for which ``unwanted`` is true.

    :raises Unreadable: as `outline`.
    """
    return cut(xmp, [one for each in outline(xmp).descriptions for one in each.properties if unwanted(one)])


def cut(xmp: bytes, properties: Iterable[Property]) -> bytes:
    """Return the packet's bytes without these properties, and without the space before them."""
    kept, at = [], 0
    for one in sorted(properties, key=lambda each: each.start):
        kept.append(xmp[at : one.start].rstrip())
        at = one.end
    kept.append(xmp[at:])
    return b"".join(kept)


def value(xmp: bytes, namespace: str, name: str) -> str | None:
    """Return a simple property's text, from an attribute or an element of the packet's bytes; None without it.

    :raises Unreadable: as `outline`.
    """
    texts = values(xmp, namespace, name)
    return texts[0] if texts else None


def values(xmp: bytes, namespace: str, name: str) -> list[str]:
    """Return the texts of a property of the packet's bytes: one, or those of its array's items.

    :raises Unreadable: as `outline`.
    """
    for each in outline(xmp).descriptions:
        for one in each.properties:
            if (one.namespace, one.name) != (namespace, name):
                continue
            raw = xmp[one.start : one.end]
            if one.is_attribute:
                return [raw.partition(b"=")[2].strip()[1:-1].decode("utf-8", "replace")]
            texts = (part.decode("utf-8", "replace").strip() for part in re.findall(rb">([^<>]+)<", raw))
            return [text for text in texts if text]
    return []


class _Reader:
    """Takes expat's events of one packet and builds its `Outline`."""

    def __init__(self, xmp: bytes) -> None:
        self.xmp = xmp
        self.found = Outline()
        self.closed = False
        self.elements = self.properties = self.depth = self.rdf_depth = 0
        #: One for each open element up to the properties: start, end of the start tag, name.
        self.open: list[tuple[int, int, str]] = []
        self.scopes: list[dict[bytes, bytes]] = [{}]
        self.parser = expat.ParserCreate(namespace_separator="\n")
        self.parser.StartElementHandler = self.start
        self.parser.EndElementHandler = self.end
        self.parser.StartDoctypeDeclHandler = self.doctype

    def doctype(self, *_: object) -> None:
        raise Unreadable("the XMP packet declares a document type")  # entities that grow; XMP has none

    def start(self, name: str, attributes: dict[str, str]) -> None:
        self.depth += 1
        self.elements += 1
        if self.depth > _DEEPEST or self.elements > _MOST_ELEMENTS:
            raise Unreadable("the XMP packet is too deep or too long")
        for each in (name, *attributes):
            if "\n" in each:
                self.found.namespaces.add(each.partition("\n")[0])
        if self.rdf_depth and self.depth > self.rdf_depth + 2:
            return  # inside a property
        begin = self.parser.CurrentByteIndex
        written = _NAME.match(self.xmp, begin)
        if not written:
            raise Unreadable("the XMP packet is not in UTF-8")
        raw = list(self._attributes(written.end()))
        end = self.xmp.index(b">", raw[-1][2] if raw else written.end()) + 1
        scope = self._scope(raw)
        self.open.append((begin, end, name))
        self.scopes.append(scope)
        if not self.rdf_depth and name.rpartition("\n")[2] == "RDF":
            self.rdf_depth = self.depth
            self.found.rdf, self.found.rdf_scope = written[1], scope
        elif self.rdf_depth and self.depth == self.rdf_depth + 1:
            self._describe(written[1], begin, end, scope, raw)

    def _scope(self, raw: list[tuple[bytes, int, int]]) -> dict[bytes, bytes]:
        declared = {
            key.partition(b":")[2]: self.xmp[at:stop].strip()
            for key, at, stop in raw
            if key == b"xmlns" or key.startswith(b"xmlns:")
        }
        if not declared:
            return self.scopes[-1]
        scope = self.scopes[-1] | declared
        if len(scope) > _MOST_DECLARATIONS:
            raise Unreadable("the XMP packet declares too many namespaces")
        return scope

    def _attributes(self, at: int) -> list[tuple[bytes, int, int]]:
        """Return (name, start, end) of the attributes that follow, in bytes, the white space before them included."""
        found = []
        while match := _ATTRIBUTE.match(self.xmp, at):
            found.append((match[1], match.start(), match.end()))
            at = match.end()
        return found

    def _describe(
        self, name: bytes, begin: int, end: int, scope: dict[bytes, bytes], raw: list[tuple[bytes, int, int]]
    ) -> None:
        described = Description(name, begin, end, scope)
        for key, at, stop in raw:
            prefix, colon, local = key.partition(b":")
            if not colon or prefix in (b"xmlns", b"xml"):
                continue
            namespace = uri(scope.get(prefix, b""))
            if namespace == _RDF or local == b"about":
                described.about = self.xmp[at:stop]
            else:
                self._add(described, Property(namespace, local.decode("utf-8", "replace"), at, stop, True))
        self.found.descriptions.append(described)
        self._count()

    def _add(self, described: Description, one: Property) -> None:
        described.properties.append(one)
        self._count()

    def _count(self) -> None:
        self.properties += 1
        if self.properties > _MOST_PROPERTIES:
            raise Unreadable("the XMP packet has too many properties")

    def end(self, _: str) -> None:
        self.depth -= 1
        if self.rdf_depth and self.depth >= self.rdf_depth + 2:
            return
        begin, open_end, name = self.open.pop()
        self.scopes.pop()
        empty = self.xmp[open_end - 2 : open_end] == b"/>"
        close = open_end if empty else self.parser.CurrentByteIndex
        end = open_end if empty else self.xmp.index(b">", close) + 1
        if self.rdf_depth and self.depth == self.rdf_depth + 1:
            namespace, _, local = name.rpartition("\n")
            self._add(self.found.descriptions[-1], Property(namespace, local, begin, end, False))
        elif self.rdf_depth and self.depth == self.rdf_depth:
            self.found.descriptions[-1].end = end
        elif self.rdf_depth and self.depth == self.rdf_depth - 1:
            self.found.insert_at = None if empty else close
            self.rdf_depth = _DEEPEST + 2  # a second rdf:RDF is none
        self.closed = self.depth == 0


def uri(declaration: bytes) -> str:
    """Return the namespace of a declaration's bytes such as ``xmlns:dc="http://…"``; empty where there is none."""
    return declaration.partition(b"=")[2].strip()[1:-1].decode("utf-8", "replace")
