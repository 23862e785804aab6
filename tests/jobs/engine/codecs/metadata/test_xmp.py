"""Packets made to cost time: work grows with their length and no faster, or the test's time limit ends it."""

from collections.abc import Callable

import pytest

from jobs.engine.codecs.gain_map.claims import removed
from jobs.engine.codecs.jpeg.xmp import compose_xmp
from jobs.engine.codecs.metadata.xmp import resized_xmp, upright_xmp
from jobs.engine.codecs.metadata.xmp_outline import values

RDF = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">%s</rdf:RDF></x:xmpmeta>'
HDRGM = b'xmlns:h="http://ns.adobe.com/hdr-gain-map/1.0/"'
LONG = 4_000_000
PACKETS = {
    "blanks": RDF % (b"<rdf:Description %s h:Version='1'><h:p> x%sy </h:p></rdf:Description>" % (HDRGM, b" " * LONG)),
    "blanks between": RDF % (b"<rdf:Description %s%sh:Version='1'/>" % (HDRGM, b" " * LONG)),
    "blanks before the end": RDF % b"" + b" " * LONG + b"<?xpacket en",
    "blanks, and no XML": b"<x>" + b" " * LONG,
    "ends of packets": b"<?xpacket end " * (LONG // 14),
    "thumbnails without an end": RDF % (b"<rdf:Description/>" + b"<xmp:Thumbnails>" * (LONG // 16)),
    "names": b"tiff:Orientation tiff:ImageWidth xmlns:a=" * (LONG // 40),
    "one long name": b"<" + b"a" * LONG,
    "one long attribute": b"<a b='" + b"c" * LONG,
}
WORK: dict[str, Callable[[bytes], object]] = {
    "removed": removed,
    "compose": compose_xmp,
    "resized": lambda xmp: resized_xmp(xmp, 1, 1),
    "upright": upright_xmp,
}


@pytest.mark.timeout(60)
@pytest.mark.parametrize("work", WORK)
@pytest.mark.parametrize("kind", PACKETS)
def test_long_packets_cost_no_more_than_their_length(kind: str, work: str) -> None:
    assert WORK[work](PACKETS[kind]) is not None


@pytest.mark.timeout(60)
def test_long_values_cost_no_more_than_their_length() -> None:
    assert values(PACKETS["blanks"], "http://ns.adobe.com/hdr-gain-map/1.0/", "p")[0].endswith("y")
